"""Secrets that `up` could not read. What reads them is given: this room sees no environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from provisioner.errors import Problem, ProvisionerError, Severity
from provisioner.plan.rules.given import Places
from provisioner.profile.model import Profile
from provisioner.profile.secrets import references
from provisioner.secret import SecretRef

Obstacle = Callable[[str, SecretRef], ProvisionerError | None]
"""Why a secret, named by its key in the profile, cannot be read; None where it can."""


def check_secrets(profile: Profile, obstacle: Obstacle, places: Places) -> Iterator[Problem]:
    """Every secret of the profile that cannot be read here and now."""
    for key, reference in references(profile):
        error = obstacle(key, reference)
        if error is not None:
            yield Problem(
                rule="host.secret",
                severity=Severity.WARNING,
                message=error.message,
                place=places(key),
                hint=error.hint,
            )
