"""Turns bytes of a log into text: which encoding, what was cut away, nothing that is no text.

Pure. Setup writes UTF-8 and ANSI, PowerShell 5.1 UTF-16, and cmd the OEM code page.
"""

from __future__ import annotations

import codecs
import re

CUT = "\n[... {count:,} bytes are left out here ...]\n"
LONGEST_LINE = 4000

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?=]*[ -/]*[@-~]|[@-Z\\-_])")
# Private use too: it holds the marks of our templates' slots.
_UNSEEN = re.compile(
    "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ue000-\uf8ff"
    "\ufeff\U000f0000-\U0010ffff\ud800-\udfff]"
)


def joined_text(head: bytes, tail: bytes, size: int) -> str:
    """Beginning and end of a file of `size` bytes as text, lines ended by a line feed.

    Where bytes are missing, the lines that were cut in two are dropped whole: half a password
    could not be recognised as one.
    """
    encoding = encoding_of(head)
    missing = size - len(head) - len(tail)
    if missing <= 0:
        return _text(head + tail, encoding)
    if encoding != "utf-8" and (size - len(tail)) % 2:
        tail = tail[1:]
    before = _text(head, encoding).rpartition("\n")[0]
    after = _text(tail, encoding).partition("\n")[2]
    return before + CUT.format(count=missing) + after


def encoding_of(data: bytes) -> str:
    """`utf-8` (which stands for everything with one byte a character), or a form of UTF-16."""
    if data.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    sample = data[:4096]
    zeros = sample[1::2].count(0)
    if data.startswith(codecs.BOM_UTF16_LE) or zeros > len(sample) // 4:
        return "utf-16-le"
    return "utf-8"


def plain(text: str) -> str:
    """The text without escape sequences and without what cannot be seen; lines end with `\\n`."""
    text = _ESCAPES.sub("", text).replace("\0", "")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _UNSEEN.sub("\ufffd", text)


def shortened_lines(text: str) -> str:
    """Lines of at most LONGEST_LINE characters; to be called after the secrets are masked."""
    if max(map(len, text.split("\n"))) <= LONGEST_LINE:
        return text
    return "\n".join(
        line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} [...]"
        for line in text.split("\n")
    )


def _text(data: bytes, encoding: str) -> str:
    if encoding == "utf-8":
        try:
            return plain(data.decode("utf-8-sig"))
        except UnicodeDecodeError:
            return plain(data.decode("cp1252", "replace"))
    return plain(data.decode(encoding, "replace").removeprefix("\ufeff"))
