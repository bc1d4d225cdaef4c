"""The steps a plan consists of: a closed union, each with one line that says what it does.

The same line is shown by `plan` and while the step runs, so that the two cannot disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, assert_never

from provisioner.frozen import frozen
from provisioner.media.boot import NoPromptPatch
from provisioner.tree import Tree

ReadyWhen = Literal["agent", "serial", "power-off"]


@frozen
class WriteAnswerDisc:
    """Write the answer disc into the machine's storage."""

    file_name: str
    tree: Tree
    label: str
    epoch: int


@frozen
class WriteBootOverlay:
    """Write the qcow2 overlay whose UEFI boot entry asks for no key."""

    file_name: str
    base: Path
    patch: NoPromptPatch


@frozen
class CreateDisk:
    """Make an empty disk of `size` bytes."""

    file_name: str
    size: int


@frozen
class DefineDomain:
    """Define the domain."""

    name: str
    xml: str
    summary: str


@frozen
class StartDomain:
    """Power the domain on."""

    name: str
    accelerator: str


@frozen
class PassBootPrompt:
    """Press a key when the disc asks for one, until reads from `target` show that it boots."""

    name: str
    target: str
    reason: str


@frozen
class WaitReady:
    """Wait until the guest is ready; `within` in seconds from the start."""

    name: str
    when: ReadyWhen
    within: float


@frozen
class Service:
    """A service of the guest: its name, its port, and the loopback port that leads there.

    Without such a port (0) the guest's own addresses are asked.
    """

    name: str
    guest_port: int
    host_port: int = 0


@frozen
class ShakeHands:
    """Speak with the services until each has answered; `within` in seconds from the start."""

    name: str
    services: tuple[Service, ...]
    within: float


@frozen
class RemoveAnswerDisc:
    """Eject the answer disc, live and in the stored XML, and delete it."""

    name: str
    target: str
    file_name: str


@frozen
class RotatePassword:
    """Give a user a new generated password by the guest agent; `secret` names its slot."""

    name: str
    user: str
    secret: str
    length: int


Step = (
    WriteAnswerDisc
    | WriteBootOverlay
    | CreateDisk
    | DefineDomain
    | StartDomain
    | PassBootPrompt
    | WaitReady
    | ShakeHands
    | RemoveAnswerDisc
    | RotatePassword
)


def describe(step: Step) -> str:
    """The step in one line, for people."""
    match step:
        case WriteAnswerDisc(tree=tree, label=label):
            files = sum(1 for _ in tree.files())
            return f"write the answer disc {label}, {files} files"
        case WriteBootOverlay(base=base, patch=patch):
            changed = changed_bytes(patch)
            return f"let {base.name} boot without a key: overlay, {changed} bytes differ"
        case CreateDisk(size=size):
            return f"make a disk of {binary_size(size)}"
        case DefineDomain(name=name, summary=summary):
            return f"define the domain {name}: {summary}"
        case StartDomain(name=name, accelerator=accelerator):
            return f"start {name} ({accelerator})"
        case PassBootPrompt(reason=reason):
            return f"press a key when the disc asks for one ({reason})"
        case WaitReady(when=when, within=within):
            return f"wait until {_READY[when]}, at most {_duration(within)}"
        case ShakeHands(services=services):
            return f"wait until {hands(services)}"
        case RemoveAnswerDisc():
            return "eject the answer disc and delete it"
        case RotatePassword(user=user):
            return f"give {user} a new password"
        case _:
            assert_never(step)


_READY: dict[ReadyWhen, str] = {
    "agent": "the guest agent answers",
    "serial": "the guest says on its serial port that it is ready",
    "power-off": "the guest turns itself off",
}


SERVICE_NAMES = {"rdp": "RDP", "winrm": "WinRM", "ssh": "SSH"}


def hands(services: Sequence[Service]) -> str:
    """`RDP and WinRM shake hands`."""
    names = [SERVICE_NAMES[service.name] for service in services]
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)
    return f"{listed} shake{'' if names[1:] else 's'} hands"


def changed_bytes(patch: NoPromptPatch) -> int:
    """How many bytes of the disc look different through the overlay."""
    return sum(old != new for old, new in zip(patch.old, patch.data, strict=True))


def binary_size(size: int) -> str:
    """Bytes in the largest binary unit that keeps it readable: `64 GiB`, `412 KiB`."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            value = size / factor
            return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"
    return f"{size} bytes"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"
