"""Keys, passwords and time zones, against the Windows that is on the disc."""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.answers import zones
from provisioner.answers.lint.accounts import is_weak
from provisioner.answers.published_keys import published
from provisioner.errors import Problem, Severity
from provisioner.media.facts import Edition
from provisioner.plan.rules.given import Places
from provisioner.profile.model import Profile
from provisioner.secret import Generated, Plain

ADMINISTRATOR = "Administrator"


def check_windows(profile: Profile, edition: Edition | None, places: Places) -> Iterator[Problem]:
    """What the profile asks of Windows and this Windows does not do."""
    if profile.windows.answer_file is not None:
        return  # nothing of it is used
    if edition is not None:
        yield from _product_key(profile, edition, places)
        yield from _passwords(profile, edition, places)
        yield from _time_zone(profile, edition, places)


def _product_key(profile: Profile, edition: Edition, places: Places) -> Iterator[Problem]:
    """Only a key in clear is known here; others are read when the plan is carried out."""
    key = profile.windows.product_key
    if not isinstance(key, Plain):
        return
    known = published().get(key.plain.strip().upper())
    if known is None or known.fits(edition_id=edition.edition_id, build=edition.version[2]):
        return
    yield Problem(
        rule="windows.product-key-edition",
        message=f"this is the published key of {known.name}, and "
        f"{edition.display_name or edition.name} is installed",
        place=places("windows.product_key"),
        hint="leave windows.product_key out: the key of this edition is known",
    )


def _passwords(profile: Profile, edition: Edition, places: Places) -> Iterator[Problem]:
    """Servers refuse simple passwords: OOBE stops and asks for another one (§5.2)."""
    if not edition.installation_type.casefold().startswith("server"):
        return
    windows = profile.windows
    secrets = [
        (ADMINISTRATOR, windows.administrator.password, "windows.administrator.password"),
        *(
            (str(user.name), user.password, f"windows.users[{index}].password")
            for index, user in enumerate(windows.users)
        ),
    ]
    for name, secret, key in secrets:
        if isinstance(secret, Plain) and is_weak(secret.plain, name):
            yield Problem(
                rule="windows.weak-password",
                message=f"servers refuse the password of {name}: it is too simple, and the "
                "installation stops",
                place=places(key),
                hint="six characters or more, with three of lower case, capitals, digits and "
                "others, and without the name; {generate: 20} makes a good one",
            )
    administrator = windows.administrator.password
    if administrator is not None and not isinstance(administrator, Plain | Generated):
        yield Problem(
            rule="windows.unseen-password",
            severity=Severity.NOTE,
            message="the Administrator's password is read later; servers stop at a simple one",
            place=places("windows.administrator.password"),
            hint="six characters or more, with three of lower case, capitals, digits and others",
        )


def _time_zone(profile: Profile, edition: Edition, places: Places) -> Iterator[Problem]:
    zone = profile.windows.locale.timezone.windows_id
    build = edition.version[2]
    since = zones.missing_before(zone, build)
    if since is not None:
        yield Problem(
            rule="windows.timezone-version",
            severity=Severity.WARNING,
            message=f"build {build} is older than the time zone {zone!r}; Windows stops at ids "
            "it does not know",
            place=places("windows.locale.timezone"),
            hint=f"it is in media from build {since} on; take another zone of the same offset",
        )
