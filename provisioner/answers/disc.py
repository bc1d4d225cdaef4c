"""Profile + media -> the answer disc: everything on it, and what was decided on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioner.answers import (
    apply,
    guest_settings,
    keys,
    layout,
    locale,
    logon,
    network,
    oem,
    old,
    own,
    steps,
    windows,
)
from provisioner.answers import drivers as driver_files
from provisioner.answers.layout import Layout
from provisioner.answers.serialise import serialise
from provisioner.answers.supplied import Supplied
from provisioner.errors import MediaError, Problem, ProfileError, Severity
from provisioner.frozen import frozen
from provisioner.media.facts import Edition, MediaFacts
from provisioner.profile.model import Profile
from provisioner.templating import Templates
from provisioner.tree import Bytes, Entry, File, HostFile, Text, Tree

LABEL = "PROVISION"
"""Volume label. Nothing looks for it: the disc is found by its marker file."""
ANSWER_FILE = "Autounattend.xml"
NOTHING = Supplied()
ANSWER_TEMPLATE = "windows/autounattend.xml.j2"
SCRIPT_TEMPLATE = "windows/scripts/first-logon.ps1.j2"
_IDENTITY = re.compile(r"[A-Za-z0-9._-]{1,48}")


@frozen
class AnswerDisc:
    """The tree of the disc and the decisions that `plan` shows."""

    tree: Tree
    label: str
    marker: str
    """The file by which the guest finds this disc, `provision/machine-...`."""
    computer_name: str
    languages: locale.Languages | None
    """None, like the other decisions, where an answer file of the user's own takes them."""
    layout: Layout | None
    """None on a physical PC whose disk the profile does not name: Setup asks for it."""
    data_disks: tuple[Layout, ...]
    """Other disks that get partitions."""
    product_key: keys.ProductKey | None
    network: network.NetworkSettings | None
    autologon: logon.Autologon | None
    ready_when: windows.ReadyWhen | None
    """None on a physical PC: nobody waits for it."""
    drivers: driver_files.DriverFiles | None
    users: tuple[str, ...]
    """Accounts a person can log on with, the one that logs on first in front."""
    problems: tuple[Problem, ...]
    """Warnings and notes for `check` and `plan`."""
    own: own.OwnAnswers | None = None
    """The user's own answer file, where that is used."""
    applies: bool = False
    """A script of ours puts the image on the disk, not Setup."""

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
        return self.autologon.describe() if self.autologon is not None else ""

    def facts(self) -> tuple[tuple[str, str], ...]:
        """What was decided, in rows for plans."""
        if self.own is not None:
            return self.own.describe()
        rows = [("applied by", "our script in Windows PE, without Setup")] if self.applies else []
        rows.append(("disk layout", self.layout.describe() if self.layout else "chosen in Setup"))
        rows += [
            (f"disk {layout.disk + 1}", f"as Setup counts {layout.disk}: {layout.describe()}")
            for layout in self.data_disks
        ]
        if self.product_key is not None:
            rows.append(("product key", self.product_key.reason))
        if self.network is not None:
            rows += self.network.describe()
        if self.autologon is not None:
            rows.append(("autologon", self.autologon_note))
        return tuple(rows)


