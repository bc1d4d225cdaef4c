"""Partitions of a profile: what they take, what the rules say, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.answers.layout import arrange
from provisioner.errors import Problem
from provisioner.profile.disks import DriveLetter, Partition, VolumeLabel
from provisioner.profile.units import Size
from provisioner.profile.values import BadValue
from tests.standin.setup import layout as setup
from tests.standin.setup.elements import parse

Check = Callable[..., tuple[Problem, ...]]
BASE = "name: vm\nwindows:\n  product: windows-10\n  administrator: {password: {env: A}}\n"
UEFI = "{use: efi}, {use: msr}, {use: windows}"


def machine(partitions: str, *, firmware: str = "uefi", size: str = "64 GiB") -> str:
    disk = f"{{size: {size}, partitions: [{partitions}]}}"
    return f"{BASE}machine: {{firmware: {firmware}, disks: [{disk}]}}\n"


WIPED = (
    f"{BASE}metal: {{disk: {{number: 0, policy: wipe, partitions: [{UEFI}, {{use: recovery}}]}}}}"
)
CASES = [
    ("no EFI", machine("{use: windows}"), "machine.partitions", "no 'efi' partition"),
    ("no Windows", machine("{use: efi}, {use: data}"), "machine.partitions", "no 'windows'"),
    ("two Windows", machine(f"{UEFI}, {{use: windows, size: 30 GiB}}"), "machine.partitions",
     "a second 'windows'"),
    ("system under UEFI", machine(f"{{use: system}}, {UEFI}"), "machine.partitions",
     "has no 'system'"),
    ("EFI under BIOS", machine("{use: efi}, {use: windows}", firmware="bios"),
     "machine.partitions", "BIOS has no 'efi'"),
    ("five under BIOS",
     machine("{use: system}, {use: windows, size: 30 GiB}, {use: data, size: 1 GiB}, "
             "{use: data, size: 1 GiB}, {use: data}", firmware="bios"),
     "machine.partitions", "four partitions at most"),
    ("far recovery",
     machine("{use: efi}, {use: windows, size: 30 GiB}, {use: data}, {use: recovery}"),
     "machine.partitions", "not directly behind Windows"),
    ("format of an msr", machine("{use: efi}, {use: msr, format: ntfs}, {use: windows}"),
     "machine.partitions", "no format"),
    ("EFI as NTFS", machine("{use: efi, format: ntfs}, {use: windows}"), "machine.partitions",
     "no NTFS"),
    ("Windows on FAT", machine("{use: efi}, {use: windows, format: fat32}"), "machine.partitions",
     "has to be NTFS"),
    ("letter of recovery", machine(f"{UEFI}, {{use: recovery, letter: R}}"),
     "machine.drive-letter", "no letter of its own"),
    ("letter twice",
     machine(f"{UEFI}, {{use: data, letter: D, size: 1 GiB}}, "
             "{use: data, letter: D, size: 1 GiB}"), "machine.drive-letter", "given twice"),
    ("letter C", machine(f"{UEFI}, {{use: data, letter: C, size: 1 GiB}}"),
     "machine.drive-letter", "is Windows'"),
    ("letter with a colon", machine(f"{UEFI}, {{use: data, letter: 'd:', size: 1 GiB}}"),
     "machine.drive-letter", "not a drive letter"),
    ("long FAT label", machine("{use: efi, label: Twelve chars}, {use: windows}"),
     "machine.volume-label", "does not fit on FAT32"),
    ("label", machine(f"{UEFI}, {{use: data, label: 'a/b', size: 1 GiB}}"),
     "machine.volume-label", "cannot be the label"),
    ("small EFI", machine("{use: efi, size: 50 MiB}, {use: windows}"), "machine.partitions",
     "an EFI partition of 50 MiB"),
    ("small recovery", machine(f"{UEFI}, {{use: recovery, size: 100 MiB}}"),
     "machine.partitions", "a recovery partition of 100 MiB"),
    ("large FAT", machine(f"{UEFI}, {{use: data, format: fat32, size: 40 GiB}}"),
     "machine.partitions", "no FAT32 volume of 40 GiB"),
    ("two rests", machine(f"{UEFI}, {{use: data}}"), "machine.partitions", "two partitions"),
    ("too much", machine(f"{UEFI}, {{use: data, size: 64 GiB}}"), "machine.partitions",
     "do not fit"),
    ("beyond MBR", machine("{use: windows}", firmware="bios", size="3 TiB"),
     "machine.partitions", "end at 2 TiB"),
    ("misspelt use", machine("{use: window}"), "profile.choice", "cannot be 'window'"),
    ("EFI on the second disk",
     f"{BASE}machine: {{disks: [{{}}, {{partitions: [{{use: efi}}]}}]}}\n", "machine.partitions",
     "belongs on the disk of Windows"),
    ("wipe with keep's keys",
     f"{BASE}metal: {{disk: {{number: 0, policy: wipe, install_to: 3}}}}\n", "metal.disk",
     "belongs to `policy: keep`"),
    ("wipe", f"{BASE}metal: {{disk: {{number: 0, policy: wipe}}}}\n", "metal.wipe", "is erased"),
    ("keep without a partition", f"{BASE}metal: {{disk: {{number: 0, policy: keep}}}}\n",
     "metal.disk", "needs the partition"),
    ("keep with partitions",
     f"{BASE}metal: {{disk: {{number: 0, policy: keep, install_to: 1, partitions: [{UEFI}]}}}}\n",
     "metal.disk", "belongs to `policy: wipe`"),
    ("a rest in the middle",
     WIPED,
     "machine.partitions", "size of this disk is not known"),
    ("apply without a disk", f"{BASE}  install_by: apply\nmetal: {{}}\n", "windows.install-by",
     "names none of the PC's"),
    ("apply with answers of one's own",
     f"{BASE}  install_by: apply\n  answer_file: a.xml\n", "windows.install-by",
     "starts no script"),
    ("apply with letters", machine(f"{UEFI}, {{use: data, letter: E, size: 1 GiB}}").replace(
        "machine:", "  install_by: apply\nmachine:"), "windows.install-by", "do not last"),
    ("apply with odd labels", machine(f"{UEFI}, {{use: data, label: Größe, size: 1 GiB}}").replace(
        "machine:", "  install_by: apply\nmachine:"), "windows.install-by", "may not read"),
    ("no policy", f"{BASE}metal: {{disk: {{number: 0}}}}\n", "profile.missing-key", "'policy'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rule", "message"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_the_rules(problems_of: Check, text: str, rule: str, message: str) -> None:
    mine = [problem for problem in problems_of(text) if message in problem.message]
    assert [problem.rule for problem in mine] == [rule], problems_of(text)
    assert all(problem.hint and problem.place for problem in mine)


@pytest.mark.parametrize(
    "text",
    [
        machine(UEFI),
        machine(f"{UEFI}, {{use: recovery}}"),
        machine("{use: system}, {use: windows}", firmware="bios"),
        machine("{use: windows}", firmware="bios"),
        machine("{use: recovery}, {use: efi}, {use: windows, size: 30 GiB, letter: C}"),
        f"{BASE}metal: {{disk: {{number: 0, policy: keep, install_to: 3, format: false}}}}\n",
        f"{BASE}machine: {{disks: [{{}}, {{partitions: [{{use: data, letter: D}}]}}]}}\n",
    ],
)
def test_quiet(problems_of: Check, text: str) -> None:
    assert problems_of(text) == ()


@pytest.mark.parametrize(
    ("text", "hint"),
    [("d", "write 'D'"), ("E:\\", "write 'E'"), ("A", "from C to Z"), ("DE", "from C to Z")],
)
def test_letters(text: str, hint: str) -> None:
    with pytest.raises(BadValue) as raised:
        DriveLetter(text)
    assert hint in (raised.value.hint or "")


def test_labels() -> None:
    assert VolumeLabel("Daten 1_a") == "Daten 1_a"
    for text in ("", "a" * 33, "a:b", "a\n"):
        with pytest.raises(BadValue):
            VolumeLabel(text)


SIZED = st.builds(
    Partition, use=st.just("data"), size=st.integers(1, 2**34).map(lambda n: Size(f"{n} B"))
)
REST = Partition(use="data")


@settings(max_examples=80)
@given(st.lists(SIZED, max_size=4), st.integers(0, 4), st.booleans())
def test_what_fits_is_accepted_by_the_stand_in(
    sized: list[Partition], place: int, greedy: bool
) -> None:
    """Whatever the rules let through, the stand-in's Setup finds room for, in MiB."""
    wanted = [Partition(use="efi"), *sized]
    if greedy:
        wanted.insert(1 + place % (len(sized) + 1), REST)
    disk = 100 * 1024**3
    made = arrange(wanted, uefi=True, disk_bytes=disk)
    text = "".join(
        f"<CreatePartition><Order>{n}</Order><Type>{p.type}</Type>"
        + (f"<Size>{p.size_mib}</Size>" if p.size_mib else "<Extend>true</Extend>")
        + "</CreatePartition>"
        for n, p in enumerate(made.partitions, start=1)
    )
    configuration = parse(
        f"<D><Disk><DiskID>0</DiskID><WillWipeDisk>true</WillWipeDisk><CreatePartitions>{text}"
        "</CreatePartitions></Disk></D>".encode()
    )
    seen = setup.Disk(disk_id=0, device="vda", bus="virtio", size_mib=disk // 1024**2)
    (plan,) = setup.plan_disks(configuration, [seen], firmware="uefi")
    for part, one in zip(plan.partitions, wanted, strict=True):
        if one.size is not None:
            assert part.size_mib * 1024**2 >= one.size.bytes
