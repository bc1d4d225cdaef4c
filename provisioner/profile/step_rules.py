"""Rules across the keys of `windows.steps`."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.errors import Severity
from provisioner.profile.model import Profile
from provisioner.profile.places import Finding
from provisioner.profile.steps import RESTART_WANTED, RebootStep, RunStep


def exit_codes(profile: Profile) -> Iterator[Finding]:
    """Who accepts 3010 knows that Windows wants a restart; somebody has to do it."""
    steps = profile.windows.steps
    for index, step in enumerate(steps):
        if not isinstance(step, RunStep) or RESTART_WANTED not in step.exit_codes:
            continue
        if not any(isinstance(later, RebootStep) for later in steps[index + 1 :]):
            yield Finding(
                path=("windows", "steps", index, "exit_codes"),
                message=f"{RESTART_WANTED} asks for a reboot, and no reboot step follows",
                rule="windows.exit-codes",
                severity=Severity.WARNING,
                hint="add `- reboot: {when: needed}` behind it",
            )