def compose(
    profile: Profile,
    install: MediaFacts,
    edition: Edition,
    drivers: MediaFacts | None,
    *,
    templates: Templates,
    devices: Sequence[str] = (),
    supplied: Supplied = NOTHING,
    identity: str | None = None,
    stick: windows.Stick | None = None,
) -> AnswerDisc:
    """The answer disc of one machine. Pure: reads no medium, resolves no secret.

    `devices` are virtio devices of the domain that no profile names (`drivers.collect`); `supplied`
    holds the files of the user's own that the profile names. `identity` is unique to the machine
    (default: its name) and names the marker file, so that another machine's disc is never taken
    for this one. Raises ProfileError with all that contradicts the medium in one area, MediaError
    where the driver disc lacks something, TemplateError where a (user's) template is wrong.
    `stick` is given where it is no disc but an install stick for a physical PC.
    """
    _require_architecture(profile, install, edition)
    marker, marked = _marked(profile, identity)
    taken = _drivers(profile, edition, drivers, devices)
    if profile.windows.answer_file is not None:
        return _own(profile, supplied, marked=(marker, marked), taken=taken)
    languages = locale.choose(profile.windows.locale, install, edition)
    disk, data_disks = _layouts(profile, edition, stick)
    key = keys.choose(edition, install, profile.windows.product_key)
    autologon = logon.decide(profile.windows, server=windows.is_server(edition))
    networking = network.decide(profile)
    logo = _logo(profile, supplied)
    answers = windows.answer_context(
        profile,
        edition,
        languages=languages,
        layouts=(disk, data_disks),
        key=key,
        autologon=autologon,
        network=networking,
        marker=marker.replace("/", "\\"),
        stick=stick,
    )
    when = windows.ready_when(profile, agent=taken is not None and taken.agent)
    entries: list[tuple[str, Entry]] = [
        (ANSWER_FILE, _answer_file(templates, answers)),
        (marker, marked),
        *_first_logon(profile, edition, autologon, taken, when, marker, templates),
        *(taken.entries if taken is not None else ()),
        *logo.entries,
        *_applied(profile, edition, (disk, *data_disks), templates),
    ]
    return AnswerDisc(
        tree=Tree(entries),
        label=LABEL,
        marker=marker,
        computer_name=answers["computer_name"],
        languages=languages,
        layout=disk,
        data_disks=data_disks,
        product_key=key,
        network=networking,
        autologon=autologon,
        ready_when=when if profile.metal is None else None,
        drivers=taken,
        users=_users(profile, autologon, server=windows.is_server(edition)),
        applies=profile.windows.install_by == "apply",
        problems=(*languages.problems, *logo.problems, *_notes(profile, languages, autologon)),
    )


def _require_architecture(profile: Profile, install: MediaFacts, edition: Edition) -> None:
    if edition.architecture != profile.windows.architecture:
        raise MediaError(
            f"{edition.name} on {install.path.name} is for {edition.architecture}",
            hint=f"take media for {profile.windows.architecture}",
        )


def _drivers(
    profile: Profile, edition: Edition, drivers: MediaFacts | None, devices: Sequence[str]
) -> driver_files.DriverFiles | None:
    if drivers is None or profile.metal is not None:
        return None
    return driver_files.collect(drivers, profile.machine, edition, devices)


def _layouts(
    profile: Profile, edition: Edition, stick: windows.Stick | None
) -> tuple[Layout | None, tuple[Layout, ...]]:
    """Of Windows' disk and of the others; Setup's numbers decide where it runs from a stick."""
    disk, data_disks = layout.decide(profile, image_bytes=edition.total_bytes)
    if stick is not None and stick.numbers is not None:
        disk = layout.of_unknown_size(profile, number=stick.numbers.target)
    return disk, data_disks


def _answer_file(templates: Templates, context: Mapping[str, Any]) -> File:
    rendered = templates.render(ANSWER_TEMPLATE, context)
    text = serialise(rendered, template=ANSWER_TEMPLATE, windows_pe=context["windows_pe"])
    return File(content=(text,))


def _marked(profile: Profile, identity: str | None) -> tuple[str, Entry]:
    """The file by which the guest finds this disc and no other machine's."""
    identity = profile.name if identity is None else identity
    if not _IDENTITY.fullmatch(identity):
        raise ValueError(f"{identity!r} cannot name a marker file")
    content = Bytes(data=f"{profile.name}\r\n".encode("ascii"))
    return f"provision/machine-{identity}", File(content=(content,))


