"""The stand-in for Windows Setup, written from the fact sheets alone, takes every case.

Its pure parts only: the whole of it runs in the boot tests.
"""

from __future__ import annotations

import pytest

from provisioner.answers.disc import AnswerDisc
from provisioner.profile.cards import cards
from tests.golden.cases import Case
from tests.golden.test_answers import CASES, answer_file, disc_of, every_case, filled
from tests.standin.setup import image, layout, oobe, specialize, windows_pe
from tests.standin.setup.answers import AnswerFile, read_answer_file
from tests.standin.setup.passwords import fingerprint
from tests.standin.setup.settings_check import check_pass

PASSWORD = "Pa$$w0rd <&> 'x' \"y\" %z% äß"
KEYS_UNKNOWN = (
    "own-key-unknown-edition",
    "server-2019-drivers",
    "shipped-windows-server-2019",
    "shipped-windows-server-2019-drivers",
)
"""The stand-in's table has no keys of Server 2019, and nobody's has one of an unknown edition."""
BLOB = "QkxPQg=="
"""In the form of what djoin prints."""
OWN_KEY = "FFFFF-FFFFF-FFFFF-FFFFF-FFFFF"


def _read(name: str) -> tuple[Case, AnswerDisc, AnswerFile]:
    secret = OWN_KEY if name.startswith("own-key") else PASSWORD
    if CASES[name].profile.windows.join.blob is not None:
        secret = BLOB
    # The stand-in is Setup for amd64; what it does with the others' words is the same.
    data = filled(answer_file(name), secret).replace(b'="arm64"', b'="amd64"')
    answer = read_answer_file(data, "E:\\Autounattend.xml")
    assert answer.notes == ()
    return CASES[name], disc_of(name), answer


def test_setup_for_amd64_takes_nothing_from_answers_for_arm64() -> None:
    data = filled(answer_file("arm64"), PASSWORD)
    notes = read_answer_file(data, "E:\\Autounattend.xml").notes
    assert len(notes) == data.count(b"<component ")
    assert all(note.endswith("ignored, it is for another architecture") for note in notes)


@every_case
def test_settings(name: str) -> None:
    _, _, answer = _read(name)
    for configuration_pass in ("windowsPE", "offlineServicing", "specialize", "oobeSystem"):
        assert check_pass(answer, configuration_pass) == ()


@every_case
def test_windows_pe(name: str) -> None:
    case, disc, answer = _read(name)
    setup = answer.component("windowsPE", "Setup")
    assert setup is not None
    language = windows_pe.read_language(answer, case.install.languages)
    assert language.ui_language == disc.languages.setup
    user_data = windows_pe.read_user_data(setup)
    assert user_data.full_name == case.profile.windows.owner
    assert user_data.organization == (case.profile.windows.organization or "")
    assert windows_pe.mask_key(user_data.key) != ""

    if case.profile.metal is not None:
        assert setup.find("DiskConfiguration") is None
        return
    assert disc.layout is not None
    firmware = "bios" if case.profile.firmware == "bios" else "uefi"
    size = case.profile.machine.disks[0].size.bytes // 1024**2
    disk = layout.Disk(disk_id=0, device="/dev/vda", bus="virtio", size_mib=size)
    plans = layout.plan_disks(setup.find("DiskConfiguration"), [disk], firmware=firmware)
    plan, target = layout.install_target(setup.find("ImageInstall"), plans, firmware=firmware)
    assert target.number == disc.layout.windows_partition
    if case.profile.windows.recovery is not None:
        recovery = plan.partitions[-1]
        assert recovery.size_mib >= case.profile.windows.recovery.bytes / 1024**2
        assert recovery.label == "Recovery"


@pytest.mark.parametrize("name", [name for name in CASES if name not in KEYS_UNKNOWN])
def test_image(name: str) -> None:
    case, _, answer = _read(name)
    setup = answer.component("windowsPE", "Setup")
    images = [
        image.Image(
            index=e.index,
            name=e.name,
            description=e.description,
            display_name=e.display_name,
            edition_id=e.edition_id,
            architecture="9",
            build=str(e.version[2]),
            languages=e.languages,
        )
        for e in case.install.editions
    ]
    key = windows_pe.read_user_data(setup).key
    chosen = image.select_image(images, key=key, metadata=windows_pe.read_metadata(setup))
    assert chosen.index == case.edition.index


@every_case
def test_specialize_and_oobe(name: str) -> None:
    case, disc, answer = _read(name)
    windows = case.profile.windows
    identity = specialize.specialize(answer, full_name="", organization="")
    assert identity.computer_name == disc.computer_name
    assert identity.time_zone == windows.locale.timezone.windows_id
    assert identity.rdp["enabled"] is windows.remote.rdp
    _network(name, identity)
    experience = oobe.out_of_box(answer, computer_name=identity.computer_name)
    assert experience.notes == ()
    assert [(a.name, a.groups) for a in experience.accounts] == [
        (user.name, user.groups) for user in windows.users
    ]
    assert experience.auto_logon is not None
    assert experience.auto_logon.username == disc.autologon.user
    (command,) = experience.first_logon_commands
    assert disc.marker.replace("/", "\\") in command.line


def _network(name: str, identity: specialize.Identity) -> None:
    """Every card by its MAC address, and the membership, as the profile has them."""
    profile = CASES[name].profile
    told = {one["identifier"]: one for one in identity.network.interfaces}
    for mac, card in cards(profile):
        found = told.pop(mac.upper().replace(":", "-"), None)
        if found is None:
            assert card == type(card).model_validate(
                {"mac": mac}
                if profile.metal
                else {key: getattr(card, key) for key in ("network", "model", "mac")}
            )
            continue
        versions = {address.interface.version for address in card.addresses}
        assert found["addresses"] == [str(address) for address in card.addresses]
        assert sorted(found["gateways"]) == sorted(map(str, card.gateways))
        assert found["dns"] == [str(server) for server in card.dns]
        assert found["dns_suffix"] == card.dns_suffix
        assert (found["ipv4_dhcp"], found["ipv6_dhcp"]) == (4 not in versions, 6 not in versions)
    assert told == {}
    windows = profile.windows
    assert identity.network.dns_domain == windows.dns.domain
    assert identity.network.dns_search == windows.dns.search
    assert identity.firewall_off == windows.firewall.off
    groups = {group["group"]: group for group in identity.firewall_groups}
    for group in (*windows.firewall.open, *windows.firewall.close):
        assert groups[group.resource]["active"] is (group in windows.firewall.open)
        assert groups[group.resource]["profile"] == windows.firewall.profile
    join = windows.join
    if join.blob is not None:
        assert identity.join is not None
        assert identity.join["blob_sha256"] == fingerprint(BLOB)
        assert identity.join["pass"] == join.blob_pass
    elif join.domain is not None:
        assert identity.join is not None
        assert (identity.join["domain"], identity.join["ou"]) == (join.domain, join.ou)
        assert identity.join["password_sha256"] == fingerprint(PASSWORD)
        assert identity.join["account"] == "joiner"
    else:
        assert identity.join == ({"workgroup": join.workgroup} if join.workgroup else None)
