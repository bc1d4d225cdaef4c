"""Keys, passwords, time zones and steps, against the Windows that is on the disc."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.answers import zones
from provisioner.answers.lint.accounts import is_weak
from provisioner.answers.lint.targets import CONX
from provisioner.answers.published_keys import published
from provisioner.errors import Problem, Severity
from provisioner.media.facts import Edition
from provisioner.plan.rules.given import Places
from provisioner.profile.model import Profile
from provisioner.profile.windows import CommandStep, PowerShellStep
from provisioner.secret import Generated, Plain

ADMINISTRATOR = "Administrator"
_MSI = re.compile(r"(?im)^[ \t]*(?:start(?:-process)?[ \t]+|&[ \t]*)?[\"']?[^\s\"']+\.msi\b")
_MSIEXEC = re.compile(r"(?im)^(?!.*-Wait\b).*\bmsiexec(?:\.exe)?\b.*$")
_QUIET = re.compile(r"/q[nb]?\b|/quiet\b|/passive\b", re.IGNORECASE)
_WINGET = re.compile(r"\bwinget(?:\.exe)?\s+(?:install|upgrade|import|source)\b", re.IGNORECASE)
_BUNDLE = re.compile(r"\bvirtio-win-guest-tools(?:\.exe)?\b", re.IGNORECASE)
_LETTER = re.compile(r"(?<![A-Za-z0-9$%{])([D-WYZd-wyz]):[\\/]")
_SYSPREP = re.compile(r"\bsysprep(?:\.exe)?\b", re.IGNORECASE)
_REBOOT = re.compile(
    r"\bshutdown(?:\.exe)?\s+(?:[-/][a-z]+\s+)*[-/][rs]\b|\b(?:Restart|Stop)-Computer\b",
    re.IGNORECASE,
)


def check_windows(profile: Profile, edition: Edition | None, places: Places) -> Iterator[Problem]:
    """What the profile asks of Windows and this Windows does not do."""
    if profile.windows.answer_file is not None:
        return  # nothing of it is used
    if edition is not None:
        yield from _product_key(profile, edition, places)
        yield from _passwords(profile, edition, places)
        yield from _time_zone(profile, edition, places)
    for index, step in enumerate(profile.windows.steps):
        if isinstance(step, PowerShellStep | CommandStep):
            yield from _step(step, f"windows.steps[{index}]", edition, places)


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


def _step(
    step: PowerShellStep | CommandStep, key: str, edition: Edition | None, places: Places
) -> Iterator[Problem]:
    text = step.powershell if isinstance(step, PowerShellStep) else step.cmd
    place = places(key)

    def trap(rule: str, message: str, hint: str) -> Problem:
        return Problem(
            rule=rule,
            severity=Severity.WARNING,
            message=f"step {step.name!r}: {message}",
            place=place,
            hint=hint,
        )

    if _MSI.search(text):
        yield trap(
            "windows.step-msi",
            "an .msi is started by itself: its exit code is lost, and it may ask something",
            "start msiexec.exe /i FILE /qn /norestart, and wait for it",
        )
    else:
        for line in _MSIEXEC.findall(text):
            waits = isinstance(step, CommandStep)
            if not _QUIET.search(line) or not waits:
                yield trap(
                    "windows.step-msi",
                    "msiexec without /qn waits for a person"
                    if waits or not _QUIET.search(line)
                    else "PowerShell does not wait for msiexec, so its exit code is lost",
                    "Start-Process msiexec.exe -Wait -PassThru, with /qn /norestart"
                    if not waits
                    else "add /qn /norestart",
                )
                break
    if _WINGET.search(text):
        yield trap(
            "windows.step-winget",
            "winget is often not registered yet at the first logon and then does nothing",
            "wait until `Get-Command winget` finds it, or run this later",
        )
    if _BUNDLE.search(text) and (edition is None or edition.version[2] >= CONX):
        yield trap(
            "windows.step-guest-tools",
            "the bundle virtio-win-guest-tools.exe has hung on Windows 11 24H2",
            "drivers and agent are installed from media.drivers; leave the bundle out",
        )
    if letter := _LETTER.search(text):
        yield trap(
            "windows.step-drive-letter",
            f"drive {letter[1].upper()}: depends on the order of the drives, which differs "
            "between hosts and boots",
            "look for a file on every drive: (Get-PSDrive -PSProvider FileSystem).Root",
        )
    if _SYSPREP.search(text):
        yield trap(
            "windows.step-sysprep",
            "sysprep takes the cached answers of this installation again, and cuts the steps "
            "behind it",
            "remove C:\\Windows\\Panther\\unattend.xml and eject the answer disc before",
        )
    if _REBOOT.search(text):
        yield trap(
            "windows.step-reboot",
            "a restart cuts the first logon short: later steps do not run",
            "let it be the last step, or leave the restart out",
        )
