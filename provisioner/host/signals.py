"""Holds Ctrl-C back while something must not be left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM)

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def held_back() -> Iterator[None]:
    """A signal that is to end us takes effect at the end of the block; a second one at once.

    Python runs handlers between any two of its instructions: `recv` may have taken an answer that
    nobody has got yet when KeyboardInterrupt comes. Only the main thread is ever interrupted.
    """
    handlers: dict[int, Handler] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {
            number: found for number in ENDING if callable(found := signal.getsignal(number))
        }
    held: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        held.append(number)
        if len(held) > 1:
            handlers[number](number, frame)

    try:
        with ExitStack() as stack:
            for number, handler in handlers.items():
                stack.callback(signal.signal, number, handler)
                signal.signal(number, hold)
            yield
    finally:
        if len(held) == 1:
            handlers[held[0]](held[0], None)
