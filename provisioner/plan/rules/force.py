"""`up --force`: going past an avoidable trap with open eyes.

Only findings that endanger nothing but the machine that is being made can be forced. What cannot be
planned at all (no such edition), and what protects other things, stays an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from provisioner.errors import Problem, Severity

FORCEABLE = frozenset(
    {
        "host.cpu-features",
        "host.memory",
        "machine.cdrom-bus",
        "machine.cpu-features",
        "machine.disk-driver",
        "machine.floppy",
        "machine.hardware-checks",
        "machine.old-windows",
        "machine.virtio-drivers",
        "machine.windows-11",
        "media.answer-file",
        "media.driver-signature",
        "media.not-bootable",
        "media.product",
        "media.setup-language",
        "media.unsigned-loader",
        "windows.product-key-edition",
        "windows.weak-password",
    }
)
FORCEABLE_ROOMS = ("lint.",)
"""Findings in an answer file that the user's own template made."""


def can_be_forced(rule: str) -> bool:
    """Whether `--force` lets a plan through in spite of this rule."""
    return rule in FORCEABLE or rule.startswith(FORCEABLE_ROOMS)


def forced(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems with the forceable errors as warnings."""
    return tuple(
        replace(
            problem,
            severity=Severity.WARNING,
            message=f"{problem.message} (forced)",
        )
        if problem.severity is Severity.ERROR and can_be_forced(problem.rule)
        else problem
        for problem in problems
    )
