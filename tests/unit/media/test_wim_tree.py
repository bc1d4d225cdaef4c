"""Directories and files of WIM images, compared with what wimlib-imagex lists and extracts."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import subprocess
from pathlib import Path

import pytest

from provisioner.errors import MediaError
from provisioner.media.facts import WimFile
from provisioner.media.inspect import inspect
from provisioner.media.page import fields
from provisioner.media.wim import read_header
from provisioner.media.wim_integrity import Integrity, check_integrity
from provisioner.media.wim_tree import WimTree, blobs
from provisioner.media.window import Damaged, Unsupported, opened
from tests.unit.media.discs import CLIENT, make_tree, make_wim, run

FORMS = {
    "none": ["--compress=none"],
    "xpress": ["--compress=XPRESS"],
    "xpress-64k": ["--compress=XPRESS", "--chunk-size=64K"],
    "lzx": ["--compress=LZX"],
    "lzx-256k": ["--compress=LZX", "--chunk-size=256K"],
    "pipable": ["--compress=LZX", "--pipable"],
}
LONG = "a name that is much longer than the ones that DOS knew" * 3 + ".txt"


@pytest.fixture(scope="session")
def tree(images: Path) -> Path:
    """Many files, so that the metadata takes several chunks; a link, nothing, and umlauts."""
    files = {f"Windows/{n % 7}/file number {n}.dll": str(n).encode() * 50 for n in range(1500)}
    folder = make_tree(
        images / "wim-tree",
        files
        | {
            "Autounattend.xml": b"<unattend/>\r\n" * 5000,
            "empty.txt": b"",
            LONG: b"long",
            "Gruß 日本 🪟.txt": b"names",
        },
    )
    os.link(folder / "Autounattend.xml", folder / "second name.xml")
    (folder / "empty folder").mkdir()
    (folder / "link").symlink_to("empty.txt")
    return folder


@pytest.fixture(scope="session", params=FORMS)
def wim(request: pytest.FixtureRequest, images: Path, tree: Path) -> Path:
    """Two images: the tree, and one with a single file."""
    path = images / f"tree-{request.param}.wim"
    run(["wimlib-imagex", "capture", tree, path, "tree", "--check", *FORMS[request.param]])
    small = make_tree(images / f"small-{request.param}", {"only.txt": b"only"})
    run(["wimlib-imagex", "append", small, path, "small", "--check"])
    return path


def listed(path: Path, image: int, folder: str = "/") -> set[str]:
    """Names in a folder as `wimlib-imagex dir` has them."""
    text = run(
        ["wimlib-imagex", "dir", path, str(image), f"--path={folder}", "--one-file-only"][:4]
    )
    start = folder.rstrip("/") + "/"
    names = (line for line in text.splitlines() if line.startswith(start) and line != start)
    return {line[len(start) :] for line in names if "/" not in line[len(start) :]} - {""}


def test_directories_agree_with_wimlib(wim: Path) -> None:
    with opened(wim) as window:
        found = WimTree(window, read_header(window))
        for image, folder in ((1, ""), (1, "Windows"), (1, "windows/3"), (2, "")):
            names = [entry.name for entry in found.entries(image, folder)]
            spelled = "/" + folder.replace("windows", "Windows")
            assert set(names) == listed(wim, image, spelled)
            assert len(names) == len(set(names))
        assert found.entries(1, "empty folder") == ()


def test_files_agree_with_wimlib(wim: Path, tree: Path, tmp_path: Path) -> None:
    run(["wimlib-imagex", "extract", wim, "1", "--no-acls", f"--dest-dir={tmp_path}"])
    with opened(wim) as window:
        found = WimTree(window, read_header(window))
        for folder in ("", "Windows/5"):
            for entry in found.entries(1, folder):
                if not entry.directory and entry.name != "link":
                    assert found.read(entry) == (tmp_path / folder / entry.name).read_bytes()


def test_only_what_is_needed_is_read(images: Path, tree: Path) -> None:
    path = images / "cost.wim"
    if not path.exists():
        run(["wimlib-imagex", "capture", tree, path, "tree", "--compress=LZX"])
    with opened(path) as window:
        header = read_header(window)
        WimTree(window, header).entries(1)
        assert window.bytes_read < header.table.size + 60_000


def test_existence_looks_at_the_folders_above_only(wim: Path) -> None:
    with opened(wim) as window:
        found = WimTree(window, read_header(window))
        assert found.exists(1, "windows/3/FILE NUMBER 3.dll")
        assert found.exists(1, "Windows")
        assert not found.exists(1, "Windows/9/file")
        assert not found.exists(1, "Windows/3/file")
        with pytest.raises(Damaged, match="no directory"):
            found.entries(1, "empty.txt")
        for image in (0, 3, -1):
            with pytest.raises(Damaged, match="no image"):
                found.entries(image)


def test_the_blob_table_agrees_with_wimlib(wim: Path) -> None:
    text = run(["wimlib-imagex", "info", wim, "--blobs"])
    theirs = set(re.findall(r"0x([0-9a-f]{40})", text))
    with opened(wim) as window:
        ours = {blob.sha1.hex() for blob in blobs(window, read_header(window))}
    assert theirs == ours


def test_alternate_streams_and_attributes_of_ntfs(tmp_path: Path) -> None:
    """Captured from an NTFS volume: named streams are named, the content is still the content."""
    volume, source = tmp_path / "ntfs.img", tmp_path / "content"
    volume.write_bytes(bytes(4 << 20))
    run(["mkntfs", "-q", "-F", "-s", "512", volume])
    source.write_bytes(b"the content")
    run(["ntfscp", "-f", volume, source, "file.txt"])
    source.write_bytes(b"hidden")
    run(["ntfscp", "-f", "-N", "secret", volume, source, "file.txt"])
    run(["wimlib-imagex", "capture", volume, tmp_path / "n.wim", "n", "--compress=LZX"])
    with opened(tmp_path / "n.wim") as window:
        found = WimTree(window, read_header(window))
        entry = next(e for e in found.entries(1) if e.name == "file.txt")
        assert entry.streams == ("secret",)
        assert found.read(entry) == b"the content"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--compress=LZMS"], "compressed with LZMS"),
        (["--solid"], "compressed with LZMS"),
    ],
)
def test_what_is_not_decoded_says_so(tmp_path: Path, options: list[str], message: str) -> None:
    tree = make_tree(tmp_path / "t", {"a.txt": b"a" * 9000})
    run(["wimlib-imagex", "capture", tree, tmp_path / "a.wim", *options])
    with opened(tmp_path / "a.wim") as window:
        header = read_header(window)
        with pytest.raises(Unsupported, match=message):
            WimTree(window, header).entries(1)


def test_files_in_a_solid_resource(tmp_path: Path) -> None:
    """The directories can be read, the content cannot."""
    tree = make_tree(tmp_path / "t", {"a.txt": b"a" * 9000})
    path = tmp_path / "a.wim"
    run(["wimlib-imagex", "capture", tree, path, "--compress=LZX", "--solid"])
    with opened(path) as window:
        found = WimTree(window, read_header(window))
        (entry,) = found.entries(1)
        with pytest.raises(Unsupported, match="solid resource"):
            found.read(entry)


def test_files_larger_than_the_limit(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "t", {"a.txt": b"a" * 9000})
    run(["wimlib-imagex", "capture", tree, tmp_path / "a.wim"])
    with opened(tmp_path / "a.wim") as window:
        found = WimTree(window, read_header(window))
        with pytest.raises(Unsupported, match="9,000 bytes"):
            found.read(found.entries(1)[0], limit=8999)


def test_content_that_does_not_fit_its_digest(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "t", {"a.txt": b"what is written here"})
    run(["wimlib-imagex", "capture", tree, tmp_path / "a.wim", "--compress=none"])
    path = tmp_path / "a.wim"
    path.write_bytes(path.read_bytes().replace(b"what is written", b"what was written"[:15]))
    with opened(path) as window:
        found = WimTree(window, read_header(window))
        with pytest.raises(Damaged, match="does not fit its SHA-1"):
            found.read(found.entries(1)[0])


def split(folder: Path) -> list[Path]:
    """A set of several parts with images of the right kind."""
    noise = make_tree(
        folder / "noise", {str(n): bytes(range(256)) * (n + 1) * 3000 for n in range(3)}
    )
    whole = make_wim(folder / "whole.wim", CLIENT, extra=["--compress=none"])
    run(["wimlib-imagex", "append", noise, whole, "big", "--no-acls"])
    run(["wimlib-imagex", "split", whole, folder / "install.swm", "1"])
    return sorted(folder.glob("install*.swm"))


def test_split_sets_know_what_is_missing(tmp_path: Path) -> None:
    parts = split(tmp_path)
    assert len(parts) == 3
    assert inspect(parts[0]).wims[0].missing == ()
    assert (inspect(parts[1]).remarks, inspect(parts[1]).wims[0].part) == ((), 2)
    with opened(parts[1]) as window, pytest.raises(Unsupported, match="not in this file"):
        WimTree(window, read_header(window)).entries(1)
    parts[1].rename(tmp_path / "elsewhere.swm")
    (tmp_path / "install2.swm").write_bytes(b"no WIM at all")
    facts = inspect(parts[0])
    assert facts.wims[0].missing == (2,)
    assert "part 2 of the split set is not beside it" in facts.remarks


def test_a_part_of_another_set_does_not_count(tmp_path: Path) -> None:
    parts = split(tmp_path)
    data = bytearray(parts[1].read_bytes())
    data[24] ^= 1
    parts[1].write_bytes(data)
    assert inspect(parts[0]).wims[0].missing == (2,)


def test_what_a_header_says(tmp_path: Path) -> None:
    path = make_wim(tmp_path / "a.wim", CLIENT[:2], extra=["--check"])
    run(["wimlib-imagex", "info", path, "2", "--boot"])
    assert inspect(path).wims == (
        WimFile(
            path="a.wim",
            compression="LZX",
            solid=False,
            part=1,
            parts=1,
            images=2,
            boots=2,
            size=path.stat().st_size,
            integrity=True,
            names=("Windows 11 Home shown", "Windows 11 Pro shown"),
        ),
    )


def test_images_that_are_no_windows_are_named(tmp_path: Path) -> None:
    """What wimlib captures of any folder has a name and nothing more."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a").write_bytes(b"a")
    run(["wimlib-imagex", "capture", tmp_path / "tree", tmp_path / "a.wim", "Backup of May"])
    facts = inspect(tmp_path / "a.wim")
    assert (facts.editions, facts.wims[0].names) == ((), ("Backup of May",))
    (field,) = (field for field in fields(facts) if field.label == "images")
    assert field.rows == (("index", "name"), ("1", "Backup of May"))


