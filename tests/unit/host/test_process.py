"""Other programs: their output, their failures, their time limit."""

from __future__ import annotations

import time

import pytest

from provisioner.errors import FailedError, HostError
from provisioner.host.process import run


def test_output_and_input() -> None:
    assert run(("printf", "%s", "a b; $HOME"), timeout=5) == b"a b; $HOME"
    assert run(("cat",), timeout=5, stdin=b"in") == b"in"
    assert run(("cat",), timeout=5) == b""


def test_environment() -> None:
    assert run(("env",), timeout=5, environment={"PATH": "/usr/bin:/bin", "A": "1"}) == (
        b"PATH=/usr/bin:/bin\nA=1\n"
    )


def test_a_missing_program_says_what_to_install() -> None:
    with pytest.raises(HostError, match="no-such-program is not installed") as caught:
        run(("no-such-program",), timeout=5, hint="apt install it")
    assert caught.value.hint == "apt install it"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo first >&2; echo last >&2; exit 3", "last$"),
        ("exit 3", "exit code 3$"),
        ("kill -9 $$", "signal 9$"),
    ],
)
def test_failures(script: str, words: str) -> None:
    with pytest.raises(FailedError, match=words):
        run(("sh", "-c", script), timeout=5)


def test_a_time_limit_ends_the_children_too() -> None:
    begin = time.monotonic()
    with pytest.raises(FailedError, match="did not finish within"):
        run(("sh", "-c", "sleep 30 & sleep 30; true"), timeout=0.2)
    assert time.monotonic() - begin < 5
