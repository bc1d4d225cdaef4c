"""No form of a secret survives; what is no secret does."""

from __future__ import annotations

import base64
import json
import time
import urllib.parse

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.autopsy.mask import DELETED, MASK, Mask, secrets_in
from provisioner.quoting import ENCODINGS
from tests.integration.canary import leaks_in_bytes, secret_with

MARKER = "Zq7KanariAutopsy9x"
SECRET = secret_with(MARKER)


def wrapped(data: bytes) -> str:
    return "; ".join(
        [
            f"b64 {base64.b64encode(data).decode()}",
            f"b64 {base64.b64encode(b'x' + data).decode()}",
            f"b64 {base64.b64encode(b'xy' + data + b'z').decode()}",
            f"hex {data.hex()} {data.hex().upper()}",
        ]
    )


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
def test_every_encoding_of_the_answer_disc(encoding: str) -> None:
    secret = SECRET.replace('"', "").replace("!", "") if encoding == "cmd" else SECRET
    text = f"before {ENCODINGS[encoding](secret)} after"
    masked = Mask([secret])(text)
    assert leaks_in_bytes(masked.encode(), [MARKER], "text") == []
    assert masked.startswith("before ") and masked.endswith(" after")
    assert MASK in masked


def test_every_other_form() -> None:
    text = "\n".join(
        [
            f"cmd /c net user dev {SECRET} /add",
            json.dumps({"password": SECRET}),
            urllib.parse.quote(SECRET),
            wrapped(SECRET.encode()),
            wrapped(SECRET.encode("utf-16-le")),
            SECRET.encode("utf-16-le").decode("cp1252", "replace"),
            SECRET.encode("utf-16-le").decode("utf-8", "replace").replace("\0", ""),
            SECRET.encode("cp850", "replace").decode("cp1252", "replace"),
            f"cut in two: {MARKER[:16]}",
            f"cut in two: {SECRET[5:60]}",
            "powershell -EncodedCommand "
            + base64.b64encode(f"net user dev {SECRET}".encode("utf-16-le")).decode(),
        ]
    )
    assert leaks_in_bytes(text.encode(), [MARKER], "text") != [], "the test would prove nothing"
    masked = Mask([SECRET])(text)
    assert leaks_in_bytes(masked.encode(), [MARKER], "text") == []
    assert MARKER[:15] not in masked


def test_what_an_answer_file_holds_is_learnt_and_masked_elsewhere() -> None:
    hidden = ENCODINGS["unattend:AdministratorPassword"](SECRET)
    answers = (
        "<UserAccounts><AdministratorPassword><Value>"
        f"{hidden}</Value><PlainText>false</PlainText></AdministratorPassword>"
        "<LocalAccount><Password>\r\n  <Value>simple&amp;one</Value></Password></LocalAccount>"
        "<Credentials><Password>JoinMe12</Password></Credentials></UserAccounts>"
    )
    learnt = secrets_in(answers)
    assert {SECRET, "simple&one", "JoinMe12"} <= learnt
    mask = Mask(learnt)
    log = f"logon with {SECRET}, then simple&one and JoinMe12"
    assert mask(log) == f"logon with {MASK}, then {MASK} and {MASK}"
    assert "JoinMe12" not in mask(answers) and hidden not in mask(answers)


def test_places_are_masked_without_knowing_the_value() -> None:
    text = (
        "<Password><Value>abc</Value></Password><wcm:Password>q</wcm:Password>\n"
        f"<Password><Value>{DELETED}</Value></Password>\n"
        "<Password><Value>[users.dev: environment variable X]</Value></Password>\n"
        'net user dev "hunter 2" /add\nnet user "the dev" hunter2\n'
        "reg add HKLM\\x /v DefaultPassword /t REG_SZ /d hunter2 /f\n"
        '"password": "hunter2",\nDefaultPassword = hunter2\n'
        "ConvertTo-SecureString 'hunter2' -AsPlainText\n"
        "<ProductKey><Key>W269N-WFGWX-YVC9B-4J6C9-T83GX</Key></ProductKey>\n"
    )
    masked = Mask([])(text)
    assert "hunter" not in masked and ">abc<" not in masked and ">q<" not in masked
    assert DELETED in masked and "environment variable X" in masked
    assert "XXXXX-XXXXX-XXXXX-XXXXX-T83GX" in masked and "W269N" not in masked


def test_short_secrets_do_not_eat_words() -> None:
    assert Mask(["pin", ""])("the pin: spinning pin") == f"the {MASK}: spinning {MASK}"


def test_hostile_lines_take_no_hours() -> None:
    """A guest knows its own password, and may write it, and what looks like one, without end."""
    hidden = base64.b64encode((SECRET + "Password").encode("utf-16-le")).decode()
    mask = Mask([SECRET, "another-secret-of-24-char"])
    began = time.process_time()
    for line in (
        "/d a " * 100_000,
        "/d " + "a" * 500_000,
        "DefaultPassword " * 40_000,
        "<Password>" * 50_000 + "<" + "P" * 500_000,
        "net user " * 60_000 + "net" + " " * 300_000,
        hidden * 2_000,
        SECRET * 4_000,
        SECRET.encode().hex() * 300,
        SECRET[3:12] * 40_000,
        "'" * 500_000 + "ConvertTo-SecureString '" * 20_000,
        "A" * 1_000_000,
    ):
        assert MARKER not in mask(line)
    assert time.process_time() - began < 20


def test_a_log_of_two_megabytes_is_masked_in_time() -> None:
    line = "2026-11-22 10:00:00, Info SETUP  Windows/Panther/UnattendGC/setupact.log says hello\n"
    masked = Mask([SECRET, "another-secret-of-24-char"])(line * 25_000 + SECRET)
    assert masked.count(line) == 25_000 and MARKER not in masked


@settings(max_examples=60)
@given(
    secret=st.text(
        st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_categories=("Cc", "Cs")),
        min_size=4,
        max_size=40,
    ).filter(lambda text: text.strip() == text and not text.isspace()),
    before=st.text(alphabet="abc <>&", max_size=10),
)
def test_no_secret_survives(secret: str, before: str) -> None:
    masked = Mask([secret])(f"{before}\n{secret}\n{ENCODINGS['unattend:Password'](secret)}\n")
    assert secret not in masked or secret in MASK or secret in before
    hidden = base64.b64encode((secret + "Password").encode("utf-16-le")).decode()
    assert hidden not in masked