def test_integrity_agrees_with_wimlib(tmp_path: Path) -> None:
    noise = tmp_path / "t"
    noise.mkdir()
    (noise / "big").write_bytes(
        b"".join(hashlib.sha256(bytes([n])).digest() for n in range(256)) * 2600
    )
    path = tmp_path / "a.wim"
    run(["wimlib-imagex", "capture", noise, path, "--compress=none", "--check"])
    assert path.stat().st_size > 20 << 20
    steps: list[int] = []
    with opened(path) as window:
        header = read_header(window)
        found = check_integrity(window, header, lambda done, total: steps.append(total - done))
    assert found == Integrity(chunks=3, damaged=())
    assert steps[-1] == 0
    run(["wimlib-imagex", "verify", path])
    data = bytearray(path.read_bytes())
    data[15 << 20] ^= 1
    path.write_bytes(data)
    with opened(path) as window:
        found = check_integrity(window, read_header(window))
    assert found == Integrity(chunks=3, damaged=((208 + (10 << 20), 10 << 20),))
    assert subprocess.run(["wimlib-imagex", "verify", path], capture_output=True).returncode


def test_no_integrity_table(install_wim: Path) -> None:
    with opened(install_wim) as window:
        assert check_integrity(window, read_header(window)) is None


@pytest.mark.parametrize(("at", "value"), [(0, 0), (4, 2**31), (8, 0), (8, 2**31), (8, 4096)])
def test_hostile_integrity_tables(tmp_path: Path, at: int, value: int) -> None:
    path = make_wim(tmp_path / "a.wim", CLIENT[:1], extra=["--check"])
    data = bytearray(path.read_bytes())
    place = int.from_bytes(data[132:140], "little")
    struct.pack_into("<I", data, place + at, value)
    path.write_bytes(data)
    with opened(path) as window:
        header = read_header(window)
        if (at, value) == (8, 4096):  # the same number of chunks: only the digests differ
            found = check_integrity(window, header)
            assert found is not None
            return
        with pytest.raises(Damaged, match="does not fit the file"):
            check_integrity(window, header)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 2**40, "damaged|leaves"),  # length of the root's entry
        (0, 50, "damaged"),
        (16, 2**50, "leaves its metadata"),  # where its children begin
        (16, 3, "leaves its metadata"),
        (8, 0, "no root directory"),
        (96, 60000, "damaged|ends at byte"),
        (100, 60000, "longer than its entry"),
    ],
)
def test_hostile_metadata(tmp_path: Path, at: int, value: int, message: str) -> None:
    tree = make_tree(tmp_path / "t", {"a.txt": b"a"})
    path = tmp_path / "a.wim"
    run(["wimlib-imagex", "capture", tree, path, "--compress=none", "--no-acls"])
    with opened(path) as window:
        header = read_header(window)
        metadata = next(b for b in blobs(window, header) if b.resource.flags & 2)
    data = bytearray(path.read_bytes())
    root = metadata.resource.offset + 8
    form = "<Q" if at in {0, 16} else "<H" if at >= 96 else "<I"
    struct.pack_into(form, data, root + at, value)
    path.write_bytes(data)
    with opened(path) as window, pytest.raises(Damaged, match=message):
        WimTree(window, read_header(window)).entries(1)


