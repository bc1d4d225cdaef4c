"""`new`: suggestions that `check` accepts, questions at a terminal, nothing left behind."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import get_args

import pytest

from provisioner.cli.interview import (
    _computer_name,
    _edition_text,
    _host_format,
    _host_timezone,
    _name,
    _preferred,
)
from provisioner.cli.profile_text import Wanted, profile_text
from provisioner.errors import Severity
from provisioner.media.editions import resolve_edition
from provisioner.media.facts import MediaFacts
from provisioner.plan.checks import check_hardware
from provisioner.profile.load import load_profile
from provisioner.profile.rules import computer_name
from provisioner.profile.units import TimeZone
from provisioner.profile.windows import Product
from provisioner.resources import Resources, shipped_folder
from provisioner.secret import Generated
from tests.golden.media import edition, install_disc
from tests.unit.cli.program import Home, members
from tests.unit.media.discs import (
    CLIENT,
    PE,
    SERVER,
    WINDOWS_FILES,
    make_bridge,
    make_tree,
    make_wim,
    run,
)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture(scope="module")
def client_iso(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disc(tmp_path_factory.mktemp("client"), CLIENT, ("en-US", "de-DE"))


@pytest.fixture(scope="module")
def server_iso(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disc(tmp_path_factory.mktemp("server"), SERVER, ("en-US",))


def disc(
    folder: Path, images: tuple[tuple[str, str, str], ...], languages: tuple[str, ...]
) -> Path:
    files: dict[str, bytes | Path] = {
        **WINDOWS_FILES,
        "sources/boot.wim": make_wim(folder / "boot.wim", PE),
        "sources/install.wim": make_wim(folder / "install.wim", images, languages=languages),
    }
    return make_bridge(folder / "Windows x64.iso", files)


DRIVERS = ("Balloon", "NetKVM", "viogpudo", "vioinput", "viorng", "vioscsi", "vioserial", "viostor")


def driver_disc(folder: Path, *, systems: tuple[str, ...] = ("w11", "2k25")) -> Path:
    files = {
        f"{driver}/{system}/amd64/{driver.lower()}.{suffix}": b"[Version]"
        for driver in DRIVERS
        for system in systems
        for suffix in ("inf", "cat", "sys")
    }
    files["guest-agent/qemu-ga-x86_64.msi"] = b"msi"
    tree = make_tree(folder / "drivers", files)
    path = folder / "virtio-win-0.1.285.iso"
    label = "virtio-win-0.1.285"
    run(["xorriso", "-as", "mkisofs", "-quiet", "-J", "-R", "-V", label, "-o", path, tree])
    return path


# The text.


def wanted(kind: str, firmware: str, *, rich: bool) -> Wanted:
    if not rich:
        return Wanted(name="vm", product=kind, edition=None, user="jane", firmware=firmware)
    return Wanted(
        name="windows-server-2025",
        product=kind,
        edition=6,
        editions="1 Home (Core)",
        install="~/iso/it's a disc: #1.iso",
        drivers="/iso/virtio win.iso",
        language="de-DE",
        format="de-AT",
        timezone="W. Europe Standard Time",
        user="Jörg Müller",
        computer_name="SERVER2025",
        firmware=firmware,
    )


@pytest.mark.parametrize(
    ("kind", "firmware", "rich"),
    list(product(get_args(Product), ("secure-boot", "uefi", "bios"), (False, True))),
)
def test_every_profile_is_good(tmp_path: Path, kind: str, firmware: str, rich: bool) -> None:
    text = profile_text(wanted(kind, firmware, rich=rich))
    (tmp_path / "x.yaml").write_text(text, encoding="utf-8")
    loaded = load_profile(
        "x.yaml", resources=Resources(shipped=shipped_folder()), home=tmp_path, cwd=tmp_path
    )
    assert loaded.problems == ()
    hardware = check_hardware(loaded.profile, None, lambda path: None)
    assert [p for p in hardware if p.severity is Severity.ERROR] == []
    profile = loaded.profile
    assert profile.machine.firmware == firmware
    assert len(computer_name(profile)) <= 15
    passwords = [user.password for user in profile.windows.users]
    if kind.startswith("windows-server"):
        passwords.append(profile.windows.administrator.password)  # type: ignore[arg-type]
    assert set(passwords) == {Generated(generate=20)}
    if rich:
        assert profile.media.install == str(tmp_path / "iso/it's a disc: #1.iso")
        assert profile.windows.users[0].name == "Jörg Müller"


def test_the_text_explains_itself() -> None:
    for rich in (False, True):
        lines = profile_text(wanted("windows-11", "uefi", rich=rich)).splitlines()
        assert lines[0] == "# yaml-language-server: $schema=./provisioner.schema.json"
        assert max(map(len, lines)) <= 96
        assert all(line == line.rstrip() for line in lines)
        # A comment above, or beside, each thing a person decides.
        for number, line in enumerate(lines):
            if line.strip().split(":")[0] in ("name", "edition", "product", "firmware", "tpm"):
                assert lines[number - 1].lstrip().startswith("#"), line


# Suggestions.

DISCS = {
    "client": install_disc(edition("Core", index=1), edition("Professional", index=6)),
    "one": install_disc(edition("EnterpriseEval", index=1)),
    "server": install_disc(
        edition("ServerStandard", index=1, installation_type="Server Core"),
        edition("ServerStandard", index=2, installation_type="Server"),
        edition("ServerDatacenter", index=3, installation_type="Server Core"),
        edition("ServerDatacenter", index=4, installation_type="Server"),
    ),
    "evaluation": install_disc(
        edition("ServerStandardEval", index=1, installation_type="Server Core"),
        edition("ServerStandardEval", index=2, installation_type="Server"),
        evaluation=True,
    ),
    "twins": install_disc(edition("Professional", index=1), edition("Professional", index=2)),
}


@pytest.mark.parametrize("facts", DISCS.values(), ids=DISCS)
def test_an_edition_is_written_so_that_it_is_found_again(facts: MediaFacts) -> None:
    for image in facts.editions:
        text = _edition_text(facts, image, "windows-11")
        assert resolve_edition(facts, text) == image


@pytest.mark.parametrize(
    ("disc_name", "index", "text"),
    [
        ("client", 6, "Professional"),
        ("one", 1, "EnterpriseEval"),
        ("server", 2, "Standard Desktop Experience"),
        ("evaluation", 2, "Standard Desktop Experience"),
        ("twins", 1, 1),
    ],
)
def test_the_preferred_edition(disc_name: str, index: int, text: str | int) -> None:
    facts = DISCS[disc_name]
    preferred = _preferred(facts)
    assert preferred.index == index
    assert _edition_text(facts, preferred, "windows-11") == text


@pytest.mark.parametrize(
    ("name", "user", "computer"),
    [
        ("dev11", "jane", None),
        ("windows-server-2025", None, "WINDOWS-SERVER"),
        ("dev11", "Dev11", "DEV11-PC"),
        ("a_b.c", None, None),
        ("administrator", "x", "ADMINISTRATO-PC"),
        ("1.2", None, None),
        ("123456789012345-x", None, "123456789012-PC"),
    ],
)
def test_a_computer_name_is_made_where_the_machines_will_not_do(
    name: str, user: str | None, computer: str | None
) -> None:
    assert _computer_name(name, user) == computer


def test_a_name_that_is_free() -> None:
    assert _name("windows-11", None, ()) == "win11"
    assert _name("windows-server-2025", None, {"server2025", "server2025-2"}) == "server2025-3"
    assert _name("windows-11", "dev box", ()) == "win11"
    assert _name("windows-11", "devbox", {"devbox"}) == "devbox"


@pytest.mark.parametrize(
    ("variables", "tag"),
    [
        ({"LANG": "de_DE.UTF-8"}, "de-DE"),
        ({"LANG": "C.UTF-8"}, None),
        ({"LANG": "de_DE", "LC_TIME": "en_GB.UTF-8"}, "en-GB"),
        ({"LC_ALL": "C", "LANG": "de_DE"}, None),
        ({}, None),
    ],
)
def test_the_formats_of_this_host(variables: dict[str, str], tag: str | None) -> None:
    assert _host_format(variables) == tag


@pytest.mark.parametrize(
    ("variables", "zone"),
    [({"TZ": "America/New_York"}, "America/New_York"), ({"TZ": ":Etc/UTC"}, "UTC")],
)
def test_the_time_zone_of_this_host(variables: dict[str, str], zone: str) -> None:
    assert _host_timezone(variables) == zone
    for nothing in ({}, {"TZ": ""}, {"TZ": "CET-1CEST"}, {"TZ": "/etc/localtime"}):
        assert TimeZone(_host_timezone(nothing)) != ""


# The command, without a terminal.


def test_all_suggestions(home: Home, client_iso: Path) -> None:
    done = home.run("new", str(client_iso), "--yes")
    assert (done.returncode, done.stdout) == (0, "win11.yaml\n"), done.stderr
    text = (home.work / "win11.yaml").read_text()
    for line in (
        "name: win11",
        f"  install: {client_iso}",
        "  product: windows-11",
        "  edition: Professional",
        "    language: en-US",
        "    timezone: Europe/Berlin",
        "    - name: jane",
        "      password: {generate: 20}",
        "  firmware: uefi",  # the loader of this disc is not signed
    ):
        assert line in text.splitlines()
    checked = home.run("check", "win11.yaml")
    assert (checked.returncode, checked.stderr) == (0, "no problems; nothing was written.\n")
    assert home.run("new", str(client_iso), "--yes").stdout == "win11-2.yaml\n"


def test_a_server_with_a_driver_disc_beside_it(home: Home, server_iso: Path) -> None:
    iso = home.folder / "home/iso/server.iso"
    iso.parent.mkdir()
    iso.symlink_to(server_iso)
    driver_disc(iso.parent)
    home.variables["LC_ALL"] = "de_AT.UTF-8"
    done = home.run("new", "../home/iso/server.iso", "--yes", "-o", "fs01.yaml")
    assert done.returncode == 0, done.stderr
    lines = (home.work / "fs01.yaml").read_text().splitlines()
    for line in (
        "name: fs01",
        "  install: ~/iso/server.iso",
        "  drivers: ~/iso/virtio-win-0.1.285.iso",
        "  edition: Standard Desktop Experience",
        "    format: de-AT",
        "  administrator:",
    ):
        assert line in lines
    assert "  users:" not in lines
    assert home.run("check", "fs01.yaml").returncode == 0


def test_a_driver_disc_that_does_not_fit_is_left_out(home: Home, client_iso: Path) -> None:
    driver_disc(home.work, systems=("w7",))
    done = home.run("new", str(client_iso), "--yes")
    assert done.returncode == 0, done.stderr
    assert "left out" in done.stderr and "driver" in done.stderr
    assert "\n  drivers:" not in (home.work / "win11.yaml").read_text()


def test_the_configured_disc_is_the_suggestion(home: Home, client_iso: Path) -> None:
    home.run("config", "set", "media.install", str(client_iso))
    [event] = members(home.events("new", "--yes", "-o", "a.yaml"), "written")
    assert (event["name"], event["product"]) == ("a", "windows-11")
    assert str(client_iso) in (home.work / "a.yaml").read_text()


def test_without_a_disc(home: Home) -> None:
    assert home.run("new", "--yes").stdout == "win11.yaml\n"
    assert home.run("check", "win11.yaml").returncode == 0


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_nobody_to_ask(home: Home, arguments: tuple[str, ...]) -> None:
    done = home.run("new", *arguments, stdin="\n\n\n\n\n\n\n")
    assert done.returncode == 2
    assert "--yes" in done.stderr + done.stdout
    assert list(home.work.iterdir()) == []


def test_nothing_is_overwritten(home: Home, client_iso: Path) -> None:
    (home.work / "a.yaml").write_text("mine")
    done = home.run("new", str(client_iso), "--yes", "-o", "a.yaml")
    assert done.returncode == 5 and "--force" in done.stderr
    assert (home.work / "a.yaml").read_text() == "mine"
    assert home.run("new", str(client_iso), "--yes", "-o", "a.yaml", "--force").returncode == 0
    assert (home.work / "a.yaml").read_text().startswith("# yaml-language-server")
    assert [path.name for path in home.work.iterdir()] == ["a.yaml"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        (b"<html>", "a web page"),
        (b"", ""),
    ],
)
def test_a_disc_that_is_none(home: Home, content: bytes | None, message: str) -> None:
    if content is not None:
        (home.work / "a.iso").write_bytes(content)
    done = home.run("new", "a.iso", "--yes")
    assert done.returncode == 3
    assert message in done.stderr.lower()
    assert not list(home.work.glob("*.yaml"))


def test_a_driver_disc_is_not_windows(home: Home) -> None:
    done = home.run("new", str(driver_disc(home.work)), "--yes")
    assert done.returncode == 3 and "virtio driver disc" in done.stderr


def test_a_folder_that_is_not_there(home: Home) -> None:
    done = home.run("new", "--yes", "-o", "no/where.yaml")
    assert done.returncode == 4 and "where.yaml" in done.stderr


# At a terminal.

ANSWERS = (
    ("Edition [2]:", b"pro n\n"),
    ("Language [en-US]:", b"2\n"),
    ("Formats and keyboard [de-DE]:", b"de_AT\n"),
    ("did you mean", b"de-AT\n"),
    ("Time zone [Europe/Berlin]:", b"\n"),
    ("Name of the machine [win11]:", b"my machine\n"),
    ("Name of the machine [win11]:", b"box\n"),
    ("User who may log on [jane]:", b"\n"),
    ("Driver disc (virtio-win ISO) [none]:", b"\n"),
    ("Firmware [uefi]:", b"2\n"),
)


@pytest.mark.parametrize("columns", [80, 30])
def test_questions(home: Home, client_iso: Path, columns: int) -> None:
    code, screen = home.on_terminal("new", str(client_iso), columns=columns, answers=ANSWERS)
    assert code == 0, screen
    lines = (home.work / "box.yaml").read_text().splitlines()
    for line in (
        "name: box",
        "  edition: ProfessionalN",
        "    language: de-DE",
        "    format: de-AT",
        "  firmware: uefi",
        "  hardware_checks: bypass",
    ):
        assert line in lines
    assert "3 editions" in " ".join(screen.split())
    assert home.run("check", "box.yaml").returncode == 0


@pytest.mark.parametrize(
    ("typed", "code"), [(b"\x03", 130), (b"\x04", 130)], ids=["ctrl-c", "end-of-input"]
)
def test_giving_up_leaves_nothing(home: Home, client_iso: Path, typed: bytes, code: int) -> None:
    for question in (ANSWERS[0][0], ANSWERS[-1][0]):
        before = [(text, b"\n") for text in
                  ("Edition", "Language", "Formats", "zone", "Name", "User", "Driver")]  # fmt: skip
        answers = [*(before if question == ANSWERS[-1][0] else []), (question, typed)]
        found, screen = home.on_terminal("new", str(client_iso), answers=answers)
        assert found == code, screen
        assert list(home.work.iterdir()) == []
