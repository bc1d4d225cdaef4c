"""How far one long thing is: rate, time left, and the line that shows them. Writes nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from provisioner.cli.layout import amount, cells, duration, shortened

DELAY = 1.0
"""Seconds before a bar is worth drawing."""
WORTH_TELLING = 2.0
"""Seconds from which a thing that is done gets a line of the story."""
WINDOW = 10.0
"""The rate is that of the last so many seconds."""

WIDEST_BAR = 24
NARROWEST_BAR = 6


class Transfer:
    """One thing that is under way, in bytes. Times are seconds of a clock that never jumps."""

    def __init__(self, label: str, *, now: float, plain: bool = False) -> None:
        self.label = label
        self.began = now
        self.done = 0
        self.total: int | None = None
        self._full, self._empty = ("#", ".") if plain else ("█", "░")
        self._samples: deque[tuple[float, int]] = deque()

    def update(self, done: int, total: int | None, *, now: float) -> None:
        """Notes how far it is. The first amount is where it started, as after a resume."""
        self.done, self.total = done, total
        self._samples.append((now, done))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()

    @property
    def finished(self) -> bool:
        """Whether the last update said that nothing is left."""
        return self.total is not None and self.done >= self.total

    def rate(self) -> float | None:
        """Bytes per second lately; None as long as nothing can be said."""
        (began, first), (now, done) = self._samples[0], self._samples[-1]
        if now <= began or done <= first:
            return None
        return (done - first) / (now - began)

    def line(self, width: int) -> str:
        """The line that shows it, in at most `width` cells: what matters least goes first."""
        rate = self.rate()
        speed = f"{amount(rate)}/s" if rate else ""
        if not self.total:
            count = amount(self.done)
            for shown in ([self.label, count, speed], [self.label, count], [count]):
                if cells(line := _joined(shown)) <= width:
                    return line
            return shortened(count, width)
        share = min(self.done, self.total) / self.total
        percent = f"{int(100 * share):3} %"
        left = f"{duration((self.total - self.done) / rate)} left" if rate else ""
        for numbers in ([percent, speed, left], [percent, left], [percent]):
            bar = min(WIDEST_BAR, width - cells(_joined([self.label, *numbers])) - 2)
            if bar >= NARROWEST_BAR:
                filled = int(bar * share)
                drawn = self._full * filled + self._empty * (bar - filled)
                return _joined([self.label, drawn, *numbers])
        room = width - cells(percent) - 4
        return shortened(_joined([shortened(self.label, max(room, 0)), percent]), width)

    def summary(self, *, now: float) -> str:
        """`image  5.1 GiB in 0:52 (100 MiB/s)`."""
        seconds = now - self.began
        return (
            f"  {self.label}  {amount(self.done)} in {duration(seconds)}"
            f" ({amount(self.done / seconds)}/s)"
        )


def _joined(parts: Sequence[str]) -> str:
    return "  " + "  ".join(part for part in parts if part)
