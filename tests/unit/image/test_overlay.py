"""qcow2 overlays over an untouched base, judged by qemu-img."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.errors import FailedError, HostError, MediaError, RefusedError
from provisioner.image.overlay import CLUSTER, Patch, write_overlay

Run = Callable[..., str]


def base_of(folder: Path, size: int) -> Path:
    base = folder / "install.iso"
    base.write_bytes((os.urandom(4099) * (size // 4099 + 1))[:size])
    return base


def require_same(run: Run, base: Path, overlay: Path, patches: list[Patch]) -> None:
    """`qemu-img check` is clean, and the overlay equals a patched copy of the base."""
    run("qemu-img", "check", overlay)
    copy = bytearray(base.read_bytes())
    for patch in patches:
        copy[patch.offset : patch.end] = patch.data
    expected = base.with_name("expected.raw")
    expected.write_bytes(copy)
    run("qemu-img", "compare", "-f", "qcow2", "-F", "raw", overlay, expected)
    flat = base.with_name("flat.raw")
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", overlay, flat)
    run("cmp", flat, expected)


@pytest.mark.parametrize("size", [512, CLUSTER, CLUSTER + 512, 7 * 2048, 3 * CLUSTER - 512])
@pytest.mark.parametrize("where", ["start", "end", "nothing"])
def test_small_and_uneven_bases(tmp_path: Path, run: Run, size: int, where: str) -> None:
    base = base_of(tmp_path, size)
    data = b"\x12\x34\x56\x78"
    patches = {
        "start": [Patch(offset=0, data=data)],
        "end": [Patch(offset=size - 4, data=data)],
        "nothing": [],
    }[where]
    overlay = tmp_path / "overlay.qcow2"
    write_overlay(base, overlay, patches)
    require_same(run, base, overlay, patches)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sectors=st.integers(200, 9000),
    cuts=st.lists(st.integers(0, 9000 * 512), min_size=2, max_size=12, unique=True),
    seed=st.integers(1, 255),
)
def test_any_patches(tmp_path: Path, run: Run, sectors: int, cuts: list[int], seed: int) -> None:
    size = sectors * 512
    base = base_of(tmp_path, size)
    cuts = sorted(cut for cut in cuts if cut <= size)
    patches = [
        Patch(offset=low, data=bytes([seed]) * (high - low))
        for low, high in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    overlay = tmp_path / "overlay.qcow2"
    write_overlay(base, overlay, patches[::-1])
    require_same(run, base, overlay, patches)


def test_more_than_one_refcount_block(tmp_path: Path, run: Run) -> None:
    base = base_of(tmp_path, 24 << 20)
    patches = [Patch(offset=1 << 20, data=bytes(20 << 20))]  # 5120 clusters, 2048 in a block
    write_overlay(base, tmp_path / "overlay.qcow2", patches)
    require_same(run, base, tmp_path / "overlay.qcow2", patches)


def test_a_dvd_of_six_gigabytes_takes_milliseconds_and_kilobytes(tmp_path: Path, run: Run) -> None:
    base = tmp_path / "install.iso"
    with base.open("wb") as stream:
        stream.truncate(6 << 30)
    overlay = tmp_path / "overlay.qcow2"
    patch = Patch(offset=(5 << 30) + 1234, data=b"\x36\x03\0\0")
    started = time.perf_counter()
    write_overlay(base, overlay, [patch])
    assert time.perf_counter() - started < 1
    assert overlay.stat().st_size == 45_056
    assert overlay.stat().st_blocks * 512 <= 32_768
    run("qemu-img", "check", overlay)
    info = json.loads(run("qemu-img", "info", "--output=json", overlay))
    assert info["virtual-size"] == 6 << 30
    assert info["backing-filename"] == str(base)
    assert info["backing-filename-format"] == "raw"
    assert info["format-specific"]["data"]["compat"] == "1.1"


def test_the_base_is_left_as_it_is(tmp_path: Path) -> None:
    base = base_of(tmp_path, 1 << 20)
    base.chmod(0o440)
    os.utime(base, (1_000_000, 2_000_000))
    before, data = base.stat(), base.read_bytes()
    os.utime(base, (1_000_000, 2_000_000))
    write_overlay(base, tmp_path / "overlay.qcow2", [Patch(offset=5, data=b"x")])
    after = base.stat()
    assert (after.st_mode, after.st_uid, after.st_atime, after.st_mtime, after.st_ino) == (
        before.st_mode,
        before.st_uid,
        1_000_000,
        2_000_000,
        before.st_ino,
    )
    assert base.read_bytes() == data


def test_same_input_same_bytes(tmp_path: Path) -> None:
    base = base_of(tmp_path, 1 << 20)
    for name in ("1", "2"):
        write_overlay(base, tmp_path / name, [Patch(offset=5, data=b"x")])
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("name", ["Windows 11 (ünïcode),=:.iso", "x" * 200 + ".iso"])
def test_names_of_the_base(tmp_path: Path, run: Run, name: str) -> None:
    base = base_of(tmp_path, 1 << 16).rename(tmp_path / name)
    patches = [Patch(offset=0, data=b"x")]
    write_overlay(base, tmp_path / "overlay.qcow2", patches)
    require_same(run, base, tmp_path / "overlay.qcow2", patches)


@pytest.mark.parametrize(("length", "fits"), [(1023, True), (1024, False)])
def test_the_longest_path(tmp_path: Path, run: Run, length: int, fits: bool) -> None:
    folder = tmp_path
    while length - len(str(folder)) > 220:
        folder = folder / ("d" * 100)
    folder.mkdir(parents=True)
    base = folder / ("b" * (length - len(str(folder)) - 1))
    base.write_bytes(bytes(4096))
    overlay = tmp_path / "overlay.qcow2"
    if fits:
        write_overlay(base, overlay, [Patch(offset=0, data=b"x")])
        run("qemu-img", "check", overlay)
        assert json.loads(run("qemu-img", "info", "--output=json", overlay))[
            "backing-filename"
        ] == str(base)
    else:
        with pytest.raises(HostError, match="has 1024 bytes; qcow2 takes 1023"):
            write_overlay(base, overlay, [Patch(offset=0, data=b"x")])
        assert not overlay.exists()


@pytest.mark.parametrize("size", [0, 1, 511, 513, 2048 * 10 + 1])
def test_a_base_that_is_no_image(tmp_path: Path, size: int) -> None:
    with pytest.raises(MediaError, match=f"has {size} bytes"):
        write_overlay(base_of(tmp_path, size), tmp_path / "overlay.qcow2", [])


@pytest.mark.parametrize(
    "patches",
    [
        [Patch(offset=-1, data=b"x")],
        [Patch(offset=5, data=b"")],
        [Patch(offset=4095, data=b"xy")],
        [Patch(offset=5000, data=b"x")],
        [Patch(offset=10, data=b"abc"), Patch(offset=12, data=b"x")],
    ],
)
def test_patches_that_do_not_fit(tmp_path: Path, patches: list[Patch]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        write_overlay(base_of(tmp_path, 4096), tmp_path / "overlay.qcow2", patches)
    assert [path.name for path in tmp_path.iterdir()] == ["install.iso"]


def test_the_base_is_never_the_destination(tmp_path: Path) -> None:
    base = base_of(tmp_path, 4096)
    (tmp_path / "link").hardlink_to(base)
    for destination in (base, tmp_path / "link"):
        with pytest.raises(RefusedError, match="would be replaced"):
            write_overlay(base, destination, [])
    with pytest.raises(FailedError, match="No such file"):
        write_overlay(tmp_path / "none", tmp_path / "overlay", [])
    with pytest.raises(ValueError, match="raw"):
        write_overlay(base, tmp_path / "overlay", [], base_format="qcow2")
