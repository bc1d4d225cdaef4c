"""A clock that moves only when somebody sleeps on it."""

from __future__ import annotations


class FakeClock:
    """`sleep` returns at once and moves `now` and `monotonic`; `slept` keeps every wait."""

    def __init__(self, *, now: float = 1_780_000_000.0) -> None:
        self._start = now
        self._elapsed = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self._start + self._elapsed

    def monotonic(self) -> float:
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        if seconds < 0:
            raise ValueError(f"sleep of {seconds} s")
        self.slept.append(seconds)
        self._elapsed += seconds

    def advance(self, seconds: float) -> None:
        """Time passes without anybody having waited."""
        self._elapsed += seconds
