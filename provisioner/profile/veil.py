"""Which lines of a profile may hold a secret in clear, so that no message quotes them.

Looks at the text alone, since a file with a mistake in it has no tree yet. It hides too much rather
than too little.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# `plain:`, and keys behind which people put the secret itself, also misspelt. Bounded, so that a
# long line costs no more than its length.
_KEY = re.compile(
    r"""(?:plain|(?:pas|pw|secret|token|product[-_ ]?key)\w{0,40}|\bkey)["']?\s{0,20}:""",
    re.IGNORECASE,
)
# A reference, and nothing else, behind the key: `{env: NAME}`.
_REFERENCE = re.compile(
    r"\s*\{\s*(?:(?:env|keyring)\s*:\s*[\w./@-]+|generate\s*:\s*[0-9]+|file\s*:\s*[^{}]*)\s*\}"
    r"\s*(?:[,}\]#].*)?$"
)


def veiled_lines(lines: Sequence[str]) -> frozenset[int]:
    """Indexes of the lines that no message may quote."""
    veiled: set[int] = set()
    block: int | None = None  # indentation of the key whose block is being passed
    open_ended = False  # the key stood at the end of its line: its value is on the next
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if block is not None and indent <= block and not open_ended:
            block = None
        if block is not None:
            veiled.add(index)
            open_ended = False
        keys = list(_KEY.finditer(line))
        if not keys or all(_REFERENCE.match(line, key.end()) for key in keys):
            continue
        rest = line[keys[-1].end() :].strip()
        veiled.add(index)
        block = indent if block is None else min(block, indent)
        open_ended = rest in ("", "{", "|", ">", "|-", ">-", '"', "'")
    return frozenset(veiled)
