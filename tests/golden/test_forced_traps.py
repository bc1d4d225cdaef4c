"""Each avoidable trap is stopped by `check`; forced past it, Setup fails as it does in the field.

The stand-in for Windows Setup, written from the fact sheets alone, plays its pure parts with the
answer disc and the domain of the forced plan. Without the trap it has nothing to stop at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from provisioner.errors import Severity
from provisioner.media.facts import MediaFacts
from provisioner.plan.model import MachinePlan
from provisioner.plan.rules.force import FORCEABLE, can_be_forced
from provisioner.plan.show import answer_tree, domain_xml
from provisioner.quoting import ENCODINGS
from provisioner.secret import FromEnvironment, Generated, Plain, SecretSlot
from provisioner.tree import Text
from tests.standin.setup import image, layout, oobe, requirements, specialize, windows_pe
from tests.standin.setup.machine import DRIVER_MODULES
from tests.standin.setup.outcome import SetupStopped, page_shown
from tests.standin.setup.search import Drive, find_answer_file
from tests.standin.setup.settings_check import check_pass
from tests.unit.plan.cases import BIOS, OTHER_KEY, machine, windows
from tests.unit.plan.scene import SERVER, Scene, answers_on, disc, drivers, server_disc

INBOX = frozenset({"sata", "ide", "nvme", "usb"})
"""Controllers that Setup itself has drivers for (facts §2.2, §8.4)."""
GENERATED = "Gener4ted-Passw0rd"
OTHER_ANSWERS = (
    '<?xml version="1.0" encoding="utf-8"?>\n<unattend xmlns="urn:schemas-microsoft-com:unattend">'
    '<settings pass="windowsPE"><component name="Microsoft-Windows-Setup" '
    'processorArchitecture="amd64" publicKeyToken="31bf3856ad364e35" language="neutral" '
    'versionScope="nonSxS"/></settings></unattend>'
)
"""Somebody else's answer file, on the install disc."""
VIRTIO = machine("disks: [{bus: virtio}]")
DOMAIN = "libvirt/domain.xml.j2"


@dataclass(frozen=True, kw_only=True)
class Trap:
    """A scene that `check` stops with `rule`, and what Setup says when it was forced."""

    rule: str
    bad: Scene
    says: str
    good: Scene = field(default_factory=Scene)
    on_disc: str | None = None
    """An answer file at the root of the install disc."""


def changed(template: str, old: str, new: str) -> Mapping[str, str]:
    """A template of the user's own that changes a text in what ours renders."""
    include = f'{{% include "shipped/{template}" %}}'
    return {
        template: f"{{% set ours %}}{include}{{% endset %}}"
        f"{{{{ ours | replace({old!r} | safe, {new!r} | safe, 1) }}}}"
    }


def pass_changed(name: str, old: str, new: str, **scene: Any) -> Scene:
    """A scene with one text of an answer file's pass changed."""
    return Scene(templates=changed(f"windows/passes/{name}.xml.j2", old, new), **scene)


def domain_changed(device: str, bus: str, **scene: Any) -> Scene:
    """A scene whose domain has the disks or the CD-ROM drives on another bus."""
    loop = '{% extends "shipped/libvirt/domain.xml.j2" %}{% block devices %}{% for part in '
    loop += "super().split('<disk ') %}{% if not loop.first %}<disk {% endif %}"
    swapped = "".join(
        f"{{{{ part | replace('bus=\"{old}\"' | safe, 'bus=\"{bus}\"' | safe) }}}}"
        for old in ("virtio" if device == "disk" else "sata",)
    )
    loop += f"{{% if 'device=\"{device}\"' | safe in part %}}{swapped}"
    loop += "{% else %}{{ part }}{% endif %}{% endfor %}{% endblock %}"
    return Scene(templates={DOMAIN: loop}, **scene)


