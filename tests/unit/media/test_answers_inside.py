"""Answer files that a medium carries already: every place, and which file Setup would take."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from provisioner.media.answer_xml import PASSES, outline
from provisioner.media.facts import AnswerFile
from provisioner.media.inspect import inspect
from provisioner.media.setup_config import masked, read_config
from tests.unit.media.discs import CLIENT, PE, WINDOWS_FILES, make_bridge, make_wim, run

HEAD = '<?xml version="1.0" encoding="utf-8"?>\n'
KEY = "VK7JG-NPHTM-C97JM-9MPGT-3V66T"
PANTHER = "sources/$OEM$/$$/Panther/unattend.xml"
EVERYTHING = ("windowsPE", "offlineServicing", "specialize", "oobeSystem")


def answers(*passes: str) -> bytes:
    settings = "".join(f'<settings pass="{p}"><component name="c"/></settings>' for p in passes)
    return (
        f'{HEAD}<unattend xmlns="urn:schemas-microsoft-com:unattend">{settings}</unattend>'.encode()
    )


def in_image(folder: Path, wim: Path, image: int, name: str, content: bytes) -> None:
    (folder / "answers.tmp").write_bytes(content)
    command = f"add {folder / 'answers.tmp'} /{name}"
    run(["wimlib-imagex", "update", wim, str(image), "--command", command])


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    path = make_wim(tmp_path / "boot.wim", PE)
    run(["wimlib-imagex", "info", path, "2", "--boot"])
    return path


def inside(folder: Path, boot: Path, files: dict[str, bytes]) -> tuple[AnswerFile, ...]:
    install = folder / "install.wim"
    content: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        **files,
        "sources/boot.wim": boot,
        "sources/install.wim": install if install.exists() else make_wim(install, CLIENT[:1]),
    }
    return inspect(make_bridge(folder / "w.iso", content)).answers


def won(found: tuple[AnswerFile, ...]) -> dict[str, tuple[str, ...]]:
    return {answer.path: answer.wins for answer in found}


def test_none(tmp_path: Path, boot: Path) -> None:
    assert inside(tmp_path, boot, {}) == ()


@pytest.mark.parametrize(
    ("path", "rank", "wins"),
    [
        ("Autounattend.xml", 5, EVERYTHING),
        ("AUTOUNATTEND.XML", 5, EVERYTHING),
        ("sources/Autounattend.xml", 6, EVERYTHING),
        ("unattend.xml", 8, ()),  # only when setup.exe is started inside Windows
        (PANTHER, 3, ("specialize", "oobeSystem")),
        ("sources/$OEM$/$$/Panther/Unattend/unattend.xml", 2, ("specialize", "oobeSystem")),
        ("$OEM$/$$/Panther/unattend.xml", 3, ("specialize", "oobeSystem")),
        ("sources/$OEM$/$$/System32/Sysprep/unattend.xml", 6, EVERYTHING[2:]),
    ],
)
def test_places_on_the_medium(
    tmp_path: Path, boot: Path, path: str, rank: int, wins: tuple[str, ...]
) -> None:
    (found,) = inside(tmp_path, boot, {path: answers(*EVERYTHING)})
    assert (found.path, found.rank) == (path, rank)
    assert found.passes == EVERYTHING
    if rank == 6 and "Sysprep" in path:
        assert set(wins) <= set(found.wins)
    else:
        assert found.wins == wins


@pytest.mark.parametrize("name", ["Autounattend.xml", "unattend.xml"])
def test_the_root_of_an_image(tmp_path: Path, boot: Path, name: str) -> None:
    """Image 2 is the one that Setup runs in; what stands in image 1 is told, and not used."""
    in_image(tmp_path, boot, 2, name, answers(*EVERYTHING))
    in_image(tmp_path, boot, 1, name, answers(*EVERYTHING))
    first, second = inside(tmp_path, boot, {})
    assert first.path == f"sources/boot.wim, image 1: {name}"
    assert (first.rank, first.wins) == (7, ())
    assert second.path == f"sources/boot.wim, image 2: {name}"
    assert second.wins == EVERYTHING


def test_the_root_of_the_disc_comes_before_the_image(tmp_path: Path, boot: Path) -> None:
    in_image(tmp_path, boot, 2, "Autounattend.xml", answers(*EVERYTHING))
    found = inside(tmp_path, boot, {"Autounattend.xml": answers("windowsPE", "oobeSystem")})
    assert won(found) == {
        "Autounattend.xml": ("windowsPE", "oobeSystem"),
        # Setup searches again in each pass: what the first lacks comes from the next.
        "sources/boot.wim, image 2: Autounattend.xml": ("offlineServicing",),
    }


def test_a_file_without_the_pass_is_skipped(tmp_path: Path, boot: Path) -> None:
    found = inside(
        tmp_path,
        boot,
        {
            "Autounattend.xml": answers("oobeSystem"),
            "sources/Autounattend.xml": answers("windowsPE", "specialize"),
        },
    )
    assert won(found) == {
        "Autounattend.xml": ("oobeSystem",),
        "sources/Autounattend.xml": ("windowsPE", "specialize"),
    }


def test_a_copy_in_panther_comes_before_what_setup_carries_along(
    tmp_path: Path, boot: Path
) -> None:
    found = inside(
        tmp_path,
        boot,
        {"Autounattend.xml": answers(*EVERYTHING), PANTHER: answers("windowsPE", "oobeSystem")},
    )
    assert won(found) == {
        PANTHER: ("oobeSystem",),
        "Autounattend.xml": ("windowsPE", "offlineServicing", "specialize"),
    }


def test_a_broken_file_does_not_win(tmp_path: Path, boot: Path) -> None:
    found = inside(
        tmp_path,
        boot,
        {
            "Autounattend.xml": b"junk" + answers(*EVERYTHING),
            "sources/Autounattend.xml": answers(*EVERYTHING),
        },
    )
    assert found[0].problem.startswith("it is not well-formed")
    assert won(found)["sources/Autounattend.xml"] == EVERYTHING


def test_a_file_in_an_image_that_cannot_be_read(tmp_path: Path, boot: Path) -> None:
    in_image(tmp_path, boot, 2, "Autounattend.xml", answers("windowsPE"))
    run(["wimlib-imagex", "optimize", boot, "--recompress", "--compress=LZMS"])
    install = make_wim(tmp_path / "install.wim", CLIENT[:1])
    content: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        "sources/boot.wim": boot,
        "sources/install.wim": install,
    }
    facts = inspect(make_bridge(tmp_path / "w.iso", content))
    assert facts.answers == ()
    (remark,) = facts.remarks
    assert remark.startswith("sources/boot.wim: the root of image 1 could not be read: ")
    assert remark.endswith("it is compressed with LZMS, which is not decoded")


def test_a_bare_boot_wim(tmp_path: Path, boot: Path) -> None:
    in_image(tmp_path, boot, 2, "Autounattend.xml", answers("windowsPE"))
    (found,) = inspect(boot).answers
    assert found.path == "boot.wim, image 2: Autounattend.xml"
    assert found.passes == found.wins == ("windowsPE",)


def test_passes() -> None:
    assert outline(answers(*reversed(PASSES))).passes == PASSES
    assert outline(answers("windowsPE", "windowsPE")).passes == ("windowsPE",)
    assert outline(answers("windowsPE").decode().replace("utf-8", "utf-16").encode("utf-16")).passes
    assert outline(b"\xef\xbb\xbf" + answers("windowsPE")).passes == ("windowsPE",)


BOMB = '<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(b + 1)} "{f"&{chr(b)};" * 10}">' for b in b"abcdefgh"
)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not well-formed: no element found"),
        (b"\r\n" + answers("windowsPE"), "blanks before its XML declaration"),
        (b"x" + answers("windowsPE"), "not well-formed"),
        (answers("windowsPE")[:-5], "not well-formed"),
        (answers("windowsPE") + b"<more/>", "junk after document element"),
        (answers(), "no settings for any pass"),
        (b'<settings pass="windowsPE"/>', "its root is <settings>"),
        (b"<unattend/>", "not in the namespace"),
        (BOMB.encode() + b"]><unattend>&i;</unattend>", "document type"),
        (b'<!DOCTYPE a SYSTEM "http://127.0.0.1/x"><unattend/>', "document type"),
        (b"<a>" * 100_000, "its root is <a>"),
        (HEAD.encode() + b'<unattend xmlns="urn:schemas-microsoft-com:unattend">' * 9999, "deeper"),
        (b'<?xml version="1.0" encoding="no-such"?><unattend/>', "encoding|unknown encoding"),
        (b'<?xml version="1.0" encoding="utf-7"?><unattend/>', "encoding|unknown|namespace"),
        (answers("windowsPE").replace(b"component", b"comp\x00nent"), "not well-formed"),
        (answers("windowsPE").replace(b"name=", b"name=\xff"), "not well-formed"),
    ],
)
def test_files_that_setup_ignores(data: bytes, problem: str) -> None:
    found = outline(data)
    assert found.passes == ()
    assert any(part in found.problem for part in problem.split("|")), found


def test_a_settings_element_without_components() -> None:
    data = answers("windowsPE").replace(b'<component name="c"/>', b"")
    assert outline(data).problem == "it has no settings for any pass"


def test_presets(tmp_path: Path, boot: Path) -> None:
    install = make_wim(tmp_path / "install.wim", CLIENT[:1])
    content: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        "sources/ei.cfg": b"[EditionID]\r\nProfessional\r\n[Channel]\r\nVolume\r\n[VL]\r\n1\r\n",
        "sources/PID.txt": f"[PID]\r\nValue={KEY}\r\n".encode("utf-16"),
        "sources/boot.wim": boot,
        "sources/install.wim": install,
    }
    facts = inspect(make_bridge(tmp_path / "w.iso", content))
    config = facts.setup_config
    assert config is not None
    assert (config.edition_id, config.channel, config.volume) == ("Professional", "Volume", True)
    assert config.key == "XXXXX-XXXXX-XXXXX-XXXXX-3V66T"
    assert KEY[:5] not in repr(facts)


@pytest.mark.parametrize(
    ("ei_cfg", "pid", "found"),
    [
        ("", "", None),
        ("garbage", "more", None),
        ("[VL]\n0", "", (None, None, False, None)),
        ("[Channel]\nOEM\n", "", (None, "OEM", None, None)),
        ("", "[PID]\nvalue = short", (None, None, None, "(not a product key)")),
        ("", "[PID]\nValue=", None),
    ],
)
def test_odd_presets(ei_cfg: str, pid: str, found: tuple[object, ...] | None) -> None:
    config = read_config(ei_cfg, pid)
    if config is None:
        assert found is None
    else:
        assert (config.edition_id, config.channel, config.volume, config.key) == found


def test_masks_show_five_characters_at_most() -> None:
    assert masked(KEY.lower()) == "XXXXX-XXXXX-XXXXX-XXXXX-3V66T"
    assert masked(f"{KEY}-{KEY}") == "(not a product key)"


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("Autounattend.xml", [], "AUTOUNAT.XML: Setup does not find it"),
        ("Autounattend.xml.txt", ["-J"], "Autounattend.xml.txt: Setup does not find it"),
        ("answers/Autounattend.xml", ["-J"], "does not look in the folder answers"),
    ],
)
def test_a_file_that_setup_overlooks(
    tmp_path: Path, name: str, options: list[str], says: str
) -> None:
    path = tmp_path / "tree" / name
    path.parent.mkdir(parents=True)
    path.write_text("<unattend/>")
    disc = tmp_path / "a.iso"
    argv = ["genisoimage", "-quiet", *options, "-o", str(disc), str(tmp_path / "tree")]
    subprocess.run(argv, check=True, capture_output=True)
    (remark,) = inspect(disc).remarks
    assert says in remark
