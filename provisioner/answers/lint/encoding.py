"""Bytes -> text, and what of it makes Setup ignore the file in silence.

Sources: windows-setup.md §2.2, §6.7.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from provisioner.answers.lint.findings import Finding
from provisioner.errors import Severity
from provisioner.frozen import frozen

LARGEST = 4 * 1024 * 1024
"""Answer files with scripts in them reach a few hundred KiB."""
_LOOKED_AT = 2048
_DECLARATION = re.compile(rb"<\?xml(?=[ \t\r\n])[^>]{0,512}\?>")
_LABEL = re.compile(rb"""encoding[ \t\r\n]*=[ \t\r\n]*["']([A-Za-z0-9._-]{1,40})["']""")
_EIGHT_BIT = re.compile(
    r"iso-8859-\d+|windows-125\d|cp125\d|latin-?1|us-ascii|ascii", re.IGNORECASE
)
_WIDE = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"<\0?\0", "utf-16-le"),
    (b"\0<\0?", "utf-16-be"),
)
_SAVE = (
    "save it as UTF-8 without a byte-order mark, beginning with "
    '<?xml version="1.0" encoding="utf-8"?>'
)


@frozen
class Decoded:
    """The text from the declaration on, how many characters stood before it, and the findings."""

    text: str
    skipped_lines: int
    skipped_columns: int
    findings: tuple[Finding, ...]


def decode(data: bytes) -> Decoded:
    """The text of an answer file. Never fails: what cannot be decoded becomes U+FFFD."""
    for mark, codec in _WIDE:
        if data.startswith(mark):
            text = data.decode(codec, "replace").removeprefix("\ufeff")
            found = _finding(
                "lint.encoding",
                Severity.ERROR,
                f"the file is {codec[:6].upper()}, which Setup does not read",
                _SAVE,
            )
            return Decoded(text=text, skipped_lines=0, skipped_columns=0, findings=(found,))
    findings: list[Finding] = []
    if data.startswith(codecs.BOM_UTF8):
        data = data[len(codecs.BOM_UTF8) :]
        findings.append(
            _finding(
                "lint.byte-order-mark",
                Severity.NOTE,
                "the file begins with a byte-order mark",
                "Setup is written for files without; " + _SAVE,
            )
        )
    declaration = _DECLARATION.search(data, 0, _LOOKED_AT)
    skipped = b""
    if declaration is None:
        findings.append(
            _finding(
                "lint.declaration",
                Severity.NOTE,
                "no XML declaration",
                'begin with <?xml version="1.0" encoding="utf-8"?>, as Setup expects it',
            )
        )
    elif declaration.start():
        skipped, data = data[: declaration.start()], data[declaration.start() :]
        findings.append(_before(skipped))
    label = _LABEL.search(declaration[0]) if declaration else None
    codec = label[1].decode("ascii").lower() if label else "utf-8"
    text, more = _decoded(data, codec)
    findings += more
    lines = _newlines(skipped)
    columns = len(skipped) - max(skipped.rfind(b"\n"), skipped.rfind(b"\r")) - 1
    shown = tuple(_moved(finding, lines, columns) for finding in (() if more else _non_ascii(text)))
    return Decoded(
        text=text,
        skipped_lines=lines,
        skipped_columns=columns,
        findings=(*findings, *shown),
    )


def _decoded(data: bytes, codec: str) -> tuple[str, list[Finding]]:
    if codec in ("utf-8", "utf8"):
        try:
            return data.decode("utf-8"), []
        except UnicodeDecodeError as error:
            before = data[: error.start]
            line = _newlines(before) + 1
            column = len(before) - max(before.rfind(b"\n"), before.rfind(b"\r"))
            found = _finding(
                "lint.encoding",
                Severity.ERROR,
                f"byte 0x{data[error.start]:02X} is not UTF-8, which the file says it is",
                _SAVE,
                line=line,
                column=column,
            )
            return data.decode("cp1252", "replace"), [found]
    if _EIGHT_BIT.fullmatch(codec) and _known(codec):
        found = _finding(
            "lint.encoding",
            Severity.WARNING,
            f"the file is declared as {codec}; Setup expects utf-8",
            _SAVE,
        )
        return data.decode(codec, "replace"), [found]
    found = _finding(
        "lint.encoding",
        Severity.ERROR,
        f"the file is declared as {codec} and is not written so",
        _SAVE,
    )
    return data.decode("utf-8", "replace"), [found]


def _known(codec: str) -> bool:
    try:
        codecs.lookup(codec)
    except LookupError:
        return False
    return True


def _before(skipped: bytes) -> Finding:
    what = "space" if not skipped.strip() else f"{len(skipped)} bytes"
    return _finding(
        "lint.before-declaration",
        Severity.ERROR,
        f"{what} before the XML declaration makes Setup ignore the whole file, without a word",
        "let <?xml be the first five characters of the file",
    )


def _non_ascii(text: str) -> Iterator[Finding]:
    """Raw characters outside comments: Setup mishandles them (unattend-generator #112)."""
    if text.isascii():
        return
    bare = _without_comments(text)
    found = re.search(r"[^\x00-\x7f]", bare)
    if found is None or found[0] == "\ufffd":
        return
    before = text[: found.start()]
    line = len(re.findall(r"\r\n|\r|\n", before)) + 1
    column = len(before) - max(before.rfind("\n"), before.rfind("\r"))
    yield _finding(
        "lint.non-ascii",
        Severity.WARNING,
        f"U+{ord(found[0]):04X} stands in the file as it is; Setup may read other characters",
        f"write it as &#{ord(found[0])};, and every other character that is not ASCII likewise",
        line=line,
        column=column,
    )


def _without_comments(text: str) -> str:
    """The text with spaces in place of comments, so that offsets stay. One pass, unlike a regex."""
    pieces, position = [], 0
    while (start := text.find("<!--", position)) >= 0:
        end = text.find("-->", start)
        if end < 0:
            break
        pieces.append(text[position:start] + " " * (end + 3 - start))
        position = end + 3
    return "".join(pieces) + text[position:]


def _moved(finding: Finding, lines: int, columns: int) -> Finding:
    return Finding(
        rule=finding.rule,
        severity=finding.severity,
        message=finding.message,
        hint=finding.hint,
        line=finding.line + lines,
        column=finding.column + (columns if finding.line == 1 else 0),
    )


def _newlines(data: bytes) -> int:
    return len(re.findall(rb"\r\n|\r|\n", data))


def _finding(
    rule: str,
    severity: Severity,
    message: str,
    hint: str,
    *,
    line: int = 1,
    column: int = 1,
) -> Finding:
    return Finding(
        rule=rule, severity=severity, message=message, hint=hint, line=line, column=column
    )
