"""The `metal:` part of a profile: a physical PC, in place of `machine:`."""

from __future__ import annotations

from typing import Literal

from provisioner.profile.base import ProfileModel
from provisioner.profile.disks import WindowsDisk
from provisioner.profile.network import Addresses
from provisioner.profile.units import MacAddress


class Card(Addresses):
    """A network card of a physical PC, known by its address."""

    mac: MacAddress
    """The card's MAC address, as its label or the firmware shows it."""


class Metal(ProfileModel):
    """A physical PC. It gets answer files only, and Setup asks which disk Windows goes on, unless
    `disk` says so."""

    firmware: Literal["secure-boot", "uefi", "bios"] = "secure-boot"
    """How the PC starts: UEFI with Secure Boot, UEFI without, or BIOS."""
    disk: WindowsDisk | None = None
    """The disk Windows goes on. Default: Setup asks, and erases nothing before."""
    networks: tuple[Card, ...] = ()
    """Network cards with settings of their own. The others are left to DHCP and routers."""
