"""What Setup takes out of its cached copy of the answer file."""

from __future__ import annotations

from tests.standin.setup.installed import redacted
from tests.standin.setup.passwords import REDACTED

ENCODED = "UABhAHMAcwB3"
KEY = "VK7JG-NPHTM-C97JM-9MPGT-3V66T"


def test_passwords_and_key_go(sample: str) -> None:
    text = redacted(sample)
    assert ENCODED not in text
    assert KEY not in text
    assert text.count(REDACTED) == 4


def test_everything_else_stays(sample: str) -> None:
    text = redacted(sample)
    for value in ("STAND-01", "<Value>2</Value>", "<Name>erika</Name>", "PlainText>false"):
        assert text.count(value) == sample.count(value)


def test_other_forms() -> None:
    text = (
        "<Credentials><Domain>d</Domain><Password>secret</Password></Credentials>"
        "<Password><PlainText>true</PlainText><Value>secret</Value></Password>"
        "<Password><Value/></Password><MetaData><Value>2</Value></MetaData>"
    )
    assert "secret" not in redacted(text)
    assert "<Value>2</Value>" in redacted(text)
