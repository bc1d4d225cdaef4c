"""Gathers what is known about a machine, or a disk, and lets the signatures judge it.

Reads only; every part that cannot be had becomes a remark, and the rest goes on. Secrets are
masked before anything leaves this module.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from provisioner import __version__
from provisioner.autopsy.case import Case, Document, Kind, Shot
from provisioner.autopsy.mask import Mask, secrets_in
from provisioner.autopsy.pictures import png, png_of
from provisioner.autopsy.signatures import findings
from provisioner.autopsy.story import event_lines, is_ready, last_stage, moments_of, step_lines
from provisioner.autopsy.text import joined_text, shortened_lines
from provisioner.autopsy.windows_disk import DiskReport, read_disk
from provisioner.errors import ProvisionerError
from provisioner.frozen import frozen
from provisioner.guest.listener import STAGES
from provisioner.host.domain_xml import hard_disks
from provisioner.host.ocr import words_in
from provisioner.media.iso import read_disc
from provisioner.media.window import Extents, opened
from provisioner.ports import Hypervisor
from provisioner.store.machine import MachineState, MachineStore
from provisioner.store.timeline import FILE, Moment, Timeline

HEAD = 64 << 10
TAIL = 1 << 20
MOST_TIMELINE = 16 << 20
MOST_PICTURES = 24
BIGGEST_PICTURE = 8 << 20
MOST_DISKS = 4
BIGGEST_ANSWERS = 1 << 20

_UNHEARD = {"power-on": "power on"}
"""Stages that no guest reports, in words."""


@frozen
class Machine:
    """Where to look. `secrets` are values known to be secret; `answers` the redacted answer files
    of the plan by path, where there is one; `lines` what was heard, for a log that is not readable.
    """

    name: str
    hypervisor: Hypervisor
    store: MachineStore
    at: float
    reason: str = ""
    secrets: tuple[str, ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    lines: tuple[str, ...] = ()


@dataclass(slots=True)
class _Gathered:
    documents: list[Document] = field(default_factory=list)
    shots: list[Shot] = field(default_factory=list)
    facts: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)


def examine_machine(machine: Machine) -> Case:
    """Everything about a machine of this host, ours or not; its disk may be in use."""
    gathered = _Gathered(secrets=set(machine.secrets) | _kept_secrets(machine.store.secrets_file))
    state = _state(machine, gathered)
    serial = _serial(machine, gathered)
    moments = _timeline(machine.store, gathered) or moments_of(serial, machine.at)
    power = _domain(machine, gathered)
    _answers(machine, state, gathered)
    _filmstrip(machine.store, moments, gathered)
    stage, ready = last_stage(moments), is_ready(moments)
    lines = event_lines(moments, state=power, reason=machine.reason)
    if stage is None and serial.strip():
        stage = "firmware"
    if stage is None:  # of a machine that somebody else made we have never listened to anything
        stage = "power-on" if state is not None else ""
    if stage and not ready:
        lines.append(f"last stage: {stage}")
    gathered.documents.append(
        Document(kind=Kind.EVENT, name="events.txt", origin="what was reported", text=_lines(lines))
    )
    if told := step_lines(moments):
        gathered.documents.append(
            Document(
                kind=Kind.STEPS, name="steps.log", origin="what the steps told", text=_lines(told)
            )
        )
    case = Case(
        subject=machine.name,
        at=machine.at,
        reason=machine.reason,
        stage="ready" if ready else _UNHEARD.get(stage) or STAGES.get(stage, stage),
        moments=moments,
    )
    return _judged(case, gathered)


def examine_disk(path: Path, *, at: float) -> Case:
    """A disk by itself: of a machine that nobody here has built, or that is gone."""
    gathered = _Gathered()
    gathered.facts.append(("provisioner", __version__))
    _take(read_disk(path, declared=None), path, gathered)
    return _judged(Case(subject=path.name, at=at), gathered)


def _judged(case: Case, gathered: _Gathered) -> Case:
    """Masks everything, then asks the table."""
    known = set(gathered.secrets)
    for document in gathered.documents:
        if document.kind is Kind.ANSWERS:
            known |= secrets_in(document.text)
    mask = Mask(known)
    documents = tuple(
        replace(each, text=shortened_lines(mask(each.text)), origin=mask(each.origin))
        for each in gathered.documents
    )
    return replace(
        case,
        reason=mask(case.reason),
        documents=documents,
        shots=tuple(gathered.shots),
        moments=tuple(_masked_moment(moment, mask) for moment in case.moments),
        facts=tuple((label, mask(text)) for label, text in gathered.facts),
        remarks=tuple(dict.fromkeys(mask(remark) for remark in gathered.remarks)),
        findings=findings(documents),
    )


def _masked_moment(moment: Moment, mask: Mask) -> Moment:
    members = {
        name: mask(value) if isinstance(value, str) else value
        for name, value in moment.members.items()
        if isinstance(value, str | int | float | bool | None)
    }
    return replace(moment, members=members)


def _state(machine: Machine, gathered: _Gathered) -> MachineState | None:
    gathered.facts.append(("provisioner", __version__))
    try:
        host = machine.hypervisor.facts()
        gathered.facts += [
            ("libvirt", ".".join(map(str, host.libvirt_version))),
            ("QEMU", ".".join(map(str, host.qemu_version))),
            ("connection", host.uri),
            ("acceleration", "KVM" if host.accelerator.kvm else f"none: {host.accelerator.reason}"),
        ]
    except ProvisionerError as err:
        gathered.remarks.append(f"libvirt could not be asked: {err.message}")
    try:
        state = machine.store.load()
    except ProvisionerError as err:
        gathered.remarks.append(err.message)
        return None
    if state is None:
        gathered.remarks.append("nothing is remembered of this machine: it was made elsewhere")
        return None
    gathered.facts += [("profile", state.profile), ("phase", state.phase.value)]
    if state.current.intent:
        plan = [f"{key}: {value}" for key, value in sorted(state.current.intent.items())]
        gathered.documents.append(
            Document(kind=Kind.PLAN, name="plan.txt", origin="what was wanted", text=_lines(plan))
        )
    return state


def _serial(machine: Machine, gathered: _Gathered) -> bytes:
    """The end of the serial log; what was heard where the file cannot be read."""
    path = machine.store.serial_log
    head, tail, size = b"", b"", 0
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            size = file.seek(0, 2)
            file.seek(max(len(head), size - TAIL))
            tail = file.read(TAIL)
    except FileNotFoundError:
        pass
    except OSError as err:
        gathered.remarks.append(f"the serial log could not be read: {err.strerror or err}")
    if not head and machine.lines:
        head = "\n".join(machine.lines).encode()
        size = len(head)
    gathered.documents.append(
        Document(
            kind=Kind.SERIAL,
            name="serial.log",
            origin="the first serial port",
            text=joined_text(head, tail, max(size, len(head) + len(tail))),
            size=size,
            cut=size > len(head) + len(tail),
        )
    )
    return head + b"\n" + tail


def _timeline(store: MachineStore, gathered: _Gathered) -> tuple[Moment, ...]:
    path = store.folder / FILE
    try:
        size = path.stat().st_size
        moments, _ = Timeline(path).read(max(0, size - MOST_TIMELINE))
    except OSError:
        return ()
    if size > MOST_TIMELINE:
        gathered.remarks.append(f"only the end of the timeline ({size:,} bytes) was read")
    return moments


def _domain(machine: Machine, gathered: _Gathered) -> str | None:
    """XML, state, display and disks of the domain; its state in one word."""
    power = None
    try:
        record = machine.hypervisor.domain(machine.name)
        if record is None:
            gathered.remarks.append("there is no such domain any more")
            return None
        power = record.state.value
        gathered.facts.append(("domain", f"{power}, UUID {record.uuid}"))
        xml = machine.hypervisor.domain_xml(machine.name)
    except ProvisionerError as err:
        gathered.remarks.append(f"the domain could not be looked at: {err.message}")
        return power
    gathered.documents.append(
        Document(kind=Kind.DOMAIN, name="domain.xml", origin="libvirt's stored XML", text=xml)
    )
    _display(machine, gathered)
    with suppress(ProvisionerError):
        for number, (path, driver) in enumerate(hard_disks(xml)[:MOST_DISKS]):
            prefix = f"disk{number}-" if number else ""
            _take(read_disk(Path(path), declared=driver, prefix=prefix), Path(path), gathered)
    return power


def _display(machine: Machine, gathered: _Gathered) -> None:
    try:
        picture = machine.hypervisor.screenshot(machine.name)
    except ProvisionerError as err:  # it may have turned itself off, or have no display
        gathered.remarks.append(f"there is no picture of the display: {err.message}")
        return
    data = png_of(picture)
    if data is None:
        gathered.remarks.append(f"the picture of the display ({picture.media_type}) is unusable")
        return
    gathered.shots.append(
        Shot(name="screen.png", caption="the display at the end", png=data, at=machine.at)
    )
    words = words_in(data)
    if words is None:
        gathered.remarks.append("the words on the display were not read: install tesseract-ocr")
    elif words:
        gathered.documents.append(
            Document(kind=Kind.SCREEN, name="screen.txt", origin="words on the display", text=words)
        )


def _filmstrip(store: MachineStore, moments: Sequence[Moment], gathered: _Gathered) -> None:
    """The pictures that were taken on the way, at most MOST_PICTURES, evenly chosen."""
    stage, taken = "", []
    for moment in moments:
        if moment.event in ("stage", "screen") and moment.members.get("stage"):
            key = str(moment.members["stage"])
            stage = STAGES.get(key, key)
        if moment.event == "screen":
            taken.append((moment, stage))
    if len(taken) > MOST_PICTURES:
        step = (len(taken) - 1) / (MOST_PICTURES - 1)
        taken = [taken[round(number * step)] for number in range(MOST_PICTURES)]
    home = store.folder.resolve()
    for number, (moment, stage) in enumerate(taken, start=1):
        path = (home / str(moment.members.get("file", ""))).resolve()
        if not path.is_relative_to(home):
            continue
        try:
            if not path.is_file() or path.stat().st_size > BIGGEST_PICTURE:
                continue
            data = png(path.read_bytes())
        except OSError:
            continue
        if data is not None:
            gathered.shots.append(
                Shot(
                    name=f"screens/{number:02}.png",
                    caption=stage or "firmware",
                    png=data,
                    at=moment.at,
                )
            )


def _take(report: DiskReport, path: Path, gathered: _Gathered) -> None:
    gathered.documents += report.documents
    gathered.remarks += report.remarks
    gathered.facts += [(f"disk {path.name}", line) for line in report.layout]


def _answers(machine: Machine, state: MachineState | None, gathered: _Gathered) -> None:
    """The answer files: of the plan, where `up` itself asks, otherwise of the disc, if it is left.

    What the disc holds is masked like everything else, and its passwords are looked for everywhere.
    """
    for path, text in machine.answers:
        gathered.documents.append(
            Document(kind=Kind.ANSWERS, name=f"answers/{path}", origin="answer disc", text=text)
        )
    if state is None or state.current.answer_file is None:
        return
    try:
        folder = Path(machine.hypervisor.facts().storage.folder)
        with opened(folder / state.current.answer_file) as window:
            found = read_disc(window)
            for path, extents in (found.files if found else {}).items():
                if path.lower() != "autounattend.xml":
                    continue
                content = Extents(window, extents)
                data = content.read(0, min(content.size, BIGGEST_ANSWERS))
                text = joined_text(data, b"", len(data))
                gathered.secrets |= secrets_in(text)
                if not machine.answers:
                    gathered.documents.append(
                        Document(
                            kind=Kind.ANSWERS,
                            name=f"answers/{path}",
                            origin="answer disc",
                            text=text,
                        )
                    )
    except ProvisionerError:
        return  # it is ejected and deleted already, or in a pool that only root can read


def _kept_secrets(path: Path) -> set[str]:
    """Generated passwords of this machine."""
    try:
        kept = json.loads(path.read_bytes())
        return {str(value) for value in kept["generated"].values()} | {str(kept.get("key", ""))}
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return set()


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
