"""Ctrl-C that comes in the middle of a call: the call ends first, and the interrupt is not lost."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from provisioner.host.keeper_wire import Line
from provisioner.host.signals import ENDING, held_back


@pytest.fixture(autouse=True)
def as_in_a_terminal() -> Iterator[None]:
    """Whoever started the tests may have turned Ctrl-C off."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in ENDING]


@pytest.mark.parametrize("number", ENDING)
def test_the_block_ends_first(number: int) -> None:
    before, done = handlers(), False
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(number)
        done = True
    assert done and handlers() == before


def test_a_second_signal_is_not_held_back() -> None:
    before, begun = handlers(), False
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)
        begun = True
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("the second signal waited")
    assert begun and handlers() == before


def test_an_error_in_the_block_does_not_lose_the_signal() -> None:
    with pytest.raises(KeyboardInterrupt), held_back():
        signal.raise_signal(signal.SIGINT)
        raise OSError("the connection is gone")


def test_without_a_signal_nothing_is_different() -> None:
    before = handlers()
    with held_back():
        assert handlers() != before
    with pytest.raises(ZeroDivisionError), held_back():
        raise ZeroDivisionError
    assert handlers() == before


def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_are_never_interrupted() -> None:
    before, seen = handlers(), []

    def work() -> None:
        with held_back():
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


ANSWERING = """
import os, random, signal, sys, time
while question := sys.stdin.buffer.readline():
    os.write(1, question)
    until = time.perf_counter() + random.uniform(0, 0.0001)
    while time.perf_counter() < until:
        pass
    os.kill(os.getppid(), signal.SIGINT)
"""
"""Another process: one that shares our interpreter would never be quick enough."""


def exchange(line: Line, number: int) -> None:
    with held_back():
        line.send({"number": number})
        assert line.receive() == {"number": number}
    for _ in range(2000):  # a sleep may begin when the signal is there and its handler has not run
        time.sleep(0.01)
    pytest.fail("the signal was lost")


def test_no_answer_is_ever_lost() -> None:
    """A signal just when the answer arrives: it is the answer to this question, and is got."""
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(20)
        line = Line(here)
        argv = [sys.executable, "-S", "-c", ANSWERING]
        with subprocess.Popen(argv, stdin=there, stdout=there):
            for number in range(1000):
                with pytest.raises(KeyboardInterrupt):
                    exchange(line, number)
            here.shutdown(socket.SHUT_RDWR)
