"""The stand-in for Windows Setup, written from the fact sheets alone, takes every case.

Its pure parts only: the whole of it runs in the boot tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.answers.disc import AnswerDisc
from provisioner.profile.cards import cards
from provisioner.profile.disks import Partition, WindowsDisk
from tests.golden.cases import Case
from tests.golden.test_answers import CASES, RENDERED, answer_file, disc_of, every_case, filled
from tests.standin.setup import diskpart, image, layout, oobe, pe, specialize, windows_pe
from tests.standin.setup.answers import AnswerFile, read_answer_file
from tests.standin.setup.elements import Element
from tests.standin.setup.passwords import fingerprint
from tests.standin.setup.serial_report import read_events
from tests.standin.setup.settings_check import check_pass

PASSWORD = "Pa$$w0rd <&> 'x' \"y\" %z% äß"
KEYS_UNKNOWN = (
    "own-key-unknown-edition",
    "server-2019-drivers",
    "shipped-windows-server-2019",
    "shipped-windows-server-2019-drivers",
    *(name for name in CASES if CASES[name].edition.version[2] in (7601, 9600, 14393)),
)
"""The stand-in's table has no keys of Server 2019 and older, nobody's one of an unknown edition."""
SETUP_CHOOSES = [
    name
    for name in RENDERED
    if name not in KEYS_UNKNOWN and CASES[name].profile.windows.install_by == "setup"
]
"""Where Setup picks the image, and not a script of ours."""
ANSWERS = Path(__file__).parent / "answers"
EXISTING = tuple(
    layout.Partition(
        number=number,
        kind=kind,
        start_mib=start,
        size_mib=size,
        type_id=layout.GPT_TYPES[kind],
        file_system=file_system,
    )
    for number, kind, start, size, file_system in (
        (1, "EFI", 1, 260, "FAT32"),
        (2, "MSR", 261, 16, None),
        (3, "Primary", 277, 200_000, "NTFS"),
        (4, "Primary", 200_277, 200_000, "NTFS"),
    )
)
"""What is on the disks of a PC that is not new."""
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

    _disks(name, case, disc, setup)


def _disks(name: str, case: Case, disc: AnswerDisc, setup: Element) -> None:
    """What Setup would make of the machine's real disks is what the profile asked for."""
    metal = case.profile.metal
    configuration, image_install = setup.find("DiskConfiguration"), setup.find("ImageInstall")
    if metal is not None and not isinstance(metal.disk, WindowsDisk):
        assert configuration is None
        return
    assert disc.layout is not None
    firmware = "bios" if case.profile.firmware == "bios" else "uefi"
    mib = 1024**2
    sizes = [disk.size.bytes // mib for disk in case.profile.machine.disks]
    if metal is not None:
        sizes = [500 * 1024] * 3
    found = [
        layout.Disk(disk_id=number, device=f"vd{number}", bus="virtio", size_mib=size,
                    table="gpt" if metal else "none", existing=EXISTING if metal else ())
        for number, size in enumerate(sizes)
    ]  # fmt: skip
    if case.profile.windows.install_by == "apply":
        assert (configuration, image_install) == (None, None)
        (command,) = windows_pe.read_commands(setup, "RunSynchronous/RunSynchronousCommand")
        assert disc.marker.replace("/", "\\") in command.line
        assert pe.STARTS_A_SCRIPT.search(command.line)
        plans = diskpart.read_script((ANSWERS / name / "provision/diskpart.txt").read_text(), found)
        plan, target = next((p, one) for p in plans for one in p.partitions if one.letter == "W")
    else:
        plans = layout.plan_disks(configuration, found, firmware=firmware)
        plan, target = layout.install_target(image_install, plans, found, firmware=firmware)
    assert plan.disk.disk_id == disc.layout.disk
    assert target.number == disc.layout.windows_partition
    if metal is not None and metal.disk is not None and metal.disk.policy == "keep":
        formats = metal.disk.format
        assert target.keeps is not formats and target.file_system == "NTFS"
        others = [one for one in plan.partitions if one.number != target.number]
        assert others == [
            replace(one, keeps=True) for one in EXISTING if one.number != target.number
        ]
        assert not plan.wipe
    if metal is not None:
        return
    wanted = {
        number: disk.partitions
        for number, disk in enumerate(case.profile.machine.disks)
        if disk.partitions is not None
    }
    assert {plan.disk.disk_id for plan in plans} == {0, *wanted}
    for plan in plans:
        by_script = case.profile.windows.install_by == "apply"
        _partitions(plan, wanted.get(plan.disk.disk_id), by_script=by_script)
    if 0 not in wanted and case.profile.windows.recovery is not None:
        (recovery,) = (p for p in plans[0].partitions if p.label == "Recovery")
        assert recovery.size_mib >= case.profile.windows.recovery.bytes / mib
        behind = case.profile.windows.recovery_place == "behind"
        assert (recovery.number > target.number) is behind


def _partitions(
    plan: layout.DiskPlan, wanted: Sequence[Partition] | None, *, by_script: bool
) -> None:
    """Kinds, sizes, file systems, labels and letters in the order of the profile."""
    if wanted is None:
        return
    kinds = {"efi": "EFI", "msr": "MSR"}
    assert [p.kind for p in plan.partitions] == [kinds.get(w.use, "Primary") for w in wanted]
    for made, one in zip(plan.partitions, wanted, strict=True):
        if one.size is not None:
            assert abs(made.size_mib - one.size.bytes / 1024**2) <= 4
        if one.use == "msr":
            assert made.file_system is None
            continue
        fat = one.use == "efi" or one.format == "fat32"
        assert made.file_system == ("FAT32" if fat else "NTFS")
        assert made.label == one.label or one.label is None
        windows = "W" if by_script else "C"
        assert made.letter == (windows if one.use == "windows" else one.letter) or by_script
    end = plan.partitions[-1].start_mib + plan.partitions[-1].size_mib
    greedy = any(one.size is None and one.use in ("windows", "data") for one in wanted)
    assert greedy is (plan.disk.size_mib - end <= 8)


@pytest.mark.parametrize("name", SETUP_CHOOSES)
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
    lines = [command.line for command in identity.commands]
    reports = [line.removesuffix(">COM1") for line in lines if line.endswith(">COM1")]
    told = [event for line in reports for _, event in read_events(line)]
    listened_to = case.profile.metal is None and case.edition.architecture == "amd64"
    assert told == [{"event": "stage", "stage": "specialize"}] * listened_to
    copies = [disc.marker.replace("/", "\\") in line for line in lines[len(reports) :]]
    assert copies == [True] * (windows.oem.logo is not None)
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
