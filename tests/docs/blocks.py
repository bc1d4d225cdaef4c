"""The fenced blocks of the papers: what they are, where they stand, and the commands in them.

An info string says what a block is: `sh`, `console`, `yaml NAME.yaml`, `yaml fragment [BASE]`,
`jinja NAME`, `text`, and languages that are only shown. HACKING.md explains them to authors.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SHOWN_ONLY = frozenset({"text", "powershell", "xml", "json"})
KNOWN = frozenset({"sh", "console", "yaml", "jinja"}) | SHOWN_ONLY
OPERATORS = frozenset({"|", "||", "&&", ";"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block. `line` is that of its opening fence, counted from 1."""

    page: Path
    line: int
    kind: str
    argument: str
    text: str

    @property
    def where(self) -> str:
        """`docs/tutorial.md:24`, to click on."""
        return f"{self.page.relative_to(PROJECT)}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a block, and the output the page shows for it (None: it shows none)."""

    block: Block
    words: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = ()
    output: str | None = None
    piped: bool = False

    @property
    def program(self) -> str:
        """The program without its folder."""
        return Path(self.words[0]).name


def pages() -> tuple[Path, ...]:
    """Every paper that people read. The fact sheets are notes, whose snippets are no examples."""
    top = [PROJECT / name for name in ("README.md", "HACKING.md", "SECURITY.md", "NEWS.md")]
    docs = [
        page
        for page in sorted((PROJECT / "docs").rglob("*.md"))
        if page.parent.name != "facts" or page.name == "README.md"
    ]
    return (*top, *docs, PROJECT / "tests/standin/README.md")


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    lines = page.read_text("utf-8").splitlines()
    number = 0
    while number < len(lines):
        opening = re.fullmatch(r"( *)(```+)([^`]*)", lines[number])
        number += 1
        if opening is None:
            continue
        indent, fence, info = opening.groups()
        start, body = number, []
        while number < len(lines) and lines[number].strip() != fence:
            body.append(lines[number].removeprefix(indent))
            number += 1
        assert number < len(lines), f"{page}:{start}: this block is never closed"
        number += 1
        kind, _, argument = info.strip().partition(" ")
        yield Block(page=page, line=start, kind=kind, argument=argument, text="\n".join(body))


def commands(block: Block) -> Iterator[Command]:
    """The commands of a `sh` or `console` block; a pipeline gives one for each program."""
    if block.kind == "console":
        yield from _recorded(block)
        return
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield from _line(block, line, output=None)


def _recorded(block: Block) -> Iterator[Command]:
    line: str | None = None
    output: list[str] = []
    for text in block.text.splitlines():
        if text.startswith("$ "):
            if line is not None:
                yield from _line(block, line, output="\n".join(output))
            line, output = text[2:], []
        else:
            assert line is not None, f"{block.where}: output before the first command"
            output.append(text)
    if line is not None:
        yield from _line(block, line, output="\n".join(output))


def _line(block: Block, line: str, *, output: str | None) -> Iterator[Command]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word in OPERATORS:
            parts.append([])
        else:
            parts[-1].append(word)
    for words in parts:
        variables = []
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, _, value = words.pop(0).partition("=")
            variables.append((name, value))
        if words and words[0] == "sudo":
            words.pop(0)
        if words:
            yield Command(
                block=block,
                words=tuple(words),
                variables=tuple(variables),
                output=output,
                piped=len(parts) > 1,
            )
