"""Profile + media -> the answer disc: everything on it, and what was decided on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass

from provisioner.answers import drivers as driver_files
from provisioner.answers import keys, layout, locale, logon, steps, windows
from provisioner.answers.serialise import serialise
from provisioner.errors import MediaError, Problem, Severity
from provisioner.media.facts import Edition, MediaFacts
from provisioner.profile.model import Profile
from provisioner.templating import Templates
from provisioner.tree import Bytes, Entry, File, Tree

LABEL = "PROVISION"
"""Volume label. Nothing looks for it: the disc is found by its marker file."""
ANSWER_FILE = "Autounattend.xml"
ANSWER_TEMPLATE = "windows/autounattend.xml.j2"
SCRIPT_TEMPLATE = "windows/scripts/first-logon.ps1.j2"
_IDENTITY = re.compile(r"[A-Za-z0-9._-]{1,48}")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerDisc:
    """The tree of the disc and the decisions that `plan` shows."""

    tree: Tree
    label: str
    marker: str
    """The file by which the guest finds this disc, `provision/machine-...`."""
    computer_name: str
    languages: locale.Languages
    layout: layout.Layout | None
    """None on a physical PC: Setup asks which disk."""
    product_key: keys.ProductKey
    autologon: logon.Autologon
    ready_when: windows.ReadyWhen | None
    """None on a physical PC: nobody waits for it."""
    drivers: driver_files.DriverFiles | None
    users: tuple[str, ...]
    """Accounts a person can log on with, the one that logs on first in front."""
    problems: tuple[Problem, ...]
    """Warnings and notes for `check` and `plan`."""

    @property
    def drivers_summary(self) -> str:
        """`, viostor + NetKVM for w11/amd64`, to stand behind the disc's size; empty without."""
        if self.drivers is None:
            return ""
        names = " + ".join((*self.drivers.in_setup, *self.drivers.later))
        if not names:
            return ""
        return f", {names} for {self.drivers.folder}"

    @property
    def autologon_note(self) -> str:
        """Who is logged on how often, and why, in one line."""
        return self.autologon.describe()


def compose(
    profile: Profile,
    install: MediaFacts,
    edition: Edition,
    drivers: MediaFacts | None,
    *,
    templates: Templates,
    identity: str | None = None,
    stick: windows.Stick | None = None,
) -> AnswerDisc:
    """The answer disc of one machine. Pure: reads no medium, resolves no secret.

    `stick` is given where it is no disc but an install stick for a physical PC.

    `identity` is unique to the machine (default: its name) and names the marker file, so that
    another machine's disc is never taken for this one. Raises ProfileError with all that
    contradicts the medium in one area, MediaError where the driver disc lacks something,
    TemplateError where a (user's) template is wrong.
    """
    identity = profile.name if identity is None else identity
    if not _IDENTITY.fullmatch(identity):
        raise ValueError(f"{identity!r} cannot name a marker file")
    if edition.architecture != profile.windows.architecture:
        raise MediaError(
            f"{edition.name} on {install.path.name} is for {edition.architecture}",
            hint=f"take media for {profile.windows.architecture}",
        )
    machine, server = profile.machine, windows.is_server(edition)
    languages = locale.choose(profile.windows.locale, install, edition)
    virtual = profile.metal is None
    recovery = profile.windows.recovery
    disk = None
    if virtual:
        disk = layout.compute(
            uefi=machine.firmware != "bios",
            disk_bytes=machine.disks[0].size.bytes,
            recovery_bytes=recovery.bytes if recovery is not None else None,
            image_bytes=edition.total_bytes,
        )
    elif stick is not None and stick.numbers is not None:
        disk = layout.of_unknown_size(uefi=profile.firmware != "bios")
    key = keys.choose(edition, install, profile.windows.product_key)
    autologon = logon.decide(profile.windows, server=server)
    taken = None
    if drivers is not None and virtual:
        taken = driver_files.collect(drivers, machine, edition)
    step_files = steps.files(profile.windows.steps)
    marker = f"provision/machine-{identity}"

    answers = windows.answer_context(
        profile,
        edition,
        languages=languages,
        layout=disk,
        key=key,
        autologon=autologon,
        marker=marker.replace("/", "\\"),
        stick=stick,
    )
    script = windows.script_context(
        profile, edition, autologon=autologon, steps=step_files, drivers=taken
    )
    answer_file = serialise(
        templates.render(ANSWER_TEMPLATE, answers),
        template=ANSWER_TEMPLATE,
        windows_pe=answers["windows_pe"],
    )
    first_logon = templates.render(SCRIPT_TEMPLATE, script)
    entries: list[tuple[str, Entry]] = [
        (ANSWER_FILE, File(content=(answer_file,))),
        (marker, File(content=(Bytes(data=f"{profile.name}\r\n".encode("ascii")),))),
        ("provision/first-logon.ps1", steps.script(first_logon.parts)),
        *((step.path, step.entry) for step in step_files),
        *(taken.entries if taken is not None else ()),
    ]
    return AnswerDisc(
        tree=Tree(entries),
        label=LABEL,
        marker=marker,
        computer_name=answers["computer_name"],
        languages=languages,
        layout=disk,
        product_key=key,
        autologon=autologon,
        ready_when=windows.ready_when(profile, agent=taken is not None and taken.agent)
        if virtual
        else None,
        drivers=taken,
        users=_users(profile, autologon, server=server),
        problems=(*languages.problems, *_notes(profile, languages, autologon)),
    )


def _users(profile: Profile, autologon: logon.Autologon, *, server: bool) -> tuple[str, ...]:
    built_in = (
        (logon.BUILT_IN,) if logon.administrator_enabled(profile.windows, server=server) else ()
    )
    names = (autologon.user, *(user.name for user in profile.windows.users), *built_in)
    return tuple(dict.fromkeys(str(name) for name in names))


def _notes(
    profile: Profile, languages: locale.Languages, autologon: logon.Autologon
) -> list[Problem]:
    """What a person should know and need not change."""
    found = []
    if profile.metal is None and profile.windows.recovery is None:
        found.append(
            Problem(
                message="no recovery partition is laid out; Setup may take some of the Windows "
                "partition for one of its own",
                rule="windows.recovery",
                severity=Severity.NOTE,
            )
        )
    if autologon.user == logon.BUILT_IN and not languages.language.casefold().startswith("en"):
        found.append(
            Problem(
                message="the first logon is Administrator's, which some languages of Windows name "
                f"otherwise ({languages.language} is installed)",
                rule="windows.autologon",
                severity=Severity.WARNING,
                hint="add a user in Administrators",
            )
        )
    if len(profile.machine.disks) > 1:
        found.append(
            Problem(
                message="Windows goes on disk 0 as Setup counts; with several disks that should be "
                "the first one, and nobody promises it",
                rule="machine.disks",
                severity=Severity.NOTE,
            )
        )
    return found
