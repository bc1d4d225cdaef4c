"""The answers on a stick: where they lie, what they erase, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from provisioner.answers.lint import lint
from provisioner.errors import MediaError, RefusedError
from provisioner.media.facts import MediaFacts
from provisioner.media.inspect import inspect
from provisioner.plan.show import text_files
from provisioner.profile.model import Profile
from provisioner.resources import shipped_folder
from provisioner.templating import Templates
from provisioner.usb.answers import FIRST_START, stick_answers
from provisioner.usb.compose_source import laid_over
from tests.standin.setup.answers import read_answer_file
from tests.standin.setup.layout import Disk, Partition, install_target, plan_disks
from tests.standin.setup.outcome import SetupStopped
from tests.unit.cli.program import Home
from tests.unit.usb.discs import PLAIN, windows_disc

LABEL = "PV-12345678"
VOLUME = Partition(
    number=1, kind="Primary", start_mib=1, size_mib=100, type_id="", file_system="FAT32"
)
SERIAL = {"disk": {"serial": "S4EVNX0R"}, "wipe": True}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> MediaFacts:
    return inspect(windows_disc(tmp_path_factory.mktemp("disc")))


def profile(metal: dict[str, Any] | None) -> Profile:
    rest = {"metal": metal} if metal is not None else {}
    windows = {
        "product": "windows-11",
        "edition": "Professional",
        "users": [{"name": "dev", "groups": ["Administrators"], "password": {"env": "P"}}],
    }
    return Profile.model_validate_json(json.dumps({"name": "pc", "windows": windows, **rest}))


def texts(facts: MediaFacts, metal: dict[str, Any]) -> dict[str, str]:
    templates = Templates([shipped_folder() / "templates"])
    return dict(
        text_files(stick_answers(profile(metal), facts, label=LABEL, templates=templates).tree)
    )


def test_without_a_disk_setup_asks(facts: MediaFacts) -> None:
    found = texts(facts, {})
    assert "<DiskConfiguration>" not in found["Autounattend.xml"]
    assert "RunSynchronous" not in found["Autounattend.xml"]
    assert not any(path.startswith("provision/disk") for path in found)


def test_first_start_only(facts: MediaFacts) -> None:
    """At the root a file without windowsPE would be taken and not be handed on (§2.3)."""
    found = texts(facts, {"answers": "first-start"})
    assert "Autounattend.xml" not in found
    assert FIRST_START == "sources/$OEM$/$$/Panther/unattend.xml"
    assert 'pass="windowsPE"' not in found[FIRST_START]
    assert (
        'pass="oobeSystem"' in found[FIRST_START]
        and "UseConfigurationSet" not in found[FIRST_START]
    )


def test_what_lies_at_the_root_erases_nothing(facts: MediaFacts) -> None:
    found = texts(facts, SERIAL)
    root = found["Autounattend.xml"]
    assert root == found["provision/disk/ask.xml"]
    assert "DiskConfiguration" not in root and "WillWipeDisk" not in root
    (command,) = re.findall(r"<Path>(.*select-disk.*)</Path>", root)
    assert len(command) < 300 and "provision.ok for /l" in command


@pytest.mark.parametrize("target", range(4))
def test_every_pair_of_numbers_has_answers_of_its_own(facts: MediaFacts, target: int) -> None:
    """The disk that is erased and the tripwire on the stick, as the stand-in reads them."""
    found = texts(facts, SERIAL)
    for stick in range(4):
        path = f"provision/disk/{target}-{stick}.xml"
        if stick == target:
            assert path not in found
            continue
        answer = read_answer_file(found[path].replace("\n", "\r\n").encode("ascii"), path)
        setup = answer.component("windowsPE", "Setup")
        assert setup is not None
        disks = [
            Disk(
                disk_id=n,
                device=f"sd{n}",
                bus="sata",
                size_mib=500_000,
                table="gpt",
                existing=(VOLUME,),
            )
            for n in range(4)
        ]
        configuration = setup.find("DiskConfiguration")
        (plan,) = plan_disks(configuration, disks, firmware="uefi")
        assert (plan.disk.disk_id, plan.wipe) == (target, True)
        goes_on, _ = install_target(setup.find("ImageInstall"), (plan,), disks, firmware="uefi")
        assert goes_on.disk.disk_id == target
        assert configuration is not None
        first = configuration.all("Disk")[0]
        assert first.value("DiskID") == str(stick) and not first.flag("WillWipeDisk")
        assert LABEL in found[path]
        without = [d for d in disks if d.disk_id != stick]
        with pytest.raises(SetupStopped, match=f"there is no disk {stick}"):
            plan_disks(configuration, without, firmware="uefi")
        assert f"select-disk.cmd {target} {stick})" in found[path].replace("&amp;", "&")


def test_the_linter_has_one_thing_to_say(facts: MediaFacts) -> None:
    """Label without Format is Rufus' practice, and not what Microsoft documents (§3.2)."""
    text = texts(facts, SERIAL)["provision/disk/0-1.xml"]
    found = lint(text.encode("ascii"), file="a.xml")
    # Masked passwords are no base64.
    rules = {problem.rule for problem in found} - {"lint.password-encoding"}
    assert rules == {"lint.partition-format"}


