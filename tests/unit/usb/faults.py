"""Every gate and every fault, played on sticks in memory: what is said, and what was written.

The table in docs/usb-faults.md is made from this (tests/golden/test_usb_faults.py).
"""

from __future__ import annotations

import errno
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from provisioner.errors import ProvisionerError
from provisioner.host.disk import Identity
from provisioner.usb.capsule import unfinished
from provisioner.usb.checks import probe_stick
from provisioner.usb.devices import Transport, Use, UseKind
from provisioner.usb.devices_uses import Kernel, Mount
from provisioner.usb.gates import Request, find, require_proof
from provisioner.usb.job import Care, Job, Result
from provisioner.usb.spans import MIB, SECTOR
from provisioner.usb.verify import Fault
from tests.fakes.stick import FakeMachine, FakeStick, Image, holds, small_image, stick_disk

SIZE = 24 * MIB
PAST = 8 * MIB
"""Accepted bytes after which the point of no return is passed with the capsule of these tests."""


@dataclass
class Stage:
    """A target, somebody else's stick beside it, an image, and the terms of the write."""

    folder: Path
    image: Image = field(default_factory=small_image)
    request: Request = field(default_factory=Request)
    interactive: bool = False
    named: str = "usb-SanDisk_Ultra_4C530001"
    typed: str = "4C530001"
    stamps: int = 64

    def __post_init__(self) -> None:
        self.target = FakeStick(SIZE, seed=1)
        self.other = FakeStick(SIZE, seed=2)
        self.machine = FakeMachine(
            (stick_disk(SIZE), self.target),
            (
                stick_disk(
                    SIZE, name="sdd", node="/dev/sdd", number="8:48", serial="OTHER", diskseq=8,
                    ids=("usb-Other_OTHER",),
                    partitions=(),
                ),
                self.other,
            ),
        )  # fmt: skip
        self.care = Care(state=self.folder, head=4 * MIB, tail=MIB, stamps=self.stamps)

    def change(self, **changes: object) -> None:
        """What sysfs says of the target."""
        self.machine.change("sdc", **changes)

    def run(self) -> Result:
        """As `usb write` does it."""
        care = replace(self.care, stamps=self.stamps)
        disk = find(self.machine.disks(), self.named, interactive=self.interactive)
        require_proof(disk, self.typed)
        request = replace(self.request, needed=self.image.size)
        [result] = Job(self.machine, care).write(self.image, (disk,), request)
        if result.failure is not None:
            raise result.failure
        return result


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a case came to. `state` is the target's: written, unfinished, as before, or touched."""

    said: str
    code: int
    rule: str
    state: str
    target: int
    others: int


@dataclass(frozen=True, kw_only=True)
class Case:
    """`says`: a piece of what has to be said."""

    name: str
    arrange: Callable[[Stage], None]
    says: str
    code: int = 5
    state: str = "as before"
    act: Callable[[Stage], object] = Stage.run


