"""`iso verify`: byte for byte, by manifest, by embedded checksum, and by structure."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from provisioner.disc.create import Order, create
from provisioner.disc.embedded import check_embedded, read_embedded
from provisioner.disc.manifest import make_manifest, manifest_text, read_manifest
from provisioner.disc.structure import examine
from provisioner.disc.verify import against_manifest, same_bytes
from provisioner.disc.view import opened_view
from provisioner.errors import MediaError, Severity
from provisioner.image.shapes import Shape
from tests.unit.disc.readers import made, run

FILES: Mapping[str, bytes | None] = {
    "boot/etfsboot.com": b"B" * 4096,
    "efi/microsoft/boot/efisys.bin": b"E" * 8192,
    "sources/install.wim": os.urandom(2_500_000),
    "sources/boot.wim": os.urandom(50_000),
    "empty.txt": b"",
}


def disc(folder: Path, shape: Shape = Shape.WINDOWS) -> Path:
    made(folder / "tree", FILES)
    create(folder / "tree", folder / f"{shape}.iso", Order(shape=shape))
    return folder / f"{shape}.iso"


def offset_of(image: Path, path: str) -> int:
    with opened_view(image) as view:
        return view.find(path).extents[0].offset


def changed(image: Path, at: int, data: bytes | None = None) -> Path:
    other = image.with_name("changed.iso")
    content = bytearray(image.read_bytes())
    if data is None:
        data = bytes(byte ^ 0xFF for byte in content[at : at + 2])
    content[at : at + len(data)] = data
    other.write_bytes(content)
    return other


@pytest.mark.parametrize(
    ("where", "place"),
    [
        (lambda image: offset_of(image, "sources/install.wim") + 2_222_222, "sources/install.wim"),
        (lambda image: offset_of(image, "sources/boot.wim"), "sources/boot.wim"),
        (lambda image: 0, "system area"),
        (lambda image: 16 * 2048 + 100, "volume descriptors"),
        (lambda image: 256 * 2048 + 200, "UDF anchor"),
        (lambda image: image.stat().st_size - 20 * 2048, "unused space"),
    ],
)
def test_the_first_difference_is_named(
    tmp_path: Path, where: Callable[[Path], int], place: str
) -> None:
    image = disc(tmp_path)
    at = where(image)
    found, _ = same_bytes(image, changed(image, at))
    assert found is not None
    assert (found.offset, found.place, found.reason) == (at, place, "the bytes differ")


def test_exactly_the_length_of_the_image(tmp_path: Path) -> None:
    image = disc(tmp_path)
    copy = tmp_path / "copy.iso"
    copy.write_bytes(image.read_bytes())
    assert same_bytes(image, copy) == (None, 0)
    with copy.open("ab") as stream:
        stream.write(bytes(300 * 1024))
    assert same_bytes(image, copy) == (None, 300 * 1024)
    os.truncate(copy, image.stat().st_size - 5000)
    found, _ = same_bytes(image, copy)
    assert found is not None
    assert (found.offset, found.reason) == (image.stat().st_size - 5000, "copy.iso ends here")
    with pytest.raises(MediaError, match="same file"):
        same_bytes(image, image)


def test_a_manifest(tmp_path: Path) -> None:
    image = disc(tmp_path)
    with opened_view(image) as view:
        manifest = make_manifest(view)
        assert manifest_text(make_manifest(view)) == manifest_text(manifest)
    assert manifest.sha256 == hashlib.sha256(image.read_bytes()).hexdigest()
    assert {file.path: file.sha256 for file in manifest.files} == {
        path: hashlib.sha256(data or b"").hexdigest() for path, data in FILES.items()
    }
    kept = tmp_path / "x.json"
    kept.write_text(manifest_text(manifest))
    again = read_manifest(kept, "whatever.iso")
    assert again == manifest
    assert against_manifest(image, again) == []
    other = changed(image, offset_of(image, "sources/boot.wim") + 1)
    assert [each.place for each in against_manifest(other, again)] == ["sources/boot.wim"]
    other = changed(image, 40)
    assert [each.place for each in against_manifest(other, again)] == [
        "descriptors, directories or padding"
    ]
    longer = changed(image, 0, b"")
    with longer.open("ab") as stream:
        stream.write(b"run-out")
    assert against_manifest(longer, again) == []
    os.truncate(longer, 10_000_000 if image.stat().st_size > 10_000_000 else 100_000)
    assert [each.place for each in against_manifest(longer, again)] == ["the end"]


def test_a_list_of_checksums(tmp_path: Path) -> None:
    image = disc(tmp_path)
    sums = tmp_path / "SHA256SUMS"
    sums.write_text(run("sha256sum", image) + "0" * 64 + " *other.iso\n")
    manifest = read_manifest(sums, image.name)
    assert manifest is not None and against_manifest(image, manifest) == []
    with pytest.raises(MediaError, match="no checksum of third"):
        read_manifest(sums, "third.iso")
    sums.write_text("0" * 64 + "\n")
    manifest = read_manifest(sums, image.name)
    assert manifest is not None
    assert [each.place for each in against_manifest(image, manifest)] == ["the image"]
    assert read_manifest(image, image.name) is None, "an image is no manifest"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}",
        '{"format": "x"}',
        '{"format": "provisioner disc manifest 1"}',
        "{" * 100_000,
        '{"a":' * 9000,
    ],
)
def test_a_damaged_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(MediaError, match="is no manifest"):
        read_manifest(tmp_path / "x.json", "x.iso")


def test_the_checksum_that_fedora_embeds(tmp_path: Path) -> None:
    image = disc(tmp_path, Shape.PORTABLE)
    with opened_view(image) as view:
        assert read_embedded(view.window) is None
    run("implantisomd5", image)
    run("checkisomd5", image)
    with opened_view(image) as view:
        embedded = read_embedded(view.window)
        assert embedded is not None and check_embedded(view.window, embedded)
    other = changed(image, offset_of(image, "sources/install.wim"))
    run("checkisomd5", other, ok=(1,))
    with opened_view(other) as view:
        embedded = read_embedded(view.window)
        assert embedded is not None and not check_embedded(view.window, embedded)


def rules(image: Path) -> dict[str, Severity]:
    with opened_view(image) as view:
        return {found.rule: found.severity for found in examine(view)}


@pytest.mark.parametrize("shape", list(Shape))
def test_our_discs_are_sound(tmp_path: Path, shape: Shape) -> None:
    expected = {"disc.readme": Severity.NOTE} if shape is Shape.WINDOWS else {}
    assert rules(disc(tmp_path, shape)) == expected


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b"), ("readme.txt",)])
@pytest.mark.parametrize("shape", list(Shape))
def test_small_discs_are_sound(tmp_path: Path, shape: Shape, names: tuple[str, ...]) -> None:
    """With so few files the README on the other side is no difference either."""
    folder = made(tmp_path / "tree", dict.fromkeys(names, b"1"))
    create(folder, tmp_path / "x.iso", Order(shape=shape))
    with opened_view(tmp_path / "x.iso") as view:
        found = [f"{each.rule} {each.message}" for each in examine(view)]
        assert tuple(view.items) == names
    told = ["disc.readme ISO 9660 holds only README.TXT"] if shape is Shape.WINDOWS else []
    assert found == told


def test_discs_of_others_are_sound(tmp_path: Path) -> None:
    made(tmp_path / "tree", {**FILES, "a name that is long for Joliet" * 2 + ".txt": b"1"})
    theirs = tmp_path / "theirs.iso"
    boot = ("-b", "boot/etfsboot.com", "-no-emul-boot", "-boot-load-size", "8")
    run(*("genisoimage", "-quiet", "-udf", "-J", "-R", *boot, "-o", theirs, tmp_path / "tree"))
    assert Severity.ERROR not in rules(theirs).values()
    run("xorriso", "-as", "mkisofs", "-quiet", "-J", "-o", theirs, tmp_path / "tree")
    assert Severity.ERROR not in rules(theirs).values()


def test_lies(tmp_path: Path) -> None:
    image = disc(tmp_path, Shape.PORTABLE)
    data = image.read_bytes()
    block = offset_of(image, "sources/boot.wim") // 2048
    other = (offset_of(image, "sources/install.wim") // 2048 + 3).to_bytes(4, "little")
    # In both byte orders, as in a directory record: four bytes alone may be the time of a file.
    record = block.to_bytes(4, "little") + block.to_bytes(4, "big")
    assert data.count(record) >= 2
    # In one side only: the two disagree, and the file lies in the midst of another.
    at = data.rfind(record)
    assert rules(changed(image, at, other)) == {
        "disc.sides": Severity.ERROR,
        "disc.overlap": Severity.ERROR,
    }
    catalog = int.from_bytes(data[17 * 2048 + 71 : 17 * 2048 + 75], "little") * 2048
    assert rules(changed(image, catalog + 32 + 8, b"\xff\xff\xff\x7f")) == {
        "disc.boot": Severity.ERROR
    }
    assert rules(changed(image, catalog + 32 + 6, b"\xff\xff")) == {"disc.boot": Severity.ERROR}
    assert rules(changed(image, catalog + 1, b"\x07"))["disc.boot"] is Severity.ERROR
    longer = changed(image, 0, b"")
    with longer.open("ab") as stream:
        stream.write(bytes(4096))
    assert rules(longer) == {"disc.size": Severity.NOTE}
    udf = disc(tmp_path)
    assert rules(changed(udf, udf.stat().st_size - 2048, bytes(512)))["disc.anchor"]
