"""What can be known before anything boots: the front of the rules in `plan/rules`.

Each finding has a stable rule id, the profile key it is about, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from provisioner.errors import Problem, ProvisionerError, Severity
from provisioner.media.editions import listed
from provisioner.media.facts import Edition, MediaFacts
from provisioner.plan.rules.answers import check_answers, composed
from provisioner.plan.rules.domain import check_domain
from provisioner.plan.rules.drivers import check_drivers
from provisioner.plan.rules.given import GIB, KEY_PAGE_BUILD, Media, Places
from provisioner.plan.rules.hardware import check_hardware
from provisioner.plan.rules.media import check_install, edition_of, is_windows, not_windows
from provisioner.plan.rules.nominal import nominal_domain
from provisioner.plan.rules.secrets import check_secrets
from provisioner.plan.rules.settings import check_settings
from provisioner.plan.rules.steps import check_steps
from provisioner.plan.rules.versions import check_version
from provisioner.plan.rules.windows import check_windows
from provisioner.profile.model import Profile
from provisioner.templating import Templates

__all__ = [
    "GIB",
    "KEY_PAGE_BUILD",
    "Media",
    "Places",
    "check_answers",
    "check_discs",
    "check_domain",
    "check_hardware",
    "check_media",
    "check_secrets",
    "composed",
    "edition_line",
    "edition_of",
    "in_order",
]


def check_media(profile: Profile, media: Media, places: Places) -> Iterator[Problem]:
    """Everything wrong between the profile and its discs."""
    yield from media.remarks
    if not is_windows(media.install):
        yield not_windows(media.install, places)
        return
    edition = edition_of(profile, media.install)
    yield from check_install(profile, media, places)
    if profile.metal is None:
        yield from check_drivers(profile, media, edition, places)
    yield from check_windows(profile, edition, places)
    yield from check_steps(profile, edition, places)
    yield from check_settings(profile, edition, places)
    if edition is not None:
        yield from check_version(profile, edition, places)


def check_discs(
    profile: Profile, media: Media, templates: Templates, places: Places
) -> tuple[Problem, ...]:
    """`check_media`, and where that finds no error, the answer disc and, but for a physical
    PC, the domain, looked at.

    This is what `check` says without asking libvirt; nothing is written.
    """
    problems = list(check_media(profile, media, places))
    edition = edition_of(profile, media.install) if is_windows(media.install) else None
    if edition is None or any(problem.severity is Severity.ERROR for problem in problems):
        return tuple(problems)
    disc, said = composed(profile, media, edition, templates, places)
    problems += said
    if disc is not None:
        problems += check_answers(disc, profile, edition)
    if profile.metal is not None:
        return tuple(problems)
    try:
        xml = nominal_domain(profile, media.install, templates)
    except ProvisionerError as error:
        problems.append(
            Problem(
                rule="answers.template",
                message=error.message,
                place=error.place,
                hint=error.hint,
            )
        )
    else:
        problems += check_domain(profile, xml, edition, disc.drivers if disc is not None else None)
    return tuple(problems)


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The order of a file's lines, as a person reads it; what has no place comes last."""

    def position(problem: Problem) -> tuple[bool, str, int, int]:
        place = problem.place
        if place is None:
            return True, "", 0, 0
        return False, place.file, place.line, place.column

    return tuple(sorted(problems, key=position))


def edition_line(media: MediaFacts, edition: Edition) -> str:
    """`Windows 11 Pro 24H2 (26100.1742), en-US, from Win11.iso (untouched)`."""
    language = edition.default_language or ", ".join(edition.languages[:2])
    build = ".".join(str(part) for part in edition.version[2:])
    name = edition.display_name or edition.name or listed([edition])
    return f"{name} ({build}), {language}, from {media.path.name} (untouched)"