TRAPS = (
    Trap(
        rule="media.setup-language",
        bad=Scene(profile=windows("locale: {setup: de-DE}")),
        says="language page shown: UILanguage de-DE is not on the media",
    ),
    Trap(
        rule="windows.product-key-edition",
        bad=Scene(profile=windows(OTHER_KEY)),
        says="ProductKey installation failed .* for Enterprise, and Professional is installed",
    ),
    Trap(
        rule="machine.virtio-drivers",
        bad=Scene(profile=VIRTIO),
        says="no disks found; a driver is missing",
        good=Scene(profile=VIRTIO, drivers=drivers()),
    ),
    Trap(
        rule="machine.disk-driver",
        bad=domain_changed("disk", "scsi", profile=VIRTIO, drivers=drivers()),
        says="no disks found; a driver is missing",
        good=Scene(profile=VIRTIO, drivers=drivers()),
    ),
    Trap(
        rule="machine.cdrom-bus",
        bad=domain_changed("cdrom", "scsi"),
        says="no installation media found",
    ),
    Trap(
        rule="machine.hardware-checks",
        bad=Scene(profile=machine("tpm: false")),
        says="This PC can't run Windows 11: no TPM 2.0",
    ),
    Trap(
        rule="machine.windows-11",
        bad=Scene(profile=machine("memory: 2 GiB")),
        says="This PC can't run Windows 11: less than 4 GiB",
        good=Scene(profile=machine("memory: 2 GiB").replace(
            "windows-11\n", "windows-11\n  hardware_checks: bypass\n")),
    ),
    Trap(
        rule="machine.windows-11",
        bad=Scene(profile=machine("firmware: uefi")),
        says="This PC can't run Windows 11: no Secure Boot",
    ),
    Trap(
        rule="media.answer-file",
        bad=Scene(install=replace(disc(), answers=(answers_on(5, "Autounattend.xml"),))),
        says="language page shown: International-Core-WinPE/UILanguage is missing",
        on_disc=OTHER_ANSWERS,
    ),
    Trap(
        rule="windows.weak-password",
        bad=Scene(profile=SERVER.replace("{generate: 20}", "{plain: vagrant}"),
                  install=server_disc()),
        says="OOBE password page shown: the password of Administrator is too simple",
        good=Scene(profile=SERVER, install=server_disc()),
    ),
    Trap(
        rule="lint.unknown-setting",
        bad=pass_changed("windowsPE", "<Enable>", "<Unheard>1</Unheard><Enable>"),
        says="A component or setting specified in the answer file does not exist",
    ),
    Trap(
        rule="lint.firmware",
        bad=pass_changed("windowsPE", "<Type>Primary<", "<Type>EFI<", profile=BIOS),
        says="type EFI is not possible on a machine started by BIOS",
        good=Scene(profile=BIOS),
    ),
    Trap(
        rule="lint.computer-name",
        bad=pass_changed("specialize", "<ComputerName>DEV11<", "<ComputerName>DEV 11<"),
        says=r"for pass \[specialize\]. The answer file is invalid. \(ComputerName 'DEV 11'",
    ),
    Trap(
        rule="lint.time-zone",
        bad=pass_changed("specialize", "<TimeZone>UTC<", "<TimeZone>Europe/Berlin<"),
        says="TimeZone 'Europe/Berlin' is not known",
    ),
    Trap(
        rule="lint.length",
        bad=pass_changed("oobeSystem", "</CommandLine>", f"{' x' * 520}</CommandLine>"),
        says="characters, at most 1024 are allowed",
    ),
    Trap(
        rule="lint.duplicate-setting",
        bad=pass_changed("windowsPE", "<Enable>", "<Enable>true</Enable><Enable>"),
        says="specified more than once in the answer file",
    ),
)  # fmt: skip

NOT_PLAYED = {
    "machine.old-windows": "the stand-in plays Setup of Windows 10 and later",
    "host.cpu-features": "the stand-in is a Linux and starts on any x86-64",
    "host.memory": "nothing fails but the host",
    "machine.cpu-features": "the stand-in is a Linux and starts on any x86-64",
    "machine.floppy": "a floppy drive alone stops nothing, answers on it are somebody else's",
    "media.driver-signature": "the stand-in's drivers are a Linux's, which nobody signed",
    "media.not-bootable": "the firmware never comes as far as Setup",
    "media.product": "another Windows is installed, and nothing fails",
    "media.unsigned-loader": "in tests/boot: the firmware refuses the loader",
}
"""Rules that `--force` passes, and why the stand-in cannot show what comes of it."""


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: f"{trap.rule}-{trap.says[:12]}")
def test_a_trap_is_stopped_and_springs_when_forced(trap: Trap, tmp_path: Path) -> None:
    found = {p.rule for p in trap.bad.problems(tmp_path) if p.severity is Severity.ERROR}
    assert trap.rule in found
    assert all(can_be_forced(rule) for rule in found)
    forced = replace(trap.bad, forced=True).plan(tmp_path)
    with pytest.raises(SetupStopped, match=trap.says):
        play(forced, trap.bad, tmp_path, on_disc=trap.on_disc)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: f"{trap.rule}-{trap.says[:12]}")
def test_setup_goes_through_without_the_trap(trap: Trap, tmp_path: Path) -> None:
    assert not [p for p in trap.good.problems(tmp_path) if p.severity is Severity.ERROR]
    play(trap.good.plan(tmp_path), trap.good, tmp_path, on_disc=None)


def test_every_forceable_rule_is_played_or_has_a_reason() -> None:
    assert {trap.rule for trap in TRAPS if trap.rule in FORCEABLE} == FORCEABLE - set(NOT_PLAYED)
    assert set(NOT_PLAYED) < FORCEABLE


