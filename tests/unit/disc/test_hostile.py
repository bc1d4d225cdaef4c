"""Images that were changed at random: an error with words or a view, never anything else."""

from __future__ import annotations

import binascii
import os
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from provisioner.disc.compare import differences, opened_side
from provisioner.disc.create import Order, create
from provisioner.disc.embedded import check_embedded, read_embedded
from provisioner.disc.extract import extract
from provisioner.disc.mount import nodes_of
from provisioner.disc.remaster import Changes, plan_remaster, write_overlay_remaster, write_remaster
from provisioner.disc.structure import examine
from provisioner.disc.verify import place_of
from provisioner.disc.view import opened_view
from provisioner.errors import ProvisionerError
from provisioner.image.shapes import Shape
from tests.unit.disc.readers import contents, made, run

FILES: Mapping[str, bytes | None] = {
    "boot/etfsboot.com": b"B" * 4096,
    "efi/microsoft/boot/efisys.bin": b"E" * 4096,
    "efi/microsoft/boot/efisys_noprompt.bin": b"N" * 4096,
    "long name " * 15 + "x": b"1",
    "sub/sub/file": b"2" * 5000,
}
ROUNDS = 150


def use(image: Path, folder: Path) -> None:
    """Everything that `iso` does with an image."""
    with opened_view(image) as view:
        list(examine(view))
        nodes_of(view)
        embedded = read_embedded(view.window)
        if embedded is not None:
            check_embedded(view.window, embedded)
        place_of(view.window, view.window.size // 2)
        with opened_side(image) as side:
            list(differences(side, side))
        changed = plan_remaster(view, Changes(label="X", epoch=0))
        write_remaster(changed, folder / "full.iso", reveal=str, mode=0o600)
        extract(view, list(view.items.values()), folder / "out/in")
        write_overlay_remaster(view, changed, folder / "x.qcow2", reveal=str, mode=0o600)


def retagged(data: bytearray) -> None:
    """Repairs every UDF descriptor, so that what is inside reaches the parsers."""
    for at in range(32 * 2048, len(data), 2048):
        length = int.from_bytes(data[at + 10 : at + 12], "little")
        if 0 < length <= 2032 and data[at + 2] == 2:
            crc = binascii.crc_hqx(bytes(data[at + 16 : at + 16 + length]), 0)
            data[at + 8 : at + 10] = crc.to_bytes(2, "little")
            data[at + 4] = (sum(data[at : at + 4]) + sum(data[at + 5 : at + 16])) & 0xFF


@pytest.mark.parametrize("shape", list(Shape))
def test_changed_at_random(tmp_path: Path, shape: Shape) -> None:
    folder = made(tmp_path / "tree", FILES)
    if shape is not Shape.WINDOWS:
        (folder / "link").symlink_to("sub/sub/file")
    image = tmp_path / "x.iso"
    create(folder, image, Order(shape=shape))
    good = image.read_bytes()
    full = [at for at in range(0, len(good), 2048) if any(good[at : at + 2048])]
    outside = contents(tmp_path / "tree")
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        data = bytearray(good)
        for _ in range(chance.choice([1, 1, 2, 8])):
            at = chance.choice(full) + chance.randrange(2048)
            data[at] = chance.choice([0, 1, 0x2E, 0x2F, 0x7F, 0xFF, chance.randrange(256)])
        if seed % 2:
            retagged(data)
        if seed % 10 == 9:
            del data[chance.randrange(len(data)) :]
        evil = tmp_path / "evil.iso"
        evil.write_bytes(data)
        work = tmp_path / f"work{seed}"
        work.mkdir()
        try:
            use(evil, work)
        except ProvisionerError as err:
            assert err.message
        left = {path.name for path in work.iterdir()}
        assert left <= {"full.iso", "x.qcow2", "out"}, seed
        if (work / "out").exists():
            assert [path.name for path in (work / "out").iterdir()] in ([], ["in"]), seed
        run("chmod", "-R", "u+rwx", work)
        run("rm", "-rf", work)
    assert contents(tmp_path / "tree") == outside


@pytest.mark.parametrize("size", [1, 2047, 2048, 32768, 34816, 40_000])
@pytest.mark.parametrize("shape", [Shape.WINDOWS, Shape.PORTABLE])
def test_cut_short(tmp_path: Path, shape: Shape, size: int) -> None:
    create(made(tmp_path / "tree", FILES), tmp_path / "x.iso", Order(shape=shape))
    os.truncate(tmp_path / "x.iso", size)
    with pytest.raises(ProvisionerError):
        use(tmp_path / "x.iso", tmp_path)
