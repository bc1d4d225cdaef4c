"""Disk layouts: sizes, order, types, and disks that are too small or too large."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.answers.layout import Layout, compute, decide
from provisioner.errors import ProfileError
from provisioner.profile.disks import Partition
from provisioner.profile.machine import Disk, Machine
from provisioner.profile.model import Profile
from provisioner.profile.units import MachineName, Size
from provisioner.profile.windows import Windows

GIB = 1024**3
MIB = 1024**2


def layout(*, uefi: bool = True, disk: int = 64 * GIB, recovery: int | None = GIB) -> Layout:
    return compute(uefi=uefi, disk_bytes=disk, recovery_bytes=recovery, image_bytes=16 * GIB)


def test_uefi() -> None:
    found = layout()
    assert found.style == "GPT"
    assert [(p.type, p.size_mib, p.format) for p in found.partitions] == [
        ("EFI", 260, "FAT32"),
        ("MSR", 16, None),
        ("Primary", 65536 - 260 - 16 - 1024 - 4, "NTFS"),
        ("Primary", None, "NTFS"),
    ]
    assert found.windows_partition == 3
    assert found.partitions[3].type_id == "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"


def test_bios() -> None:
    found = layout(uefi=False)
    assert found.style == "MBR"
    assert [(p.type, p.size_mib, p.active) for p in found.partitions] == [
        ("Primary", 500, True),
        ("Primary", 65536 - 500 - 1024 - 4, False),
        ("Primary", None, False),
    ]
    assert found.windows_partition == 2
    assert found.partitions[2].type_id == "0x27"


@pytest.mark.parametrize("uefi", [True, False])
def test_without_recovery_windows_takes_the_rest(uefi: bool) -> None:
    windows = layout(uefi=uefi, recovery=None).partitions[-1]
    assert windows.letter == "C"
    assert windows.size_mib is None


@given(
    st.booleans(),
    st.integers(min_value=64 * GIB, max_value=2**41),
    st.integers(min_value=1, max_value=8 * GIB),
)
def test_everything_fits_with_slack(uefi: bool, disk: int, recovery: int) -> None:
    partitions = layout(uefi=uefi, disk=disk, recovery=recovery).partitions
    sized = sum(p.size_mib or 0 for p in partitions)
    rest = disk // MIB - sized
    assert rest * MIB >= recovery, "what is left for recovery is at least what was asked for"
    assert [p.size_mib is None for p in partitions].index(True) == len(partitions) - 1


def test_a_disk_that_is_too_small_says_how_large_it_must_be() -> None:
    with pytest.raises(ProfileError) as caught:
        layout(disk=20 * GIB)
    assert caught.value.problems[0].rule == "machine.disk-size"
    assert caught.value.hint == "make the first disk at least 22 GiB"
    layout(disk=22 * GIB)


def test_the_image_must_fit() -> None:
    with pytest.raises(ProfileError, match="which needs 45056 MiB"):
        compute(uefi=True, disk_bytes=40 * GIB, recovery_bytes=None, image_bytes=40 * GIB)


def test_bios_ends_at_2_tib() -> None:
    with pytest.raises(ProfileError, match="2 TiB"):
        layout(uefi=False, disk=3 * 1024 * GIB)
    layout(uefi=True, disk=3 * 1024 * GIB)


def test_describe() -> None:
    assert layout().describe() == (
        "GPT: EFI 260 MiB · MSR 16 MiB · Windows 64232 MiB · Recovery (the rest)"
    )


def test_recovery_in_front_lets_windows_take_the_rest() -> None:
    found = compute(
        uefi=True, disk_bytes=64 * GIB, recovery_bytes=GIB, image_bytes=GIB, recovery_first=True
    )
    assert [p.purpose for p in found.partitions] == ["Recovery", "EFI", "MSR", "Windows"]
    assert (found.windows_partition, found.partitions[-1].size_mib) == (4, None)
    found = compute(
        uefi=False, disk_bytes=64 * GIB, recovery_bytes=GIB, image_bytes=GIB, recovery_first=True
    )
    assert [(p.purpose, p.active) for p in found.partitions] == [
        ("System", True),
        ("Recovery", False),
        ("Windows", False),
    ]


@pytest.mark.parametrize("windows", [{"size": Size("10 GiB")}, {}])
def test_a_layout_of_ones_own_has_room_for_the_image(windows: Any) -> None:
    disk = Disk(
        size=Size("40 GiB"),
        partitions=(
            Partition(use="efi"),
            Partition(use="data", size=Size("25 GiB")),
            Partition(use="windows", **windows),
        ),
    )
    profile = Profile(
        name=MachineName("vm"),
        windows=Windows(product="windows-10"),
        machine=Machine(disks=(disk,)),
    )
    with pytest.raises(ProfileError, match="MiB for Windows, which needs"):
        decide(profile, image_bytes=16 * GIB)
