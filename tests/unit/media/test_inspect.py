"""What `inspect` says about media of every kind, and about what is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.errors import MediaError
from provisioner.media.facts import MediaFacts, MediaKind, WimFile
from provisioner.media.identify import (
    is_evaluation,
    is_volume_licence,
    product_of,
    require_windows,
    setup_languages,
)
from provisioner.media.inspect import inspect
from tests.unit.media.discs import (
    SERVER,
    WINDOWS_FILES,
    make_bridge,
    make_edition,
    make_facts,
    make_tree,
    make_wim,
    run,
)
from tests.unit.media.udf_image import UdfImage


def test_a_windows_disc(windows_iso: Path) -> None:
    facts = inspect(windows_iso)
    assert facts.kind is MediaKind.WINDOWS_SETUP
    assert facts.evidence[0] == "it holds sources/install.wim and Windows Setup"
    assert (facts.product, facts.build, facts.architecture) == ("windows-11", 26100, "amd64")
    assert [e.edition_id for e in facts.editions] == ["Core", "Professional", "ProfessionalN"]
    assert facts.languages == ("en-US", "de-DE")  # lang.ini, spelt as answer files do
    assert not facts.evaluation
    assert not facts.volume_licence
    plain = {"compression": "LZX", "solid": False, "part": 1, "parts": 1}
    assert facts.wims == tuple(
        WimFile(path=path, images=images, size=size_of(facts, path), **plain)  # type: ignore[arg-type]
        for path, images in (("sources/boot.wim", 2), ("sources/install.wim", 3))
    )
    require_windows(facts)


def size_of(facts: MediaFacts, path: str) -> int:
    return sum(extent.length for extent in facts.files[path])


def test_the_medium_is_not_touched(windows_iso: Path) -> None:
    before = windows_iso.stat()
    inspect(windows_iso)
    after = windows_iso.stat()
    assert (before.st_mtime_ns, before.st_mode, before.st_size) == (
        after.st_mtime_ns,
        after.st_mode,
        after.st_size,
    )


def test_an_evaluation_server(tmp_path: Path, boot_wim: Path) -> None:
    wim = make_wim(tmp_path / "install.wim", SERVER, build=26100)
    files: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        "sources/boot.wim": boot_wim,
        "sources/install.wim": wim,
    }
    facts = inspect(make_bridge(tmp_path / "s.iso", files, label="SSS_X64FREE_EN-US_DV9"))
    assert (facts.product, facts.evaluation) == ("windows-server-2025", True)


def test_an_esd_and_the_languages_of_setup(tmp_path: Path, boot_wim: Path) -> None:
    """No lang.ini: the languages of boot.wim. Solid: known from the header."""
    esd = make_wim(tmp_path / "install.esd", SERVER[:1], build=20348, extra=["--solid"])
    files: dict[str, bytes | Path] = {
        "setup.exe": b"MZ",
        "sources/boot.wim": boot_wim,
        "sources/install.esd": esd,
    }
    facts = inspect(make_bridge(tmp_path / "s.iso", files, boot=()))
    assert facts.languages == ("fr-FR",)
    assert facts.wims[1].solid
    assert facts.product == "windows-server-2022"


def test_a_rebuilt_disc_without_udf(tmp_path: Path, install_wim: Path, boot_wim: Path) -> None:
    """Windows media rebuilt by xorriso: Joliet instead of UDF."""
    files: dict[str, bytes] = {
        **WINDOWS_FILES,
        "sources/boot.wim": boot_wim.read_bytes(),
        "sources/install.wim": install_wim.read_bytes(),
    }
    tree = make_tree(tmp_path / "tree", files)
    image = tmp_path / "r.iso"
    run(["xorriso", "-as", "mkisofs", "-quiet", "-J", "-iso-level", "3", "-o", image, tree])
    facts = inspect(image)
    assert facts.kind is MediaKind.WINDOWS_SETUP
    assert [e.edition_id for e in facts.editions] == ["Core", "Professional", "ProfessionalN"]


def test_missing_parts_of_a_split_image_are_told(tmp_path: Path, boot_wim: Path) -> None:
    data = bytearray(make_wim(tmp_path / "install.swm", SERVER[:1]).read_bytes())
    data[40:44] = b"\x01\x00\x03\x00"
    files: dict[str, bytes | Path] = {
        "setup.exe": b"MZ",
        "sources/boot.wim": boot_wim,
        "sources/install.swm": bytes(data),
    }
    facts = inspect(make_bridge(tmp_path / "s.iso", files, boot=()))
    assert facts.remarks == ("install.swm is split in 3, but only parts 1 are here",)


def test_a_boot_wim_that_is_none_is_a_remark(tmp_path: Path, install_wim: Path) -> None:
    files: dict[str, bytes | Path] = {
        "sources/boot.wim": b"dummy",
        "sources/install.wim": install_wim,
    }
    facts = inspect(make_bridge(tmp_path / "s.iso", files, boot=()))
    assert facts.languages == ("en-US", "de-DE")
    assert "sources/boot.wim" in facts.remarks[0]


def test_an_install_wim_that_is_none(tmp_path: Path) -> None:
    image = make_bridge(tmp_path / "s.iso", {"sources/install.wim": b"x" * 999}, boot=())
    with pytest.raises(MediaError, match=r"sources/install.wim on s.iso is damaged"):
        inspect(image)


def test_fingerprints_tell_media_apart(tmp_path: Path, windows_iso: Path) -> None:
    copy = tmp_path / "other name.iso"
    copy.write_bytes(windows_iso.read_bytes())
    assert inspect(copy).fingerprint == inspect(windows_iso).fingerprint
    name, other = "Windows 11 Pro N".encode("utf-16-le"), "Windows 11 Pro X".encode("utf-16-le")
    copy.write_bytes(copy.read_bytes().replace(name, other))
    changed = inspect(copy).fingerprint
    assert changed.size == inspect(windows_iso).fingerprint.size
    assert changed.digest != inspect(windows_iso).fingerprint.digest


def test_a_linux_disc(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", {".disk/info": b"Debian", "live/vmlinuz": b"k"})
    run(["xorriso", "-as", "mkisofs", "-quiet", "-R", "-o", tmp_path / "l.iso", tree])
    facts = inspect(tmp_path / "l.iso")
    assert facts.kind is MediaKind.LINUX
    with pytest.raises(MediaError, match="is not a Windows installation disc but a Linux disc"):
        require_windows(facts)


def test_a_disc_of_something_else(tmp_path: Path) -> None:
    facts = inspect(make_bridge(tmp_path / "o.iso", {"music/track.mp3": b"la"}, boot=()))
    assert facts.kind is MediaKind.OTHER_DISC


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (b"", "is empty", "fetch it again"),
        (b"\r\n<!DOCTYPE html>\n<html>", "is a web page, not an image", "asks for a login"),
        (b"\xef\xbb\xbf<HTML lang='en'>", "is a web page", "expired"),
        (b"PK\x03\x04" + bytes(90000), "a ZIP archive", "unpack"),
        (b"QFI\xfb" + bytes(90000), "a qcow2 disk", "ISO"),
        (bytes(510) + b"\x55\xaa" + bytes(90000), "begins with a boot sector", "ISO"),
        (bytes(510) + b"\x55\xaa\xebfHdrS" + bytes(90000), "a kernel that a Linux boot", "ISO"),
        (bytes(90000), "only zeros", "fetch it again"),
        (b"anything else", "neither ISO 9660 nor UDF", "ISO"),
    ],
    ids=str.split("empty page page-with-bom zip qcow2 boot-sector kernel zeros text"),
)
def test_files_that_are_no_disc(tmp_path: Path, content: bytes, message: str, hint: str) -> None:
    path = tmp_path / "win.iso"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=message) as caught:
        inspect(path)
    assert hint in str(caught.value.hint)


def test_places_that_are_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "missing.iso", "does not exist"),
        (tmp_path / "pipe", "neither a file nor a disc"),
        (Path("/dev/null"), "neither a file nor a disc"),
        (tmp_path / ("x" * 300), "cannot open"),
        (tmp_path / "a\0b", "cannot open"),
    ):
        with pytest.raises(MediaError, match=message):
            inspect(path)


@pytest.mark.parametrize("kept", [0.95, 0.5, 0.4])
def test_a_truncated_disc_names_both_sizes(tmp_path: Path, windows_iso: Path, kept: float) -> None:
    data = windows_iso.read_bytes()
    path = tmp_path / "cut.iso"
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(MediaError, match="is truncated") as caught:
        inspect(path)
    assert f"{len(data):,}" in caught.value.message
    assert f"{path.stat().st_size:,}" in caught.value.message


def test_a_truncated_pure_udf_image(tmp_path: Path) -> None:
    image = UdfImage()
    big = image.file(b"x" * 5000, size=1 << 30)
    path = tmp_path / "cut.udf"
    image.write(path, image.directory({"install.wim": (big, False)}))
    whole = path.stat().st_size
    os.truncate(path, 300 << 20)
    with pytest.raises(MediaError, match="is truncated") as caught:
        inspect(path)
    assert f"{300 << 20:,}" in caught.value.message
    os.truncate(path, 261 * 2048)  # not even the directory is left
    with pytest.raises(MediaError, match="is truncated"):
        inspect(path)
    assert whole > 1 << 30


def test_a_cut_that_hits_no_file_is_a_remark(tmp_path: Path, answer_iso: Path) -> None:
    data = answer_iso.read_bytes()
    path = tmp_path / "cut.iso"
    path.write_bytes(data[: -100 * 2048])  # xorriso pads with 150 sectors
    facts = inspect(path)
    assert "Autounattend.xml" in facts.files
    assert "no file is cut" in facts.remarks[-1]


def test_a_damaged_iso_side_beside_udf_is_a_remark(tmp_path: Path, windows_iso: Path) -> None:
    data = bytearray(windows_iso.read_bytes())
    data[16 * 2048 + 128] = 7
    path = tmp_path / "odd.iso"
    path.write_bytes(data)
    facts = inspect(path)
    assert facts.product == "windows-11"
    assert facts.remarks == (
        "the ISO 9660 side is damaged: the ISO 9660 volume claims blocks of 2055 bytes",
    )


def test_a_damaged_udf_side_beside_a_readme_is_an_error(tmp_path: Path, windows_iso: Path) -> None:
    data = bytearray(windows_iso.read_bytes())
    at = data.index(b"\x00\x01\x02\x00", 257 * 2048)  # the file set descriptor
    data[at + 8] ^= 0xFF
    path = tmp_path / "odd.iso"
    path.write_bytes(data)
    with pytest.raises(MediaError, match="damaged disc image"):
        inspect(path)


@pytest.mark.parametrize(
    ("build", "kind", "product"),
    [
        (26200, "Client", "windows-11"),
        (22000, "Client", "windows-11"),
        (19045, "Client", "windows-10"),
        (10240, "Client", "windows-10"),
        (9600, "Client", "windows-8.1"),
        (7601, "Client", "windows-7"),
        (26100, "Server", "windows-server-2025"),
        (26100, "Server Core", "windows-server-2025"),
        (20348, "Server", "windows-server-2022"),
        (17763, "Server", "windows-server-2019"),
        (14393, "Server Core", "windows-server-2016"),
        (18362, "Server", None),
        (0, "Client", None),
    ],
)
def test_products(build: int, kind: str, product: str | None) -> None:
    edition = make_edition(1, "any", "any", kind, version=(10, 0, build, 1))
    assert product_of([edition]) == product


def test_evaluation_needs_evidence() -> None:
    assert not is_evaluation([make_edition(1, "Windows 11 Pro", "Professional")], "X64FREE")
    assert is_evaluation([make_edition(1, "a", "EnterpriseEval")], "")
    assert is_evaluation([make_edition(1, "a", "ServerStandardEvalCor")], "")
    shown = make_edition(1, "a", "b", display_name="Windows Server 2022 Standard Evaluation")
    assert is_evaluation([shown], "")


@pytest.mark.parametrize(
    ("ei_cfg", "label", "volume"),
    [
        ("", "CCCOMA_X64FRE_EN-US_DV9", False),
        ("", "J_CENA_X64FREV_EN-US_DV5", True),
        ("[Channel]\r\nRetail\r\n[VL]\r\n0\r\n", "CPBA_X64FREV_EN-US_DV9", False),
        ("[Channel]\r\nVolume\r\n", "", True),
        ("[EditionID]\n\n[Channel]\nOEM\n[VL]\n1 ; yes\n", "", True),
        ("garbage", "", False),
    ],
)
def test_volume_licence(ei_cfg: str, label: str, volume: bool) -> None:
    assert is_volume_licence(ei_cfg, label) is volume


def test_languages_of_setup() -> None:
    ini = "[Available UI Languages]\nzh-hant-tw = 2\nPT-br=1\npt-BR = 3\n[Fallback]\na = b\n"
    assert setup_languages(ini, (), ()) == ("zh-Hant-TW", "pt-BR")
    pe = make_edition(1, "a", "WindowsPE", languages=("de-DE",))
    assert setup_languages("nonsense", (pe,), (make_edition(1, "a", "b"),)) == ("de-DE",)
    assert setup_languages("", (), (make_edition(1, "a", "b"),)) == ("en-US",)
    assert setup_languages("", (), ()) == ()


@pytest.mark.parametrize("kind", list(MediaKind))
def test_require_windows_needs_an_edition(kind: MediaKind) -> None:
    with pytest.raises(MediaError, match="not a Windows installation disc"):
        require_windows(make_facts(kind=kind))
