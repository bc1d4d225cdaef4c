"""The network cards of a profile and the addresses they are known by."""

from __future__ import annotations

import hashlib

from provisioner.profile.model import Profile
from provisioner.profile.network import Addresses


def mac_of(profile: Profile, index: int) -> str:
    """The MAC address of a virtual machine's card: the one given, or one made from the name.

    Those made lie in QEMU's own range 52:54:00 and are the same for the same machine every time,
    so that the answer file can name a card before there is one.
    """
    given = profile.machine.networks[index].mac
    if given is not None:
        return str(given)
    tail = hashlib.sha256(f"{profile.name}/{index}".encode()).digest()[:3]
    return "52:54:00:" + ":".join(f"{byte:02x}" for byte in tail)


def cards(profile: Profile) -> tuple[tuple[str, Addresses], ...]:
    """Every card's MAC address and what it has of its own, of a virtual machine or a PC."""
    if profile.metal is not None:
        return tuple((str(card.mac), card) for card in profile.metal.networks)
    return tuple(
        (mac_of(profile, index), network) for index, network in enumerate(profile.machine.networks)
    )
