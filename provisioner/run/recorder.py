"""Writes what happens to a machine into its timeline, and tells the console the same.

Nothing here may end an installation: a full disk is told once, and the machine goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from provisioner.errors import ProvisionerError
from provisioner.guest.screen import png
from provisioner.ports import Clock, Console, Picture, SerialPosition
from provisioner.store.machine import MachineStore
from provisioner.store.timeline import Moment, Origin

MOST_BYTES = 16 * 2**20
"""A guest that floods the serial port fills no disk of ours: from here on only the end is told."""

MOST_SCREENS = 200
"""Pictures of one installation."""

LAST_WORDS = frozenset({"ready", "failed", "stalled", "gap", "ended", "ejected", "started"})
"""What is recorded even when the timeline is full."""


class Recorder:
    """The one who writes a machine's timeline. `began` is the start, in monotonic seconds."""

    def __init__(
        self, *, store: MachineStore, clock: Clock, console: Console, began: float
    ) -> None:
        self._store = store
        self._clock = clock
        self._console = console
        self._complained = False
        self._full = False
        self._screens = len(store.screens()) if store.folder.exists() else 0
        self.began = began

    def elapsed(self) -> float:
        """Seconds since the start."""
        return max(0.0, self._clock.monotonic() - self.began)

    def note(
        self,
        event: str,
        members: Mapping[str, Any] | None = None,
        *,
        origin: Origin = Origin.HOST,
        position: SerialPosition | None = None,
    ) -> None:
        """One moment, now."""
        elapsed = round(self.elapsed(), 1)
        told = {**(members or {}), "elapsed": elapsed}
        log = {} if position is None else {"log": [position.file, position.offset]}
        moment = Moment(at=self._clock.now(), event=event, origin=origin, members={**told, **log})
        self._write(moment)
        self._console.moment(event, {"origin": origin.value, "at": round(moment.at, 3), **told})

    def picture(self, picture: Picture, *, stage: str) -> None:
        """Adds a picture to the filmstrip."""
        if self._screens >= MOST_SCREENS:
            return
        self._screens += 1
        name = f"screen-{self._screens:03}-{re.sub(r'[^a-z0-9-]', '', stage)[:40] or 'stage'}.png"
        try:
            data = png(picture)
            path = self._store.folder / name
            path.write_bytes(data)
            path.chmod(0o600)
        except ProvisionerError:
            return  # no picture, then
        except OSError as err:
            self._complain(err)
            return
        self.note("screen", {"file": name, "stage": stage})

    def _write(self, moment: Moment) -> None:
        timeline = self._store.timeline
        if moment.event not in LAST_WORDS and timeline.size() > MOST_BYTES:
            if not self._full:
                self._full = True
                self.note("gap", {"reason": "the timeline is full: the guest says too much"})
            return
        try:
            timeline.append(moment)
        except OSError as err:
            self._complain(err)

    def _complain(self, err: OSError) -> None:
        if not self._complained:
            self._complained = True
            self._console.warn(
                f"the timeline cannot be written to {self._store.folder}: "
                f"{err.strerror or err}; the installation goes on"
            )