@cache
def play(case: Case) -> Outcome:
    """Runs a case, once, and measures."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(folder=Path(folder))
        before, others = stage.target.content(), stage.other.content()
        case.arrange(stage)
        said, code, rule = "written, and every byte read back", 0, ""
        try:
            result = case.act(stage)
            if isinstance(result, Result) and result.verified and result.verified.findings:
                assert {f.fault for f in result.verified.findings} == {Fault.HICCUP}
                said += ", one range only at the second try"
        except ProvisionerError as err:
            said, code, rule = err.message, err.exit_code, getattr(err, "rule", "")
        assert stage.other.content() == others
        state = "touched"
        if stage.target.content() == before:
            state = "as before"
        elif unfinished(stage.target.peek(0, SECTOR)):
            state = "unfinished"
        elif holds(stage.target, stage.image):
            state = "written"
        return Outcome(
            said=said,
            code=code,
            rule=rule,
            state=state,
            target=stage.target.accepted,
            others=stage.other.accepted,
        )


def _set(**changes: object) -> Callable[[Stage], None]:
    return lambda stage: stage.change(**changes)


def _attribute(**changes: object) -> Callable[[Stage], None]:
    def arrange(stage: Stage) -> None:
        for name, value in changes.items():
            setattr(stage, name, value)

    return arrange


def _faults(**changes: object) -> Callable[[Stage], None]:
    def arrange(stage: Stage) -> None:
        for name, value in changes.items():
            setattr(stage.target.faults, name, value)

    return arrange


def _then(at: int, event: Callable[[Stage], None]) -> Callable[[Stage], None]:
    """Something happens once the target has accepted `at` bytes."""

    def arrange(stage: Stage) -> None:
        stage.target.faults.at = at
        stage.target.faults.event = lambda: event(stage)

    return arrange


def _mount(where: str, *, system: bool = False, chain: tuple[str, ...] = ("sdc", "sdc1")) -> Use:
    return Use(kind=UseKind.MOUNT, chain=chain, where=where, system=system)


def _source_on_target(stage: Stage) -> None:
    stage.change(uses=(_mount("/media/holiday"),))
    mount = Mount(number="8:33", point="/media/holiday", source="/dev/sdc1")
    kernel = Kernel(blocks={}, mounts=(mount,), swaps=(), btrfs=(), sources={})
    stage.machine.kernel = lambda: kernel  # type: ignore[method-assign]
    stage.request = Request(sources=(Path("/media/holiday/a.img"),), unmount=True)


def _same_serial(stage: Stage) -> None:
    stage.machine.change("sdd", serial="4C530001")
    stage.named = "4C530001"


def _before_open(change: Callable[[Stage], None]) -> Callable[[Stage], None]:
    def arrange(stage: Stage) -> None:
        stage.machine.before_open = lambda: change(stage)

    return arrange


def _swap_sticks(stage: Stage) -> None:
    """Another stick has the node by now."""
    (first, target), (second, other) = stage.machine.sticks
    there = replace(second, name="sdc", node="/dev/sdc", number="8:32")
    other.number = "8:32"
    stage.machine.sticks = [(there, other), (replace(first, node="/dev/gone"), target)]


def _unplug(stage: Stage) -> None:
    stage.target.faults.gone = True


def _unplug_and_replug_another(stage: Stage) -> None:
    _unplug(stage)
    _swap_sticks(stage)


def _goes_while_asked(stage: Stage) -> None:
    def identity() -> Identity:
        raise OSError(errno.ENXIO, "gone")

    stage.target.identity = identity  # type: ignore[method-assign]


def _no_state(stage: Stage) -> None:
    (stage.folder / "usb").write_text("a file where the folder goes")


def _interrupt(at: int) -> Callable[[Stage], None]:
    def arrange(stage: Stage) -> None:
        def before(offset: int) -> None:
            if offset >= at:
                _wait(stage, at)
                raise KeyboardInterrupt

        stage.image.before = before

    return arrange


def _wait(stage: Stage, at: int) -> None:
    """The image is read ahead of the stick; later cases want the stick past its point."""
    for _ in range(500):
        if at < 4 * MIB or stage.target.accepted >= PAST:
            return
        time.sleep(0.01)


def _interrupt_while_verifying(stage: Stage) -> None:
    real = stage.target.digest

    def digest(offset: int, length: int) -> bytes:
        if offset > 8 * MIB:
            raise KeyboardInterrupt
        return real(offset, length)

    stage.target.digest = digest  # type: ignore[method-assign]


def _unplug_while_verifying(stage: Stage) -> None:
    real = stage.target.digest

    def digest(offset: int, length: int) -> bytes:
        if offset > 8 * MIB:
            _unplug(stage)
        return real(offset, length)

    stage.target.digest = digest  # type: ignore[method-assign]


def _unplug_at_the_end(stage: Stage) -> None:
    """It took its first sector, and did not live to say so."""
    real = stage.target.flush

    def flush() -> None:
        if stage.target.peek(510, 2) == b"\x55\xaa":
            _unplug(stage)
        real()

    stage.target.flush = flush  # type: ignore[method-assign]


def _source_fails(at: int) -> Callable[[Stage], None]:
    def arrange(stage: Stage) -> None:
        from provisioner.errors import FailedError

        def before(offset: int) -> None:
            if offset >= at:
                _wait(stage, at)
                raise FailedError("cannot read win.iso at byte 4096: Input/output error")

        stage.image.before = before

    return arrange


def _wraps_oddly(stage: Stage) -> None:
    """Where no stamp meets another one."""
    stage.target.faults.real = 11 * MIB
    stage.stamps = 0


def _probe(stage: Stage) -> object:
    from provisioner.usb.probe import Capacity
    from provisioner.usb.wipe import fake

    [disk] = [disk for disk in stage.machine.disks() if disk.name == "sdc"]
    probed = probe_stick(stage.machine, disk, Request(), stage.care)
    if probed.capacity is not Capacity.HONEST:
        raise fake(disk, probed)
    return None


_HELD = Use(kind=UseKind.HOLDER, chain=("sdc", "sdc2"), where="encrypted volume luks-home")
_RAID = Use(kind=UseKind.HOLDER, chain=("sdc", "sdc1"), where="RAID array md0")
_LVM = Use(kind=UseKind.MOUNT, chain=("sdc", "sdc2", "dm-0"), where="/data")
_LOOP = Use(kind=UseKind.LOOP, chain=("sdc", "sdc1", "loop3"), where="/media/holiday/a.img")
_SWAP = Use(kind=UseKind.SWAP, chain=("sdc", "sdc2"), where="", system=True)

GATES = (
    Case(name="no such stick", arrange=_attribute(named="usb-Other"), says="no disk here is named"),
    Case(name="a name that moves, and nobody asked", arrange=_attribute(named="/dev/sdc"),
         says="a name that the next stick may have"),
    Case(name="a partition", arrange=_attribute(named="/dev/sdc1"), says="is a partition of"),
    Case(name="two sticks with one serial", arrange=_same_serial, says="2 disks are named"),
    Case(name="another serial is confirmed", arrange=_attribute(typed="OTHER"),
         says="OTHER was confirmed"),
    Case(name="a loop device of the running system", arrange=_set(transport=Transport.LOOP),
         says="is a loop device of this system"),
    Case(name="a device made of others, or of memory", arrange=_set(transport=Transport.VIRTUAL),
         says="is no disk of its own"),
    Case(name="a fixed disk", arrange=_set(transport=Transport.ATA, removable=False),
         says="is a fixed disk, on ata"),
    Case(name="write-protected", arrange=_set(read_only=True), says="is write-protected"),
    Case(name="the image lies on the stick", arrange=_source_on_target, says="lies on /dev/sdc"),
    Case(name="the system disk", arrange=_set(uses=(_mount("/", system=True),)),
         says="the running system stands on"),
    Case(name="swap space", arrange=_set(uses=(_SWAP,)), says="swap space in use"),
    Case(name="a mounted LVM volume on it", arrange=_set(uses=(_LVM,)),
         says="sdc2 → dm-0 is mounted at /data"),
    Case(name="an open encrypted volume on it", arrange=_set(uses=(_HELD,)),
         says="held by encrypted volume luks-home"),
    Case(name="a member of a RAID", arrange=_set(uses=(_RAID,)), says="held by RAID array md0"),
    Case(name="a loop device over a file on it", arrange=_set(uses=(_LOOP,)),
         says="serves a file on it"),
    Case(name="mounted, without consent", arrange=_set(uses=(_mount("/media/holiday"),)),
         says="is mounted at /media/holiday"),
    Case(name="a card reader without a card", arrange=_set(size=0), says="has no medium"),
    Case(name="one sector too small", arrange=_set(size=16 * MIB - 512), says="512 too few"),
    Case(name="sectors of 4096 bytes", arrange=_set(sector=4096), says="sectors of 4096 bytes"),
    Case(name="larger than 256 GB", arrange=_set(size=10**12), says="is large for a stick"),
    Case(name="another stick got the name meanwhile", arrange=_before_open(_swap_sticks),
         says="is not the disk that was chosen"),
    Case(name="the disk sequence number changed",
         arrange=_before_open(lambda stage: setattr(stage.target, "diskseq", 9)),
         says="its disk sequence number was 7 and is 9"),
    Case(name="the serial changed, on a kernel without sequence numbers",
         arrange=lambda stage: (_set(diskseq=None)(stage), setattr(stage.target, "diskseq", None),
                                _before_open(_set(serial="X"))(stage))[0],
         says="its serial was 4C530001 and is X"),
    Case(name="it shrank meanwhile",
         arrange=_before_open(lambda stage: setattr(stage.target.faults, "size_now", 20 * MIB)),
         says=f"it had {SIZE} bytes and has {20 * MIB}"),
    Case(name="unplugged meanwhile", arrange=_before_open(_unplug), says="it is gone"),
    Case(name="write-protected meanwhile",
         arrange=_before_open(lambda stage: setattr(stage.target, "read_only", True)),
         says="has become write-protected"),
    Case(name="mounted meanwhile", arrange=_before_open(_set(uses=(_mount("/media/holiday"),))),
         says="is mounted at /media/holiday"),
    Case(name="held by something that sysfs does not show",
         arrange=lambda stage: setattr(stage.machine, "open_error", errno.EBUSY),
         says="in use by something that sysfs does not show"),
    Case(name="the undo capsule cannot be kept", arrange=_no_state, says="cannot be kept"),
    Case(name="it goes while it is opened", arrange=_goes_while_asked,
         says="it is gone"),
    Case(name="its old contents cannot be read", arrange=_faults(read_errors={0: -1}),
         says="the stick cannot be read at byte 0"),
    Case(name="accepts writes and keeps nothing", arrange=_faults(forgets=True),
         says="accepts writes and forgets them"),
    Case(name="fake capacity: its end is its beginning", arrange=_faults(real=23 * MIB),
         says="what is written to its end stands at its beginning"),
    Case(name="fake capacity: wraps around", arrange=_faults(real=16 * MIB), says="wraps around"),
    Case(name="fake capacity: the rest is lost", arrange=_faults(lost_from=18 * MIB),
         says="loses what is written"),
    Case(name="`usb probe` of a fake", arrange=_faults(real=8 * MIB), says="wraps around",
         act=_probe),
)  # fmt: skip

FAULTS = (
    Case(name="no fault", arrange=lambda stage: None, says="every byte read back", code=0,
         state="written"),
    Case(name="mounted, with --unmount",
         arrange=lambda stage: (_set(uses=(_mount("/media/holiday"),))(stage),
                                setattr(stage, "request", Request(unmount=True)))[0],
         says="every byte read back", code=0, state="written"),
    Case(name="short writes", arrange=_faults(short=5 * 4096 + 100), says="every byte read back",
         code=0, state="written"),
    Case(name="a write fails once", arrange=_faults(write_errors={6 * MIB: 1}),
         says="every byte read back", code=0, state="written"),
    Case(name="a sector is read wrongly once", arrange=_faults(flaky={6 * MIB: 1}),
         says="second try", code=0, state="written"),
    Case(name="`usb probe` of an honest stick", arrange=lambda stage: None,
         says="every byte", code=0, act=_probe),
    Case(name="a sector takes no write", arrange=_faults(write_errors={6 * MIB: -1}), code=4,
         says="at byte 6291456, in sources/file6.bin", state="unfinished"),
    Case(name="a sector that can be undone takes no write", code=4,
         arrange=lambda stage: _then(3 * MIB, _faults(write_errors={2 * MIB: 4}))(stage),
         says="as it was before"),
    Case(name="unplugged while writing", arrange=_then(PAST, _unplug), code=4,
         says="disappeared", state="unfinished"),
    Case(name="unplugged before the point of no return", arrange=_then(2 * MIB, _unplug), code=4,
         says="disappeared", state="unfinished"),
    Case(name="unplugged while writing, and another stick got the name",
         arrange=_then(PAST, _unplug_and_replug_another), code=4, says="disappeared",
         state="unfinished"),
    Case(name="write-protects itself while writing", code=4, state="unfinished",
         arrange=_then(PAST, _faults(refuses=errno.EROFS)), says="became write-protected"),
    Case(name="shrinks while writing", arrange=_then(PAST, _faults(size_now=9 * MIB)), code=4,
         says="shrank", state="unfinished"),
    Case(name="mounted while writing", code=4, state="unfinished",
         arrange=_then(PAST, _set(uses=(_mount("/media/holiday"),))),
         says="was taken in the meantime"),
    Case(name="the image cannot be read, before the point of no return",
         arrange=_source_fails(2 * MIB), says="cannot read win.iso", code=4),
    Case(name="the image cannot be read, later", arrange=_source_fails(9 * MIB), code=4,
         says="cannot read win.iso", state="unfinished"),
    Case(name="Ctrl-C before the point of no return", arrange=_interrupt(3 * MIB), code=130,
         says="as it was before"),
    Case(name="Ctrl-C later", arrange=_interrupt(9 * MIB), code=130, says="is unfinished",
         state="unfinished"),
    Case(name="Ctrl-C while reading back", arrange=_interrupt_while_verifying, code=130,
         says="is unfinished", state="unfinished"),
    Case(name="unplugged while its first sector is written", arrange=_unplug_at_the_end, code=4,
         says="may look finished, and is not", state="written"),
    Case(name="unplugged while reading back", arrange=_unplug_while_verifying, code=4,
         says="may look finished, and is not", state="written"),
    Case(name="a sector keeps something else", arrange=_faults(rotten={7 * MIB + 4096}), code=4,
         says="byte 7344128, partition 1, sources/file7.bin, is wrong in the same way",
         state="unfinished"),
    Case(name="a sector cannot be read back", code=4, state="unfinished",
         arrange=_then(PAST, _faults(read_errors={7 * MIB + 4096: -1})),
         says="cannot be read: byte 7344128"),
    Case(name="a sector is read differently each time", arrange=_faults(flaky={7 * MIB: -1}),
         code=4, says="is read differently each time", state="unfinished"),
    Case(name="wraps around where no stamp shows it", arrange=_wraps_oddly, code=4,
         says="has less than it says", state="unfinished"),
    Case(name="forgets what is written from some byte on", code=4, state="unfinished",
         arrange=_then(PAST, _faults(forgets=True)), says="accepts writes and forgets them"),
)  # fmt: skip
