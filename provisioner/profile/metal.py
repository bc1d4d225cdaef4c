"""The `metal:` part of a profile: a physical PC, in place of `machine:`."""

from __future__ import annotations

from typing import Literal

from provisioner.profile.base import ProfileModel


class Metal(ProfileModel):
    """A physical PC. It gets answer files only: Setup asks which disk Windows goes on."""

    firmware: Literal["secure-boot", "uefi", "bios"] = "secure-boot"
    """How the PC starts: UEFI with Secure Boot, UEFI without, or BIOS."""
