"""Quoting: golden vectors, and round trips through decoders written from the readers' rules."""

from __future__ import annotations

import base64
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner import quoting
from provisioner.quoting import ENCODINGS, UnquotableError

METACHARACTERS = "&<>\"'^%!|()`$;,=~#@[]{}\\/*?+-_.: ‘’‚‛äß€漢😀"
text = st.text(
    alphabet=st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffe\uffff")
)


@pytest.mark.parametrize(
    ("password", "element", "value"),
    [
        # Microsoft, "Hide sensitive data in an answer file".
        ("Password12346", "Password", "UABhAHMAcwB3AG8AcgBkADEAMgAzADQANgBQAGEAcwBzAHcAbwByAGQA"),
        # SvenGroot/GenerateAnswerFile, TestGenerateAdministratorPassword.xml.
        (
            "Password123",
            "AdministratorPassword",
            (
                "UABhAHMAcwB3AG8AcgBkADEAMgAzAEEAZABtAGkAbgBpAHMAdAByAGEAdABvAHIAUABhAHMAcwB3"
                "AG8AcgBkAA=="
            ),
        ),
        # windows-setup.md §5.2.
        ("", "Password", "UABhAHMAcwB3AG8AcgBkAA=="),
        ("Passw0rd!", "Password", "UABhAHMAcwB3ADAAcgBkACEAUABhAHMAcwB3AG8AcgBkAA=="),
        (
            "Passw0rd!",
            "AdministratorPassword",
            "UABhAHMAcwB3ADAAcgBkACEAQQBkAG0AaQBuAGkAcwB0AHIAYQB0AG8AcgBQAGEAcwBzAHcAbwByAGQA",
        ),
    ],
)
def test_unattend_password_vectors(password: str, element: str, value: str) -> None:
    assert quoting.unattend_password(password, element) == value
    assert ENCODINGS[f"unattend:{element}"](password) == value


@given(text)
def test_unattend_password_round_trip(password: str) -> None:
    value = base64.b64decode(quoting.unattend_password(password, "Password"))
    assert value.decode("utf-16-le") == password + "Password"


@pytest.mark.parametrize(
    ("plain", "quoted"),
    [
        ("a & b < c > d", "a &amp; b &lt; c &gt; d"),
        ("Zoë 漢 😀", "Zo&#235; &#28450; &#128512;"),
        ('"it\'s"', '"it\'s"'),
    ],
)
def test_xml_vectors(plain: str, quoted: str) -> None:
    assert quoting.xml(plain) == quoted


@given(text)
def test_xml_round_trip(plain: str) -> None:
    quoted = quoting.xml(plain)
    assert quoted.isascii()
    assert (ElementTree.fromstring(f"<a>{quoted}</a>").text or "") == plain


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("it's", "'it''s'"),
        ('$x `n "q" %p%', "'$x `n \"q\" %p%'"),
        ("‘a’ ‚b‛", "'‘‘a’’ ‚‚b‛‛'"),
        ("", "''"),
        (3010, "3010"),
        (-1, "-1"),
        (True, "$true"),
        ((0, 3010), "@(0, 3010)"),
        (("a'b", ()), "@('a''b', @())"),
    ],
)
def test_powershell_vectors(value: quoting.PowerShellValue, literal: str) -> None:
    assert quoting.powershell(value) == literal


def read_powershell(literal: str) -> str:
    """PowerShell's rule for '...' (its tokenizer's ScanStringLiteral): any of five characters is a
    quote; two in a row, not necessarily the same, stand for the second; a single one ends."""
    quotes = "'‘’‚‛"
    assert literal[0] in quotes
    found, at = [], 1
    while True:
        if literal[at] in quotes:
            if at + 1 < len(literal) and literal[at + 1] in quotes:
                at += 1
            else:
                assert at == len(literal) - 1, "characters behind the end of the literal"
                return "".join(found)
        found.append(literal[at])
        at += 1


@given(text)
def test_powershell_round_trip(plain: str) -> None:
    assert read_powershell(quoting.powershell(plain)) == plain


@given(st.text(alphabet="'‘’‚‛a$"))
def test_powershell_round_trip_of_quotes(plain: str) -> None:
    assert read_powershell(quoting.powershell(plain)) == plain


def test_powershell_keeps_line_breaks() -> None:
    assert quoting.powershell("a\n\tb") == "'a\n\tb'"


