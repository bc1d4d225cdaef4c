"""How fast a stage goes: from what the guest reports of itself, else from byte counters. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.guest.inference import MOVED, Counters


class Throughput:
    """Gives the members of `progress` moments, for the stage that is running."""

    def __init__(self, usual_bytes: int | None = None) -> None:
        self.usual_bytes = usual_bytes
        """What earlier runs had read from the discs when the image was applied."""
        self._own = False
        self._last: tuple[float, int] | None = None
        self._counted_at: float | None = None
        self._moving = False

    def entered(self) -> None:
        """Another stage begins."""
        self._own, self._last = False, None

    def reported(
        self, members: Mapping[str, Any], done: int | None, *, now: float
    ) -> dict[str, Any]:
        """The guest's own members, with a rate where two reports give one."""
        self._own = True
        before, self._last = self._last, None if done is None else (now, done)
        if before is None or done is None or now <= before[0] or done < before[1]:
            return dict(members)
        return {"rate": round((done - before[1]) / (now - before[0])), **members}

    def counted(
        self, stage: str, before: Counters, after: Counters, *, now: float
    ) -> dict[str, Any] | None:
        """New counters; None where there is nothing to tell.

        Applying the image is measured by what is read from the discs, because that ends at the
        same place every time; any other stage by everything that is read and written.
        """
        since, self._counted_at = self._counted_at, now
        if since is None or now <= since or self._own:
            return None
        image = stage == "image"
        moved = after.disc_read - before.disc_read
        if not image:
            moved += after.disk_read - before.disk_read
            moved += after.disk_written - before.disk_written
        moves = moved >= MOVED
        if not moves and not self._moving:
            return None
        self._moving = moves
        rate = round(moved / (now - since)) if moves else 0
        if not image:
            return {"stage": stage, "done": None, "total": None, "rate": rate}
        total = max(self.usual_bytes, after.disc_read) if self.usual_bytes else None
        return {"stage": stage, "done": after.disc_read, "total": total, "rate": rate}