def play(plan: MachinePlan, scene: Scene, folder: Path, *, on_disc: str | None) -> None:
    """Everything that the stand-in does before and after the copying, in Setup's order."""
    domain = ElementTree.fromstring(domain_xml(plan))
    if not INBOX & _buses(domain, "cdrom"):
        raise SetupStopped("no installation media found: no drive holds sources\\install.wim")
    drives = _drives(folder, {"D": on_disc and on_disc.encode(), "E": _answer_file(plan, scene)})
    found, notes = find_answer_file("windowsPE", drives, distribution=drives[0])
    if found is None:
        raise page_shown("language", f"no answer file is used ({'; '.join(notes)})")
    answer = found.answer
    check_pass(answer, "windowsPE")
    windows_pe.read_language(answer, scene.install.languages)
    setup = answer.component("windowsPE", "Setup")
    assert setup is not None
    user_data = windows_pe.read_user_data(setup)
    chosen = image.select_image(
        _images(scene.install), key=user_data.key, metadata=windows_pe.read_metadata(setup)
    )
    server = chosen.edition_id.startswith("Server")
    commands = windows_pe.read_commands(setup, "RunSynchronous/RunSynchronousCommand")
    missing = requirements.missing_hardware(
        _hardware(domain),
        build=int(chosen.build),
        server=server,
        bypasses=windows_pe.bypasses(commands),
    )
    requirements.require_hardware(missing)
    firmware = "uefi" if _os(domain).get("firmware") == "efi" else "bios"
    disks = tuple(_disks(domain, plan))
    plans = layout.plan_disks(setup.find("DiskConfiguration"), disks, firmware=firmware)
    layout.install_target(setup.find("ImageInstall"), plans, disks, firmware=firmware)
    check_pass(answer, "specialize")
    identity = specialize.specialize(
        answer, full_name="", organization="", edition_id=chosen.edition_id
    )
    check_pass(answer, "oobeSystem")
    oobe.out_of_box(answer, computer_name=identity.computer_name, server=server)


def _drives(folder: Path, answers: Mapping[str, bytes | None]) -> tuple[Drive, ...]:
    """The install disc, then ours: drives with the answer files at their roots."""
    for letter, data in answers.items():
        (folder / letter).mkdir()
        if data:
            (folder / letter / "Autounattend.xml").write_bytes(data)
    return tuple(Drive(letter=letter, root=folder / letter, writable=False) for letter in answers)


def _answer_file(plan: MachinePlan, scene: Scene) -> bytes:
    """The answer file as the writer would make it."""
    (file,) = [f for path, f in answer_tree(plan).files() if str(path) == "Autounattend.xml"]
    (text,) = file.content
    assert isinstance(text, Text)
    pieces = (_revealed(p, scene) if isinstance(p, SecretSlot) else p for p in text.parts)
    return "".join(pieces).replace("\n", text.newline).encode(text.encoding)


def _revealed(slot: SecretSlot, scene: Scene) -> str:
    match slot.reference:
        case Plain(plain=value):
            pass
        case FromEnvironment(env=name):
            value = scene.environment[name]
        case other:
            assert isinstance(other, Generated)
            value = GENERATED
    return ENCODINGS[slot.encoding](value)


def _images(install: MediaFacts) -> list[image.Image]:
    return [
        image.Image(
            index=each.index,
            name=each.name,
            description=each.description,
            display_name=each.display_name,
            edition_id=each.edition_id,
            architecture="9",
            build=str(each.version[2]),
            languages=each.languages,
        )
        for each in install.editions
    ]


def _os(domain: ElementTree.Element) -> ElementTree.Element:
    found = domain.find("./os")
    assert found is not None
    return found


def _hardware(domain: ElementTree.Element) -> requirements.Hardware:
    secure = _os(domain).find("./firmware/feature[@name='enrolled-keys']")
    return requirements.Hardware(
        tpm=domain.find("./devices/tpm") is not None,
        secure_boot=secure is not None and secure.get("enabled") == "yes",
        memory_mib=int(domain.findtext("./memory") or "0") // 1024,
    )


def _buses(domain: ElementTree.Element, device: str) -> set[str]:
    targets = domain.iterfind(f"./devices/disk[@device='{device}']/target")
    return {target.get("bus", "") for target in targets}


def _disks(domain: ElementTree.Element, plan: MachinePlan) -> Iterator[layout.Disk]:
    """The disks on buses that Setup knows, or has a driver for in `$WinPEDriver$`."""
    infs = {
        path.name.lower()
        for path, _ in answer_tree(plan).files()
        if path.parts[0].lower() == "$winpedriver$" and path.suffix.lower() == ".inf"
    }
    modules = {DRIVER_MODULES.get(name) for name in infs}
    seen = INBOX | {
        bus for bus, module in (("virtio", "virtio_blk"), ("scsi", "virtio_scsi"))
        if module in modules
    }  # fmt: skip
    for target in domain.iterfind("./devices/disk[@device='disk']/target"):
        if (bus := target.get("bus", "")) in seen:
            yield layout.Disk(disk_id=0, device="vda", bus=bus, size_mib=64 * 1024)