def test_a_directory_that_leads_to_itself_ends(tmp_path: Path) -> None:
    """Paths are as long as the caller makes them: a circle costs nothing."""
    tree = make_tree(tmp_path / "t", {"d/a.txt": b"a"})
    path = tmp_path / "a.wim"
    run(["wimlib-imagex", "capture", tree, path, "--compress=none", "--no-acls"])
    with opened(path) as window:
        header = read_header(window)
        metadata = next(b for b in blobs(window, header) if b.resource.flags & 2)
    data = bytearray(path.read_bytes())
    start, size = metadata.resource.offset, metadata.resource.size
    (children,) = struct.unpack_from("<Q", data, start + 8 + 16)
    at = start + children + 16
    struct.pack_into("<Q", data, at, children)
    assert at < start + size
    path.write_bytes(data)
    with opened(path) as window:
        found = WimTree(window, read_header(window))
        assert [e.name for e in found.entries(1, "d/" * 500)] == ["d"]


def test_a_damaged_boot_wim_is_a_remark_only(tmp_path: Path) -> None:
    path = make_wim(tmp_path / "boot.wim", (("PE", "WindowsPE", "WindowsPE"),))
    data = bytearray(path.read_bytes())
    table = int.from_bytes(data[56:64], "little")
    data[table : table + 8] = b"\xff" * 8
    path.write_bytes(data)
    facts = inspect(path)
    assert any("the root of image 1 could not be read" in remark for remark in facts.remarks)


def test_a_header_that_lies_about_its_chunks(tmp_path: Path) -> None:
    path = make_wim(tmp_path / "a.wim", CLIENT[:1])
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 20, 3 << 20)
    path.write_bytes(data)
    with opened(path) as window, pytest.raises(MediaError, match="chunks of 3145728 bytes"):
        WimTree(window, read_header(window)).entries(1)
