"""A Windows disc becomes a stick, or is refused with its reason before anything is written."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.errors import MediaError
from provisioner.media.facts import Extent, MediaKind
from provisioner.media.inspect import inspect
from provisioner.usb.compose_export import export_edition
from provisioner.usb.compose_source import windows_media
from tests.unit.cli.program import Home, members, plain
from tests.unit.media.big_disc import make_big_disc
from tests.unit.media.discs import listed_by_7z, run
from tests.unit.usb.discs import windows_disc
from tests.unit.usb.readers import checked, extracted


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("usb") / "home")
    (home.folder / "disc").mkdir()
    windows_disc(home.folder / "disc").rename(home.work / "Win11.iso")
    return home


def test_an_image_holds_the_disc_file_for_file(home: Home, tmp_path: Path) -> None:
    done = home.run("usb", "image", "Win11.iso", "stick.img")
    assert done.returncode == 0, done
    assert "GPT, one FAT32 volume CCCOMA_X64F" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("work/stick.img")
    volume = checked(home.work / "stick.img")
    found = {
        path: data for path, data in extracted(volume, tmp_path / "out").items() if data is not None
    }
    run(["7z", "x", "-bso0", f"-o{tmp_path / 'iso'}", home.work / "Win11.iso"])
    assert {path: len(data) for path, data in found.items()} == listed_by_7z(
        home.work / "Win11.iso"
    )
    for path, data in found.items():
        assert (tmp_path / "iso" / path).read_bytes() == data, path
    assert (home.work / "stick.img").stat().st_mode & 0o777 == 0o644


def test_the_same_bytes_twice_and_the_iso_untouched(home: Home) -> None:
    before = hashlib.sha256((home.work / "Win11.iso").read_bytes()).digest()
    for name in ("one.img", "two.img"):
        assert home.run("usb", "image", "Win11.iso", name, "--table", "mbr").returncode == 0
    run(["cmp", home.work / "one.img", home.work / "two.img"])
    assert hashlib.sha256((home.work / "Win11.iso").read_bytes()).digest() == before


def test_split_as_asked_for(home: Home) -> None:
    (event,) = members(home.events("usb", "plan", "Win11.iso"), "stick")
    assert event["parts"] == [] and event["install"] == "as it is"
    refused = home.run("usb", "plan", "Win11.iso", "--part-size", "12 kB")
    assert refused.returncode == 2 and "1 MiB at least" in refused.stderr


def test_existing_files_and_the_source_itself(home: Home) -> None:
    (home.work / "there.img").write_text("mine")
    done = home.run("usb", "image", "Win11.iso", "there.img")
    assert done.returncode == 5 and "is there already" in done.stderr
    done = home.run("usb", "image", "Win11.iso", "Win11.iso", "--force")
    assert done.returncode == 5 and "would be replaced" in done.stderr
    assert (home.work / "there.img").read_text() == "mine"


def test_a_narrow_terminal(home: Home) -> None:
    code, screen = home.on_terminal("usb", "plan", "Win11.iso", columns=20)
    assert code == 0 and "GPT" in screen
    assert max(map(len, plain(screen).splitlines())) <= 20


def test_discs_no_stick_can_be_made_of(tmp_path: Path) -> None:
    facts = inspect(windows_disc(tmp_path, without=["efi/boot/bootx64.efi"]))
    with pytest.raises(MediaError, match="no loader for UEFI"):
        windows_media(facts)
    with pytest.raises(MediaError, match="no Windows installation disc"):
        windows_media(replace(facts, kind=MediaKind.LINUX))
    lacking = (replace(facts.wims[-1], path="sources/install.swm", missing=(2, 3)),)
    facts = replace(facts, files={**facts.files, "efi/boot/BOOTAA64.EFI": ()}, wims=lacking)
    with pytest.raises(MediaError, match="not all parts"):
        windows_media(facts)


def test_names_that_collide(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    more = {"sources/Readme.txt": b"1", "sources/README.TXT": b"2"}
    windows_disc(tmp_path, more=more).rename(home.work / "Win11.iso")
    done = home.run("usb", "image", "Win11.iso", "stick.img")
    assert done.returncode == 2 and "differ only in upper and lower case" in done.stderr
    assert not (home.work / "stick.img").exists()


def test_a_real_size_is_split_and_a_big_file_refused(tmp_path: Path) -> None:
    """6 GB by its size, a few megabytes on the disk: the resources of a WIM are what counts."""
    loader = tmp_path / "loader.efi"
    loader.write_bytes(b"MZ" + bytes(600))
    facts = inspect(make_big_disc(tmp_path, loader=loader, files=20, in_boot_wim=10))
    media = windows_media(facts)
    assert media.install == "split in 1"
    assert "sources/install.swm" in {str(path) for path, _ in media.tree.files()}
    assert "sources/install.wim" not in {str(path) for path, _ in media.tree.files()}
    whole = windows_media(facts, ntfs=True)
    assert whole.install == "as it is" and not whole.parts
    other = next(path for path in facts.files if not path.startswith("sources/"))
    large = replace(facts, files={**facts.files, other: (Extent(offset=0, length=1 << 32),)})
    with pytest.raises(MediaError, match=r"only an install\.wim can be split") as caught:
        windows_media(large)
    assert other in caught.value.message and "--layout ntfs" in (caught.value.hint or "")
    assert other in {str(path) for path, _ in windows_media(large, ntfs=True).tree.files()}


def test_a_solid_image_that_does_not_fit_names_the_choices(tmp_path: Path) -> None:
    facts = inspect(windows_disc(tmp_path, install=["--solid"]))
    assert windows_media(facts).install == "as it is"
    with pytest.raises(MediaError) as caught:
        windows_media(facts, part_bytes=1024)
    assert "is solid" in caught.value.message
    assert "--export-edition N" in (caught.value.hint or "")
    assert "--layout ntfs --uefi-ntfs FILE" in (caught.value.hint or "")
    assert "2 Pro shown (Professional)" in (caught.value.hint or "")


def test_one_edition_out_of_a_solid_image(tmp_path: Path) -> None:
    """Exported once, taken from the cache the second time, verified by wimlib, same bytes."""
    home = Home(tmp_path / "home")
    windows_disc(tmp_path, install=["--solid"]).rename(home.work / "Win11.iso")
    done = home.run("usb", "image", "Win11.iso", "stick.img", "--export-edition", "2")
    assert done.returncode == 0, done
    assert "image 2 of 3 alone" in done.stdout
    (cached,) = (home.folder / "home/.cache/provisioner/editions").glob("*.wim")
    stamp = cached.stat().st_mtime_ns
    assert home.run("usb", "image", "Win11.iso", "two.img", "--export-edition", "2").returncode == 0
    assert cached.stat().st_mtime_ns == stamp
    run(["cmp", home.work / "two.img", home.work / "stick.img"])
    found = extracted(checked(home.work / "stick.img"), tmp_path / "out")
    assert "sources/install.wim" in found and "sources/install.esd" not in found
    run(["wimlib-imagex", "verify", tmp_path / "out/sources/install.wim"])
    told = run(["wimlib-imagex", "info", tmp_path / "out/sources/install.wim"])
    assert "Image Count:    1" in told and "LZX" in told and "Professional" in told
    facts = inspect(home.work / "Win11.iso")
    again = export_edition(facts, facts.editions[1], tmp_path / "again")
    assert again.path.read_bytes() == cached.read_bytes()
    bad = home.run("usb", "plan", "Win11.iso", "--export-edition", "9")
    assert bad.returncode == 3 and "this medium holds" in bad.stderr
