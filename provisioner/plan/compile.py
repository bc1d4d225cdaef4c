"""Profile, media and host become a plan, or all the reasons why they cannot."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from provisioner.answers import step_files
from provisioner.answers.disc import ANSWER_FILE, AnswerDisc
from provisioner.errors import MediaError, Problem, ProfileError, Severity
from provisioner.frozen import frozen
from provisioner.media.boot import NoPromptImpossible, NoPromptNeeded, NoPromptPatch, noprompt_patch
from provisioner.media.editions import resolve_edition
from provisioner.media.facts import Edition
from provisioner.plan.checks import (
    Media,
    Places,
    check_answers,
    check_domain,
    check_hardware,
    check_media,
    composed,
    edition_of,
)
from provisioner.plan.checks import edition_line as edition_line_of
from provisioner.plan.domain import (
    NOT_STARTED,
    Devices,
    Names,
    devices,
    is_arm64,
    port_services,
    render,
)
from provisioner.plan.intent import content_hash, wish
from provisioner.plan.model import ForwardedPort, MachinePlan, digest
from provisioner.plan.ready import services_of
from provisioner.plan.rules.force import forced
from provisioner.plan.rules.host import check_host
from provisioner.plan.steps import (
    CreateDisk,
    DefineDomain,
    PassBootPrompt,
    RemoveAnswerDisc,
    RotatePassword,
    ShakeHands,
    StartDomain,
    Step,
    WaitReady,
    WriteAnswerDisc,
    WriteBootOverlay,
    binary_size,
    changed_bytes,
)
from provisioner.ports import HostFacts, Storage
from provisioner.profile.model import Profile
from provisioner.profile.rules import ADMINISTRATOR
from provisioner.profile.windows import Administrator, User
from provisioner.secret import Generated, SecretRef
from provisioner.templating import Templates
from provisioner.tree import Bytes, HostFile, Slice, Text


@frozen
class Sources:
    """Everything a plan is made from. Pure data, looked at before."""

    profile: Profile
    places: Places
    media: Media
    host: HostFacts
    templates: Templates
    problems: tuple[Problem, ...] = ()
    """Warnings and notes of the profile's own rules."""
    epoch: int
    """Seconds since 1970 for every time on the answer disc (SOURCE_DATE_EPOCH)."""
    forced: bool = False
    """`--force`: errors of avoidable traps become warnings (`plan/rules/force`)."""


PLACES = (
    "media.install",
    "media.drivers",
    "machine.connect",
    "machine.pool",
    "windows.answer_file",
    "windows.oem.logo",
)
"""Keys that say where something is, and not what is wanted."""
Boot = NoPromptPatch | NoPromptNeeded | NoPromptImpossible


def compile_machine(
    sources: Sources, *, generation: int, forwards: Mapping[str, int], serial_log: Path
) -> MachinePlan:
    """The plan of one generation; ProfileError with every error of the checks at once."""
    profile, media, host = sources.profile, sources.media, sources.host
    problems = _passed(
        sources,
        (
            *sources.problems,
            *check_media(profile, media, sources.places),
            *check_hardware(profile, host.cpus, sources.places),
            *check_host(profile, host, edition_of(profile, media.install), sources.places),
        ),
    )
    edition = resolve_edition(media.install, profile.windows.edition)
    disc, said = composed(profile, media, edition, sources.templates, sources.places)
    problems = _passed(sources, (*problems, *said))
    assert disc is not None, "without a disc there is an error"
    boot = _boot(sources)
    overlay = isinstance(boot, NoPromptPatch)
    names = Names(machine=profile.name, generation=generation)
    install = str(media.install.path)
    made = devices(profile, host, names, install=install, overlay=overlay)
    intent = _intent(sources, disc, overlay=overlay)
    ports = tuple(
        ForwardedPort(service=service, guest_port=port, host_port=forwards.get(service, 0))
        for service, port in port_services(profile, host, made).items()
    )
    xml = render(
        profile,
        host,
        sources.templates,
        made=made,
        names=names,
        ports={port.service: port.host_port for port in ports},
        serial_log=serial_log,
        digest=digest(intent),
    )
    problems = _passed(
        sources,
        (
            *problems,
            *check_answers(disc, profile, edition),
            *check_domain(profile, xml, edition, disc.drivers),
        ),
    )
    return MachinePlan(
        name=profile.name,
        headline=f"{profile.name}: {edition_line_of(media.install, edition)}",
        facts=_facts(sources, disc, boot, made, edition),
        steps=_steps(sources, disc, boot, made, names, xml, ports),
        secrets=_secrets(disc),
        intent=intent,
        problems=problems,
        files=(
            names.answers,
            *((names.boot,) if overlay else ()),
            *(names.disk(index) for index in range(len(made.disks))),
        ),
        answer_drive=made.drives[1].target,
        answer_file=names.answers,
        forwards=ports,
        users=disc.users,
        not_started=NOT_STARTED if is_arm64(profile) else "",
    )


