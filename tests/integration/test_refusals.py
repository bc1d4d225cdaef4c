"""What stops a machine before it starts: somebody else's domain, discs, daemons, firmware, room."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.domains import domain_xml
from tests.integration.home import Home, discard, short_folder
from tests.integration.leaks import leaks
from tests.integration.places import host_without
from tests.standin.build import Media

pytestmark = pytest.mark.integration

system_group = pytest.mark.xdist_group("system")
FIRMWARE = "/usr/share/qemu/firmware"


@pytest.fixture
def bare_home(media: Media, request: pytest.FixtureRequest) -> Iterator[Home]:
    """A host that lacks what the parameter names."""
    folder = short_folder()
    try:
        with host_without(*request.param) as place:
            home = Home(folder=folder, media=media, place=place)
            yield home
            assert leaks(home) == []
    finally:
        discard(folder)


lacks_nothing = pytest.mark.parametrize("bare_home", [()], indirect=True, ids=["all-there"])
lacks_firmware = pytest.mark.parametrize("bare_home", [(FIRMWARE,)], indirect=True, ids=["bare"])
lacks_swtpm = pytest.mark.parametrize(
    "bare_home", [("/usr/bin/swtpm", "/usr/bin/swtpm_setup")], indirect=True, ids=["bare"]
)


def findings(home: Home, *, expect: int) -> dict[str, dict[str, str]]:
    events = home.json("doctor", expect=expect).events
    return {event["id"]: event for event in events if event["event"] == "finding"}


@system_group
def test_somebody_elses_domain(system_home: Home) -> None:
    home = system_home
    home.place.run(
        "sh", "-c", f'cat > /run/libvirt/m1.xml <<"X"\n{domain_xml("m1", ownership=None)}\nX'
    )
    home.virsh("define", "/run/libvirt/m1.xml")
    before = home.virsh("dumpxml", "m1")
    try:
        for command in (("up", home.profile()), ("down", "m1"), ("delete", "m1", "--yes")):
            refused = home.json(*command, expect=5).event("error")
            assert "not made by provisioner" in refused["message"]
        home.json("drive", "eject", "m1", expect=5)
        assert home.virsh("dumpxml", "m1") == before
    finally:
        home.virsh("undefine", "m1")
    assert leaks(home) == []


@system_group
def test_a_disc_that_qemu_cannot_reach(system_home: Home) -> None:
    home = system_home
    home.direct_guest("standin.poweroff=1", kernel=_copied(home))
    private = home.home / "iso"
    private.mkdir()
    disc = Path(shutil.copy(home.media.install, private / "Win 11.iso"))
    disc.chmod(0o600)
    home.home.chmod(0o700)
    profile = home.profile("machine: {ready: {when: power-off}}\n")
    arguments = ("up", profile, "--media", f"install={disc}")

    refused = home.run(*arguments, expect=3)
    lines = [line.removeprefix("  hint: ").strip() for line in refused.err.splitlines()]
    cures = [line for line in lines if line.startswith("setfacl ")]
    assert cures == [
        f"setfacl -m u:libvirt-qemu:x {home.home}",
        f"setfacl -m u:libvirt-qemu:r '{disc}'",
    ]
    assert home.json("list").events == []
    for line in cures:
        home.place.run("sh", "-c", line)
    before = disc.stat()
    home.run(*arguments)
    after = disc.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (
        before.st_uid,
        before.st_gid,
        before.st_mode,
    )
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


@system_group
def test_libvirt_networks_on_the_system_daemon(system_home: Home) -> None:
    home = system_home
    named = home.run("plan", home.profile("machine: {networks: [{network: default}]}\n"), "--xml")
    assert '<source network="default"/>' in named.out
    wrong = home.profile("machine: {networks: [{network: defualt}]}\n", name="m2.yaml")
    refused = home.run("plan", wrong, expect=3)
    assert "no active libvirt network 'defualt'" in refused.err
    assert "did you mean 'default'?" in refused.err


@lacks_nothing
def test_a_named_network_needs_a_daemon(bare_home: Home) -> None:
    home = bare_home
    profile = home.profile("machine: {networks: [{network: default}]}\n")
    refused = home.run("up", profile, expect=3)
    assert "embedded driver has no libvirt networks" in refused.err
    assert "--connect qemu:///system" in refused.err


@lacks_nothing
def test_no_daemon_at_all(bare_home: Home) -> None:
    home = bare_home
    planned = home.json("plan", home.profile()).event("plan")
    assert " on qemu:///embed" in planned["facts"]["machine"]
    assert findings(home, expect=0)["libvirt"]["level"] == "ok"
    refused = home.json("up", home.profile(), "--connect", "qemu:///system", expect=3)
    assert "daemon is not running" in refused.event("error")["message"]
    assert "libvirtd -d" in refused.event("error")["hint"]
    found = home.json("doctor", "--connect", "qemu:///system", expect=3).events
    assert [event["level"] for event in found if event.get("id") == "libvirt"] == ["fail"]


@lacks_firmware
def test_no_firmware(bare_home: Home) -> None:
    home = bare_home
    refused = home.run("up", home.profile(), expect=3)
    assert "this host has no UEFI firmware" in refused.err and "apt install ovmf" in refused.err
    found = findings(home, expect=3)
    assert found["firmware-uefi"]["level"] == found["firmware-secure-boot"]["level"] == "fail"
    assert found["firmware-uefi"]["fix"]


@lacks_swtpm
def test_no_tpm_emulator(bare_home: Home) -> None:
    home = bare_home
    refused = home.run("up", home.profile(), expect=3)
    assert "cannot emulate a TPM: the program swtpm is not installed" in refused.err
    assert "machine.tpm: false" in refused.err
    found = findings(home, expect=3)["swtpm"]
    assert found["level"] == "fail" and found["fix"]


@pytest.mark.parametrize("files", range(2, 12))
def test_no_room_for_another_file(files: int, media: Media, cache: Path) -> None:
    """A file system with 64 GiB free and room for a few files is full in the middle of the work."""
    folder = short_folder()
    try:
        full = f"mkdir {folder}/s && mount -t tmpfs -o size=64g,nr_inodes={files} tmpfs {folder}/s"
        with host_without(extra=[full]) as place:
            home = Home(folder=folder, media=media, place=place, cache=cache)
            home.direct_guest("standin.poweroff=1")
            done = home.json(
                "up", home.profile("machine: {ready: {when: power-off}}\n"), expect=None
            )
            if done.code == 0:
                assert files > 8, "there was room for everything"
                home.run("delete", "m1", "--yes")
            else:
                assert done.code in (3, 4), done
                error = done.event("error")
                assert "no space" in error["message"].lower(), error
                assert error["hint"]
            left = place.run("find", f"{folder}/s", "-type", "f").split()
            assert left == []
            assert leaks(home) == []
    finally:
        discard(folder)


def test_no_room_for_the_discs_of_build(media: Media) -> None:
    folder = short_folder()
    try:
        full = f"mkdir {folder}/o && mount -t tmpfs -o size=160k tmpfs {folder}/o"
        with host_without(extra=[full]) as place:
            home = Home(folder=folder, media=media, place=place)
            done = home.json("build", home.profile(), "-o", f"{folder}/o", expect=None)
            assert done.code in (3, 4), done
            assert "free" in done.event("error")["message"]
            assert place.run("find", f"{folder}/o", "-type", "f").split() == []
    finally:
        discard(folder)


def _copied(home: Home) -> Path:
    """The system daemon gives a guest's kernel to QEMU's user."""
    folder = home.folder / "k"
    folder.mkdir()
    shutil.copy(home.media.initrd, folder)
    return Path(shutil.copy(home.media.kernel, folder))
