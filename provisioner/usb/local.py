"""This machine, really: sysfs, and three ways to open a stick, in this order: directly, through
udisks, through the elevated helper."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from provisioner.errors import FailedError, HostError, ProvisionerError
from provisioner.host import udisks
from provisioner.host.disk import OpenDisk, open_disk
from provisioner.host.process import run
from provisioner.usb.device import Device
from provisioner.usb.devices import Chosen, Disk, UseKind
from provisioner.usb.devices_sysfs import System
from provisioner.usb.devices_uses import Kernel
from provisioner.usb.gates import Request, opening_error
from provisioner.usb.remote import HelperDevice

ELEVATORS = ("sudo", "pkexec")
SETTLE = 15
"""Seconds that udev may take with a new partition table."""


@dataclass(frozen=True, kw_only=True)
class LocalMachine:
    """`bus`: where udisks is asked, None for nowhere; `elevate`: how the helper is started, a
    command's first words; empty for never. None is the first of sudo and pkexec that is there."""

    system: System = field(default_factory=System)
    bus: str | None = "SYSTEM"
    elevate: Sequence[str] | None = None
    helper: Sequence[str] = (sys.executable, "-I", "-m", "provisioner.usb.helper")

    def disks(self) -> tuple[Disk, ...]:
        """From sysfs."""
        return self.system.disks()

    def kernel(self) -> Kernel:
        """From sysfs and mountinfo."""
        return self.system.kernel()

    def disk_of_number(self, number: str) -> Disk | None:
        """From sysfs."""
        return self.system.disk_of_number(number)

    def open(self, chosen: Chosen, request: Request) -> Device:
        """Directly where the node lets us, or nothing else is left."""
        write = not request.reading
        node = Path(chosen.node)
        if os.access(node, os.R_OK | (os.W_OK if write else 0)) or not self._others:
            try:
                return open_disk(node, write=write)
            except OSError as err:
                raise opening_error(err, chosen) from err
        try:
            found = self._by_udisks(chosen, write=write)
        except OSError as err:
            raise opening_error(err, chosen) from err
        if found is not None:
            return found
        words = self._elevator()
        if words is None:
            raise HostError(
                f"{chosen.node} may not be opened by you",
                hint="install udisks2, or sudo, or run this as root",
            )
        return HelperDevice((*words, *self.helper), chosen, request)

    def unmount(self, disk: Disk) -> None:
        """Every mount of the disk and of its partitions, the last first."""
        mounts = [use for use in disk.uses if use.kind is UseKind.MOUNT and len(use.chain) <= 2]
        if self._others and not os.access(disk.node, os.W_OK):
            self._unmount_by_udisks(disk, sorted({use.chain[-1] for use in mounts}))
            return
        for use in reversed(mounts):
            run(
                ["umount", "--", use.where],
                timeout=120,
                hint=f"close what uses {use.where}, then try again",
            )

    def settle(self) -> None:
        """Where there is udev."""
        if shutil.which("udevadm"):
            try:
                run(["udevadm", "settle", f"--timeout={SETTLE}"], timeout=SETTLE + 5)
            except ProvisionerError:
                return  # slow, and nothing of ours depends on it

    def pause(self, seconds: float) -> None:
        """Sleeps."""
        time.sleep(seconds)

    @property
    def _others(self) -> bool:
        return self.elevate is None or bool(self.elevate)

    def _elevator(self) -> Sequence[str] | None:
        if self.elevate is not None:
            return self.elevate or None
        return next(((name,) for name in ELEVATORS if shutil.which(name)), None)

    def _by_udisks(self, chosen: Chosen, *, write: bool) -> OpenDisk | None:
        if self.bus is None:
            return None
        try:
            with udisks.connected(self.bus) as connection:
                return connection.open(chosen.node, write=write)
        except udisks.Unavailable:
            return None

    def _unmount_by_udisks(self, disk: Disk, names: Sequence[str]) -> None:
        try:
            if self.bus is None:
                raise udisks.Unavailable("not asked for")
            with udisks.connected(self.bus) as connection:
                for name in names:
                    connection.unmount(str(Path(disk.node).with_name(name)))
        except udisks.Unavailable:
            return  # the helper unmounts before it opens
        except OSError as err:
            raise FailedError(
                f"{disk.node} could not be unmounted: {err.strerror}",
                hint="close what uses it, then try again",
            ) from err
