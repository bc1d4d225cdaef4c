"""Turns a value into the characters of one place: XML, cmd, PowerShell, a hidden password.

Pure functions. Each refuses what its place cannot hold, and never puts the value in a message,
because the value may be a secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from provisioner.errors import ProvisionerError
from provisioner.pattern import pattern

PowerShellValue = str | bool | int | Sequence["PowerShellValue"]
"""What can stand in a PowerShell script as a literal."""

_CONTROL = pattern("[\x00-\x1f\x7f-\x9f]")
_CONTROL_BUT_SPACE = pattern("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NO_XML = pattern("[\ud800-\udfff\ufffe\uffff]")
_SINGLE_QUOTES = pattern("['‘’‚‛]")
_BACKSLASHES_AND_QUOTE = pattern(r'(\\*)"')
_TRAILING_BACKSLASHES = pattern(r"(\\+)\Z")
_XML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_CMD_SPECIAL = pattern(r'[()<>&|^"!]')
_CMD_PLAIN = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.\\-]*")
_CMD_WORD = pattern(r"[A-Za-z0-9_./:=\\+@*-]+")
_MSI_PROPERTY = pattern(r"([A-Za-z_][A-Za-z0-9_.]*)=(.*)")
_ARGV_PLAIN = pattern(r"[^\s\"\x00-\x20]+")


class UnquotableError(ProvisionerError):
    """The value holds a character that its place cannot hold."""

    exit_code = 2


def _refuse(text: str, forbidden: re.Pattern[str], place: str) -> None:
    if found := forbidden.search(text):
        raise UnquotableError(
            f"character U+{ord(found[0]):04X}, number {found.start() + 1}, cannot stand in {place}",
            hint="use printable characters only",
        )


def single_line(text: str, place: str) -> str:
    """`text` itself, if it has no control characters and no line breaks."""
    if not text.isprintable():
        _refuse(text, _CONTROL, place)
        _refuse(text, _NO_XML, place)
    return text


def xml(text: str) -> str:
    """Element text in ASCII: references for markup and for everything that is not ASCII.

    Setup expects a file declared as utf-8 and mishandles raw non-ASCII in it (windows-setup.md
    §6.7, unattend-generator commit 61b5a73).
    """
    single_line(text, "an XML element")
    return text.translate(_XML).encode("ascii", "xmlcharrefreplace").decode("ascii")


def unattend_password(text: str, element: str) -> str:
    """A password as Setup reads it with `<PlainText>false</PlainText>`.

    base64(UTF-16LE(password + element name)), no BOM; the suffix is `Password` for LocalAccount and
    AutoLogon, `AdministratorPassword` for that element (windows-setup.md §5.2; Microsoft, "Hide
    sensitive data in an answer file"). It hides nothing from anybody who wants to know.
    """
    single_line(text, "a Windows password")
    return base64.b64encode((text + element).encode("utf-16-le")).decode("ascii")


def powershell(value: PowerShellValue) -> str:
    """A PowerShell literal: single-quoted text, a whole number, `$true`, or `@(...)` of those.

    Inside single quotes only the quote itself is special, and PowerShell takes U+2018 to U+201B for
    one too (its lexer, CharTraits.IsSingleQuote); each is doubled. Line breaks are kept.
    """
    match value:
        case bool():
            return "$true" if value else "$false"
        case int():
            return str(value)
        case str():
            _refuse(value, _CONTROL_BUT_SPACE, "a PowerShell string")
            _refuse(value, _NO_XML, "a PowerShell string")
            return "'" + _SINGLE_QUOTES.sub(lambda quote: quote[0] * 2, value) + "'"
        case _:
            return "@(" + ", ".join(powershell(item) for item in value) + ")"


def cmd_argument(text: str) -> str:
    """One argument inside a batch file: double quotes, `%` doubled.

    Between double quotes cmd leaves `& | < > ^ ( )` alone and still expands `%`. It has no way to
    write a double quote there that every program reads alike, so that is refused, as is `!`
    (expanded where delayed expansion is on).
    """
    single_line(text, "a cmd argument")
    _refuse(text, re.compile('["!]'), "a cmd argument")
    return '"' + text.replace("%", "%%") + '"'


def cmd_plain(text: str) -> str:
    """A name of our own making that cmd, PowerShell and programs read as it stands."""
    if not _CMD_PLAIN.fullmatch(text):
        raise UnquotableError("this is no plain name", hint="use letters, digits, '.', '-' and '_'")
    return text


def cmd_beside(path: str) -> str:
    """A file beside the batch file, wherever that lies: drive letters differ between boots."""
    return f'"%~dp0{cmd_plain(path)}"'


def cmd_program_argument(text: str) -> str:
    """One argument of a program that a batch file starts, as cmd and then the C runtime read it.

    As `cmd_argument`, and backslashes before the closing quote are doubled (see
    `windows_argument`).
    """
    if _CMD_WORD.fullmatch(text):
        return text
    quoted = cmd_argument(text)
    return _TRAILING_BACKSLASHES.sub(r"\1\1", quoted[:-1]) + '"'


def cmd_msi_argument(text: str) -> str:
    """The same for msiexec, which wants a property's quotes behind its `=`: `DIR="C:\\My Dir"`."""
    if _CMD_WORD.fullmatch(text):
        return text
    if found := _MSI_PROPERTY.fullmatch(text):
        return f"{found[1]}={cmd_program_argument(found[2])}"
    return cmd_program_argument(text)


def cmd_echo(text: str) -> str:
    """Text behind `echo(` in a batch file: carets before what cmd reads as syntax, `%` doubled."""
    single_line(text, "a cmd echo")
    return _CMD_SPECIAL.sub(lambda found: "^" + found[0], text).replace("%", "%%")


def windows_argument(text: str) -> str:
    """One argument of a CreateProcess command line, as the C runtime splits it.

    Backslashes are literal unless a double quote follows; then each is doubled (Microsoft, "Parsing
    C command-line arguments").
    """
    single_line(text, "a command line")
    if _ARGV_PLAIN.fullmatch(text):
        return text
    escaped = _BACKSLASHES_AND_QUOTE.sub(r'\1\1\\"', text)
    return '"' + _TRAILING_BACKSLASHES.sub(r"\1\1", escaped) + '"'


def windows_command_line(arguments: Sequence[str]) -> str:
    """A whole CreateProcess command line."""
    return " ".join(windows_argument(argument) for argument in arguments)


def plain(text: str) -> str:
    """The value as it is: for files that hold nothing else."""
    return text


ENCODINGS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "xml": xml,
        "unattend:Password": lambda text: unattend_password(text, "Password"),
        "unattend:AdministratorPassword": lambda text: unattend_password(
            text, "AdministratorPassword"
        ),
        "powershell": powershell,
        "cmd": cmd_argument,
        "plain": plain,
    }
)
"""What `SecretSlot.encoding` names: how a writer turns the secret into text."""