def _passed(sources: Sources, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """The problems, if they let the plan through; otherwise ProfileError with all of them."""
    if sources.forced:
        problems = forced(problems)
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ProfileError(problems)
    return problems


def _boot(sources: Sources) -> Boot:
    """How the boot prompt is passed; the reason is told where keys have to be pressed."""
    machine = sources.profile.machine
    if machine.boot_prompt == "keys":
        return NoPromptImpossible(reason="the profile asks for key presses")
    if machine.firmware == "bios":
        # The overlay changes the UEFI entry; the BIOS loader asks where boot/bootfix.bin exists.
        if sources.media.install.find("boot/bootfix.bin") is None:
            return NoPromptNeeded(reason="the disc's BIOS loader asks for no key")
        reason = "a BIOS disc asks for a key, and no overlay can change that"
    else:
        found = noprompt_patch(sources.media.install)
        if not isinstance(found, NoPromptImpossible):
            return found
        reason = found.reason
    if machine.boot_prompt == "overlay":
        raise MediaError(
            f"no overlay can remove the boot prompt: {reason}",
            hint="set `machine.boot_prompt: auto` to have a key pressed instead",
        )
    return NoPromptImpossible(reason=reason)


def _steps(
    sources: Sources,
    disc: AnswerDisc,
    boot: Boot,
    made: Devices,
    names: Names,
    xml: str,
    ports: tuple[ForwardedPort, ...],
) -> tuple[Step, ...]:
    profile = sources.profile
    install, answers = made.drives[0], made.drives[1]
    when = disc.ready_when
    assert when is not None, "a physical PC has no plan"
    steps: list[Step] = [
        WriteAnswerDisc(
            file_name=names.answers, tree=disc.tree, label=disc.label, epoch=sources.epoch
        )
    ]
    if isinstance(boot, NoPromptPatch):
        steps.append(
            WriteBootOverlay(file_name=names.boot, base=sources.media.install.path, patch=boot)
        )
    steps += [
        CreateDisk(file_name=names.disk(index), size=disk.size)
        for index, disk in enumerate(made.disks)
    ]
    steps.append(DefineDomain(name=profile.name, xml=xml, summary=_machine(sources, made)))
    steps.append(
        StartDomain(name=profile.name, accelerator="KVM" if made.kvm else "emulated, no KVM")
    )
    if isinstance(boot, NoPromptImpossible):
        steps.append(PassBootPrompt(name=profile.name, target=install.target, reason=boot.reason))
    steps.append(
        WaitReady(name=profile.name, when=when, within=profile.machine.ready.within.seconds)
    )
    if services := services_of(profile, sources.host, when, ports):
        within = profile.machine.ready.within.seconds
        steps.append(ShakeHands(name=profile.name, services=services, within=within))
    steps.append(
        RemoveAnswerDisc(name=profile.name, target=answers.target, file_name=names.answers)
    )
    steps += _rotations(profile)
    return tuple(steps)


def _rotations(profile: Profile) -> list[Step]:
    """Last of all: whatever the old password was needed for is done."""
    windows = profile.windows
    wanted: list[tuple[str, str, Administrator | User]] = [
        (ADMINISTRATOR, "administrator", windows.administrator),
        *((str(user.name), f"users.{user.name}", user) for user in windows.users),
    ]
    return [
        RotatePassword(name=profile.name, user=user, secret=slot, length=account.password.generate)
        for user, slot, account in wanted
        if account.rotate and isinstance(account.password, Generated)
    ]


def _facts(
    sources: Sources, disc: AnswerDisc, boot: Boot, made: Devices, edition: Edition
) -> tuple[tuple[str, str], ...]:
    files = list(disc.tree.files())
    size = sum(_planned(part) for _, file in files for part in file.content)
    return (
        ("answer disc", f"{len(files)} files, {binary_size(size)}{disc.drivers_summary}"),
        *disc.facts(),
        ("boot prompt", _prompt(boot)),
        ("machine", f"{_machine(sources, made)} on {sources.host.uri}"),
        *_steps_row(sources),
    )


def _steps_row(sources: Sources) -> tuple[tuple[str, str], ...]:
    steps = sources.profile.windows.steps
    names = ", ".join(step.name for step in steps)
    return (("steps", f"{len(steps)}: {names}"),) if steps else ()


def _prompt(boot: Boot) -> str:
    match boot:
        case NoPromptPatch():
            return f"removed (overlay, {changed_bytes(boot)} bytes differ)"
        case NoPromptNeeded(reason=reason):
            return f"none ({reason})"
        case NoPromptImpossible(reason=reason):
            return f"answered by key presses: {reason}"


def _machine(sources: Sources, made: Devices) -> str:
    machine = sources.profile.machine
    firmware = {"secure-boot": "Secure Boot", "uefi": "UEFI", "bios": "BIOS"}[machine.firmware]
    disks = ", ".join(f"{binary_size(disk.size)} {disk.bus}" for disk in made.disks)
    parts = [
        *(["arm64"] if is_arm64(sources.profile) else []),
        f"{machine.cpus} CPU{'s' if machine.cpus != 1 else ''}",
        binary_size(machine.memory.bytes),
        firmware,
        *(["TPM 2.0"] if machine.tpm else []),
        disks,
    ]
    return ", ".join(parts)


def _secrets(disc: AnswerDisc) -> Mapping[str, SecretRef]:
    return {slot.name: slot.reference for slot in disc.tree.slots()}


def _intent(sources: Sources, disc: AnswerDisc, *, overlay: bool) -> dict[str, str]:
    """What the plan wants, whatever its generation, its ports and the folders things lie in."""
    profile, media = sources.profile, sources.media
    names = Names(machine=profile.name, generation=0)
    host = replace(sources.host, storage=Storage(folder="storage"))
    made = devices(profile, host, names, install="install", overlay=overlay)
    intent = wish(profile)
    # Discs and files are known by what is in them, and a machine stays where it was made.
    for place in PLACES:
        intent.pop(place, None)
    intent = {key: value for key, value in intent.items() if not key.startswith("media.")}
    # What a step brings along is known by its content, as a file of the answer disc.
    for index, step in enumerate(profile.windows.steps):
        if step_files.source(step) is not None:
            intent.pop(f"windows.steps[{index}].{step_files.key(step)}")
    intent["media.install.fingerprint"] = media.install.fingerprint.digest
    if media.drivers is not None:
        intent["media.drivers.fingerprint"] = media.drivers.fingerprint.digest
    own = {ANSWER_FILE: disc.own.file.data} if disc.own is not None else {}
    for path, file in disc.tree.files():
        data = own.get(str(path))
        known = content_hash(file) if data is None else hashlib.sha256(data).hexdigest()
        intent[f"file.{path}"] = known
    intent["domain"] = hashlib.sha256(
        render(
            profile,
            host,
            sources.templates,
            made=made,
            names=names,
            ports=dict.fromkeys(port_services(profile, host, made), 0),
            serial_log=Path("/serial.log"),
            digest="",
        ).encode()
    ).hexdigest()
    return intent


def _planned(part: Bytes | Text | HostFile | Slice) -> int:
    match part:
        case Bytes(data=data):
            return len(data)
        case Text(parts=parts):
            return sum(len(piece) for piece in parts if isinstance(piece, str))
        case HostFile(size=size):
            return size
        case Slice(length=length):
            return length
