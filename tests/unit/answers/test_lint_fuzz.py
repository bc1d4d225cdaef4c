"""Any bytes end in findings: no other exception, no endless loop, no place outside the file."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.answers.lint import MOST_FINDINGS, TARGETS, Purpose, lint
from provisioner.answers.settings import SettingsTableError, read_table
from provisioner.plan.rules.sarif import sarif
from tests.unit.answers.answer_files import GOOD

GOOD_BYTES = GOOD.encode()
PIECES = [
    b"<", b">", b"&", b'"', b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?xml", b"?>", b"\0", b"\xff",
    b"</settings>", b"<component>", b" xmlns=''", b"&#0;", b"&#x41;", b"\r", b"\xc3\xa4",
    b"<a:b/>", b"\xef\xbb\xbf", b"9" * 400, b"wcm:action='add'",
]  # fmt: skip
SEEDS = range(40)


def _checked(data: bytes, purpose: Purpose) -> None:
    problems = lint(data, file="a.xml", purpose=purpose)
    assert len(problems) <= MOST_FINDINGS + 1
    for problem in problems:
        assert problem.rule.startswith("lint.")
        assert problem.message
        place = problem.place
        assert place is not None
        assert place.line >= 0 and place.column >= 0 and place.length >= 1
        if place.source is not None:
            assert len(place.source) <= 300
            assert "\n" not in place.source
    sarif(problems)


def _mutated(random_: random.Random) -> bytes:
    data = bytearray(GOOD_BYTES)
    for _ in range(random_.randint(1, 12)):
        at, to = sorted((random_.randrange(len(data) + 1), random_.randrange(len(data) + 1)))
        match random_.randrange(7):
            case 0:
                del data[at : min(to, at + 200)]
            case 1:
                data[at:at] = data[at : min(to, at + 400)]
            case 2:
                data[at:at] = random_.choice(PIECES)
            case 3 if data:
                data[min(at, len(data) - 1)] = random_.randrange(256)
            case 4:
                del data[at:]
            case 5:
                data[at:at] = random_.randbytes(random_.randrange(1, 40))
            case _:
                data[:] = bytes(data).replace(b"\n", random_.choice([b"\r\n", b"\r", b""]), 40)
        if not data:
            data += b"<"
    return bytes(data)


@pytest.mark.parametrize("seed", SEEDS)
def test_mutated_files(seed: int) -> None:
    """Forty inputs for each seed."""
    random_ = random.Random(seed)
    targets = [None, *TARGETS.values()]
    for _ in range(40):
        purpose = Purpose(
            windows=random_.choice(targets), firmware=random_.choice([None, "bios", "uefi"])
        )
        data = _mutated(random_)
        if random_.random() < 0.1:
            data = data.decode("utf-8", "replace").encode(random_.choice(["utf-16", "utf-32"]))
        _checked(data, purpose)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    _checked(data, Purpose())


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(max_size=200))
def test_any_text_as_a_value(text: str) -> None:
    data = GOOD.replace("W. Europe Standard Time", text.replace("<", "&lt;"))
    _checked(data.encode("utf-8", "surrogatepass"), Purpose())


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.lists(st.text(max_size=12), min_size=1, max_size=12), max_size=6))
def test_any_table(rows: list[list[str]]) -> None:
    text = "\n".join("\t".join(row) for row in rows)
    with contextlib.suppress(SettingsTableError):
        read_table(text)


def test_a_guard_taken_away_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the door around expat the same inputs escape."""
    import provisioner.answers.lint as linter

    def unguarded(text: str) -> object:
        from xml.etree import ElementTree

        return ElementTree.fromstring(text)

    monkeypatch.setattr(linter, "parse", unguarded)
    escaped = 0
    for seed in range(5):
        try:
            _checked(_mutated(random.Random(seed)), Purpose())
        except Exception:
            escaped += 1
    assert escaped