def _first_logon(
    profile: Profile,
    edition: Edition,
    autologon: logon.Autologon,
    drivers: driver_files.DriverFiles | None,
    ready_when: windows.ReadyWhen,
    marker: str,
    templates: Templates,
) -> Iterator[tuple[str, Entry]]:
    """The first-logon script, the steps and the settings."""
    if old.is_old(edition):
        yield from old.entries(
            profile,
            edition,
            autologon=autologon,
            drivers=drivers,
            ready_when=ready_when,
            templates=templates,
        )
        return
    inside = guest_settings.collect(profile)
    script = windows.script_context(
        profile,
        edition,
        autologon=autologon,
        marker=marker.replace("/", "\\"),
        drivers=drivers,
        settings=inside.context,
    )
    yield "provision/first-logon.ps1", steps.script(templates.render(SCRIPT_TEMPLATE, script).parts)
    yield from steps.files(profile.windows.steps, templates)
    yield from inside.files


def _applied(
    profile: Profile,
    edition: Edition,
    disks: tuple[Layout | None, ...],
    templates: Templates,
) -> Iterator[tuple[str, Entry]]:
    """The scripts that put the image on the disk, where Setup is not to do it."""
    if profile.windows.install_by != "apply":
        return
    context = apply.context(
        profile,
        edition,
        tuple(disk for disk in disks if disk is not None),
    )
    for path, template in apply.SCRIPTS:
        rendered = templates.render(template, context)
        yield path, File(content=(Text(parts=rendered.parts, encoding="ascii"),))


@frozen
class _Logo:
    entries: tuple[tuple[str, Entry], ...] = ()
    problems: tuple[Problem, ...] = ()


def _logo(profile: Profile, supplied: Supplied) -> _Logo:
    """The OEM logo for the disc; ProfileError where it is no bitmap."""
    if profile.windows.oem.logo is None or supplied.logo is None:
        return _Logo()
    return _Logo(
        entries=((oem.LOGO, File(content=(Bytes(data=supplied.logo.data),))),),
        problems=tuple(oem.check_logo(supplied.logo)),
    )


def _own(
    profile: Profile,
    supplied: Supplied,
    *,
    marked: tuple[str, Entry],
    taken: driver_files.DriverFiles | None,
) -> AnswerDisc:
    """A disc with the user's own answer file, as it is, and the drivers that Setup finds there."""
    file = supplied.answer_file
    if file is None:
        raise ValueError("the answer file was not read")
    answers = own.read(file)
    when = None
    if profile.metal is None:
        when = profile.machine.ready.when
        if when is None:
            raise ProfileError([own.not_ready()])
    entries: list[tuple[str, Entry]] = [
        # Read again when it is written, so that no plan holds the passwords in it.
        (ANSWER_FILE, File(content=(HostFile(path=file.path, size=len(file.data)),))),
        marked,
        *(taken.entries if taken is not None else ()),
    ]
    return AnswerDisc(
        tree=Tree(entries),
        label=LABEL,
        marker=marked[0],
        computer_name=answers.computer_name,
        languages=None,
        layout=None,
        data_disks=(),
        product_key=None,
        network=None,
        autologon=None,
        ready_when=when,
        drivers=taken,
        users=answers.users,
        problems=tuple(own.check(profile, answers)),
        own=answers,
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
    first = profile.machine.disks[0]
    if profile.metal is None and profile.windows.recovery is None and first.partitions is None:
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
    if profile.metal is None and len(profile.machine.disks) > 1:
        laid_out = any(disk.partitions is not None for disk in profile.machine.disks[1:])
        several = len({disk.bus for disk in profile.machine.disks}) > 1
        found.append(
            Problem(
                message="Windows goes on disk 0 as Setup counts; with several disks that should be "
                "the first one, and nobody promises it"
                + (", less so with different buses" if laid_out and several else ""),
                rule="machine.disks",
                severity=Severity.WARNING if laid_out and several else Severity.NOTE,
                hint="give disks with `partitions` the same bus" if laid_out and several else None,
            )
        )
    return found
