"""The stages of an installation in their order: names, words, and how long each may be silent."""

from __future__ import annotations

from types import MappingProxyType

STAGES = MappingProxyType(
    {
        "power-on": "power on",
        "firmware": "firmware",
        "boot-disc": "starting the install disc",
        "setup": "Setup started",
        "answers": "Setup found our answers",
        "setup-drivers": "drivers loaded",
        "disks": "disk laid out",
        "image": "applying the image",
        "first-boot": "first boot from the disk",
        "specialize": "specialize pass",
        "oobe": "accounts and first-run pages",
        "first-logon": "first logon",
        "drivers": "installing drivers",
        "settings": "settings of Windows",
        "steps": "running the steps",
        "cleanup": "removing secrets from the guest",
        "agent": "installing the guest agent",
    }
)
"""Stages of docs/protocol.md in words; one that is not here is shown as it came."""

STEPS = "steps"
"""The stage in which the profile's steps run, and which is restarted in its middle."""

_ORDER = MappingProxyType({name: number for number, name in enumerate(STAGES)})

DEFAULT_PATIENCE = 1800.0
PATIENCE = MappingProxyType(
    {
        "power-on": 180.0,
        "firmware": 180.0,
        "boot-disc": 300.0,
        "setup": 360.0,
        "answers": 360.0,
        "setup-drivers": 360.0,
        "disks": 360.0,
        "image": 360.0,
        "first-boot": 1200.0,
        "specialize": 1200.0,
        "oobe": 1200.0,
    }
)
"""Seconds without evidence after which a stage counts as stalled, with KVM. Setup in Windows PE
reads or writes all the time (docs/facts/windows-setup.md §9 has what is silent); what an installed
Windows does between two restarts may take long without anything to see. Nobody has measured them on
genuine Windows: docs/unproven.md."""


def words(stage: str) -> str:
    """The stage as people read it."""
    return STAGES.get(stage, stage)


def rank(stage: str) -> int:
    """Its place in the order; an unknown stage stands before all others."""
    return _ORDER.get(stage, -1)


def patience(stage: str) -> float:
    """Seconds without evidence that are nothing unusual in this stage."""
    return PATIENCE.get(stage, DEFAULT_PATIENCE)