def test_serial_numbers_need_what_tells_them(tmp_path: Path, facts: MediaFacts) -> None:
    plain = inspect(windows_disc(tmp_path, programs=PLAIN))
    with pytest.raises(MediaError, match=r"cannot tell serial numbers: it has no cscript\.exe"):
        texts(plain, SERIAL)
    found = texts(plain, {"disk": {"model": "Samsung", "size": "500 GB"}, "wipe": True})
    assert "cscript" not in found["provision/disk/select-disk.cmd"]
    assert "provision/disk/serials.vbs" not in found
    assert "cscript" in texts(facts, SERIAL)["provision/disk/select-disk.cmd"]


def test_windows_pe_without_diskpart(tmp_path: Path) -> None:
    bare = inspect(windows_disc(tmp_path, programs=["cmd.exe"]))
    with pytest.raises(MediaError, match=r"has no diskpart\.exe"):
        texts(bare, {"disk": "only", "wipe": True})
    assert texts(bare, {})


def test_refused(facts: MediaFacts) -> None:
    templates = Templates([shipped_folder() / "templates"])
    for metal, words in ((None, "virtual machine"), ({"firmware": "bios"}, "UEFI alone")):
        with pytest.raises(RefusedError, match=words):
            stick_answers(profile(metal), facts, label=LABEL, templates=templates)
    with pytest.raises(MediaError, match="no INF file"):
        texts(facts, {"drivers": ["/usr/share/doc/python3"]})


def test_drivers(facts: MediaFacts, tmp_path: Path) -> None:
    for folder in ("a/nic", "b/nic"):
        (tmp_path / folder / "x64").mkdir(parents=True)
        (tmp_path / folder / "x64/Driver.INF").write_text("[Version]")
    metal = {"drivers": [str(tmp_path / "a/nic"), str(tmp_path / "b/nic")]}
    templates = Templates([shipped_folder() / "templates"])
    tree = stick_answers(profile(metal), facts, label=LABEL, templates=templates).tree
    assert PurePosixPath("$WinPEDriver$/nic/x64/Driver.INF") in tree
    assert PurePosixPath("$WinPEDriver$/nic_/x64/Driver.INF") in tree


def test_folders_keep_the_spelling_of_the_medium() -> None:
    from provisioner.tree import Bytes, File, Tree

    file = File(content=(Bytes(data=b""),))
    media = Tree([("Sources/Boot.wim", file), ("AUTOUNATTEND.xml", file)])
    added = Tree([("sources/$OEM$/a", file), ("Autounattend.xml", file)])
    tree, replaced = laid_over(media, added)
    assert [str(p) for p in tree] == ["AUTOUNATTEND.xml", "Sources/$OEM$/a", "Sources/Boot.wim"]
    assert replaced == ("AUTOUNATTEND.xml",)


def test_an_image_with_answers_is_private_and_the_plan_shows_no_secret(tmp_path: Path) -> None:
    home = Home(tmp_path / "home", {"P": "Geheim-4711"})
    windows_disc(tmp_path).rename(home.work / "Win11.iso")
    text = json.dumps(
        profile({"firmware": "uefi", **SERIAL}).model_dump(mode="json", exclude_unset=True)
        | {"name": "pc"}
    )
    (home.work / "pc.yaml").write_text(text)
    plan = home.run("usb", "plan", "Win11.iso", "--profile", "pc.yaml")
    assert plan.returncode == 0, plan
    assert "wipes the disk with serial S4EVNX0R, and no other" in plan.stdout
    assert "Geheim" not in plan.stdout + plan.stderr
    done = home.run("usb", "image", "Win11.iso", "stick.img", "--profile", "pc.yaml")
    assert done.returncode == 0, done
    image = home.work / "stick.img"
    assert image.stat().st_mode & 0o777 == 0o600
    assert image.read_bytes().count(b"provision.ok") >= 13
    no_pc = ("--set", "metal=null", "--set", "machine.firmware=uefi")
    wrong = home.run("usb", "plan", "Win11.iso", "--profile", "pc.yaml", *no_pc)
    assert wrong.returncode == 5 and "describes a virtual machine" in wrong.stderr, wrong
    other = home.run("usb", "plan", "Win11.iso", "--set", "a=b")
    assert other.returncode == 2 and "belong to a --profile" in other.stderr
