"""What a pool says while others use it. The rest of it: tests/contract, on a real daemon."""

from __future__ import annotations

import libvirt
import pytest

from provisioner.host.libvirt_storage import refresh, started

BUSY = "internal error: pool 'provisioner' has asynchronous jobs running."


class Pool:
    """Refuses with these texts, one a time, and then does it."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.refreshed = 0

    def refresh(self, flags: int) -> None:
        if self.texts:
            raise libvirt.libvirtError(self.texts.pop(0))
        self.refreshed += 1


def test_another_machine_uploads_to_the_pool() -> None:
    pool = Pool(BUSY, BUSY, BUSY)
    refresh(pool)
    assert pool.refreshed == 1


def test_other_refusals_are_told_at_once() -> None:
    pool = Pool("cannot open directory", BUSY)
    with pytest.raises(libvirt.libvirtError, match="cannot open directory"):
        refresh(pool)
    assert len(pool.texts) == 1


def test_a_pool_that_stays_busy_is_told_in_the_end() -> None:
    pool = Pool(*[BUSY] * 4)
    with pytest.raises(libvirt.libvirtError, match="asynchronous jobs"):
        refresh(pool, tries=3)


class Starting:
    """Somebody else starts it: it refuses a few times, and is active then."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def isActive(self) -> bool:  # libvirt's name
        return not self.refusals

    def create(self, flags: int) -> None:
        self.refusals -= 1
        raise libvirt.libvirtError("storage pool 'provisioner' is starting up")


def test_another_machine_starts_the_pool() -> None:
    pool = Starting(3)
    started(pool)
    assert pool.isActive()


def test_a_pool_that_cannot_be_started_is_told() -> None:
    with pytest.raises(libvirt.libvirtError, match="starting up"):
        started(Starting(5), tries=2)