def read_echo(line: str) -> str:
    """What `echo(` prints of a batch file's line: `%%` becomes `%`, a caret hides what follows."""
    expanded = re.sub("%%", "\0", line)
    assert "%" not in expanded, "cmd would look for a variable"
    found, at = [], 0
    while at < len(expanded):
        if expanded[at] == "^":
            at += 1
        else:
            assert expanded[at] not in '()<>&|"', "cmd would read syntax"
        found.append(expanded[at])
        at += 1
    return "".join(found).replace("\0", "%")


@given(text)
def test_cmd_echo_round_trip(plain: str) -> None:
    assert read_echo(quoting.cmd_echo(plain)) == plain


def test_cmd_argument() -> None:
    assert quoting.cmd_argument("a & b %PATH% ^|<>()") == '"a & b %%PATH%% ^|<>()"'


@pytest.mark.parametrize("refused", ['a"b', "a!b", "a\nb"])
def test_cmd_argument_refuses(refused: str) -> None:
    with pytest.raises(UnquotableError):
        quoting.cmd_argument(refused)


@pytest.mark.parametrize(
    ("plain", "quoted"),
    [
        # Microsoft, "Parsing C command-line arguments".
        ("plain", "plain"),
        ("", '""'),
        ("a b c", '"a b c"'),
        ('ab"c', r'"ab\"c"'),
        ("\\", "\\"),
        (r"a\\\b", r"a\\\b"),
        ("a b\\", '"a b\\\\"'),
        (r"a\"b", r'"a\\\"b"'),
    ],
)
def test_windows_argument_vectors(plain: str, quoted: str) -> None:
    assert quoting.windows_argument(plain) == quoted


def split_command_line(line: str) -> list[str]:
    """CommandLineToArgvW for everything behind the program's name: 2n backslashes before a quote
    are n and the quote is syntax, 2n+1 are n and the quote is a character."""
    found: list[str] = []
    current, inside, started, at = "", False, False, 0
    while at < len(line):
        backslashes = len(line[at:]) - len(line[at:].lstrip("\\"))
        at += backslashes
        if line[at : at + 1] == '"':
            current += "\\" * (backslashes // 2)
            if backslashes % 2:
                current += '"'
            else:
                inside = not inside
            started = True
            at += 1
            continue
        current += "\\" * backslashes
        started = started or bool(backslashes)
        if at == len(line):
            break
        if line[at] in " \t" and not inside:
            if started:
                found.append(current)
            current, started = "", False
        else:
            current, started = current + line[at], True
        at += 1
    return [*found, current] if started else found


@given(st.lists(st.one_of(text, st.text(alphabet='\\" a')), max_size=4))
def test_windows_command_line_round_trip(arguments: list[str]) -> None:
    assert split_command_line(quoting.windows_command_line(arguments)) == arguments


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "plain"])
@pytest.mark.parametrize("character", ["\0", "\x07", "\x1b", "\x7f", "\x85"])
def test_every_encoding_refuses_control_characters(encoding: str, character: str) -> None:
    secret = f"Secret{character}Value"
    with pytest.raises(UnquotableError) as caught:
        ENCODINGS[encoding](secret)
    assert "Secret" not in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("encoding", ["xml", "unattend:Password", "powershell"])
def test_every_metacharacter_works(encoding: str) -> None:
    assert ENCODINGS[encoding](METACHARACTERS)


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(UnquotableError):
        quoting.xml("\ud800")
    with pytest.raises(UnquotableError):
        quoting.unattend_password("\ud800", "Password")


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("/quiet", "/quiet"),
        ("C:\\logs\\", "C:\\logs\\"),
        ("", '""'),
        ("C:\\my logs\\", '"C:\\my logs\\\\"'),
        ("a&b", '"a&b"'),
        ("50%", '"50%%"'),
    ],
)
def test_cmd_program_argument(text: str, quoted: str) -> None:
    """What cmd and then the C runtime read; run by Wine's in tests/unit/answers/test_wine.py."""
    assert quoting.cmd_program_argument(text) == quoted


def test_cmd_msi_argument() -> None:
    assert quoting.cmd_msi_argument("INSTALLDIR=C:\\My Tools") == 'INSTALLDIR="C:\\My Tools"'
    assert quoting.cmd_msi_argument("ADDLOCAL=ALL") == "ADDLOCAL=ALL"
    assert quoting.cmd_msi_argument("/log x") == '"/log x"'


def test_cmd_beside() -> None:
    assert quoting.cmd_beside("01-x\\set.up") == '"%~dp001-x\\set.up"'
    for refused in ("a b", "a%b", "a'b", "", "a\nb", 'a"b'):
        with pytest.raises(UnquotableError):
            quoting.cmd_beside(refused)
