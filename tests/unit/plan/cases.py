"""A failing and a passing case for every rule between profile, discs and host."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.answers.supplied import Supplied, SuppliedFile
from provisioner.errors import Severity
from provisioner.media.facts import MediaKind, Platform
from provisioner.media.trust import Loader, Signer
from provisioner.ports import Accelerator, Storage
from tests.fakes.hypervisor import good_facts
from tests.golden.media import edition
from tests.unit.answers.answer_files import GOOD
from tests.unit.plan.scene import (
    BOTH,
    SERVER,
    SOUND,
    Scene,
    answers_on,
    boot,
    disc,
    drivers,
    extended,
    old_disc,
    server_disc,
)
from tests.unit.plan.settings_cases import (
    CONSOLE_ON_A_CLIENT,
    FILE_THERE,
    MISSING_FILE,
    ROLE_ON_A_CLIENT,
    ROLE_ON_A_SERVER,
    SSH_FROM_A_PACKAGE,
    SSH_FROM_WINDOWS_UPDATE,
    SSH_IN_THE_SERVER,
)

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Case:
    """`bad` must show the rule with this severity, `good` must not show it."""

    rule: str
    severity: Severity
    bad: Scene
    good: Scene


def case(rule: str, bad: Scene, *, severity: Severity = ERROR, good: Scene | None = None) -> Case:
    """One case; by default the good scene is the sound one."""
    return Case(rule=rule, severity=severity, bad=bad, good=good or Scene())


def machine(text: str) -> str:
    """The sound profile with another machine."""
    return SOUND.replace("machine: {cpus: 2}", f"machine: {{cpus: 2, {text}}}")


def windows(text: str, *, base: str = SOUND) -> str:
    """A profile with one more key in `windows`."""
    return base.replace("machine:", f"  {text}\nmachine:")


def step(text: str) -> Scene:
    """The sound profile with one step."""
    return Scene(profile=windows(f"steps: [{{name: x, {text}}}]"))


def loader(*issuers: str) -> Loader:
    """A loader with a signature of this chain, or without any."""
    signers = (
        (Signer(subject="Microsoft Windows", issuers=issuers, algorithm="sha256", digest=b""),)
        if issuers
        else ()
    )
    return Loader(path="efi/boot/bootx64.efi", machine="amd64", subsystem="efi", signers=signers)


BIOS = machine("firmware: bios, tpm: false").replace(
    "product: windows-11", "product: windows-11\n  hardware_checks: bypass"
)
OTHER_KEY = "product_key: {plain: NPPR9-FWDCX-D2C8J-H872K-2YT43}"
SERVER_TEN = SERVER.replace("2025", "2019")
PASSES = "windows/passes/oobeSystem.xml.j2"
SHIPPED_PASS = '{% include "shipped/windows/passes/oobeSystem.xml.j2" %}'
SETTING = (
    '<component name="Microsoft-Windows-PnpCustomizationsWinPE" processorArchitecture="amd64" '
    'publicKeyToken="31bf3856ad364e35" language="neutral"><Unheard>1</Unheard></component>'
)


def own(text: str = "", *, ready: str = "ready: {when: power-off}") -> Scene:
    """A machine that an answer file of the user's own sets up."""
    data = (text or GOOD).encode()
    return Scene(
        profile=OWN.replace("ready: {when: power-off}", ready),
        supplied=Supplied(answer_file=SuppliedFile(path=Path("/mine.xml"), data=data)),
    )


def logo(data: bytes) -> Scene:
    """A machine with a logo."""
    return Scene(
        profile=windows("oem: {logo: /logo.bmp}"),
        supplied=Supplied(logo=SuppliedFile(path=Path("/logo.bmp"), data=data)),
    )


def bitmap(side: int) -> bytes:
    """The start of a square Windows bitmap."""
    return b"BM" + bytes(12) + b"".join(n.to_bytes(4, "little") for n in (40, side, side))


OWN = """\
name: dev11
media: {install: /iso/install.iso}
windows: {product: windows-11, answer_file: /mine.xml}
machine: {cpus: 2, ready: {when: power-off}}
"""
OLD = SOUND.replace("product: windows-11", "product: windows-7").replace(
    "{cpus: 2}", "{cpus: 2, firmware: bios, tpm: false}"
)
"""A sound Windows 7."""
WINDOWS_7 = replace(old_disc(7601, "Windows 7"), product="windows-7")
JOIN = "join: {domain: corp.example, user: a, password: {env: J}}"
CASES = (
    # versions
    *(
        case(
            "machine.old-windows",
            Scene(
                profile=OLD.replace("firmware: bios, tpm: false", text),
                install=WINDOWS_7,
                host=replace(good_facts(), disk_buses=frozenset({"sata", "nvme"})),
            ),
            severity=severity,
            good=Scene(profile=OLD, install=WINDOWS_7),
        )
        for text, severity in (
            ("firmware: secure-boot, tpm: false", ERROR),
            ("firmware: uefi, tpm: false", WARNING),
            ("firmware: bios, tpm: true", WARNING),
            ("firmware: bios, tpm: false, disks: [{bus: nvme}]", ERROR),
        )
    ),
    case(
        "windows.old-setting",
        Scene(profile=windows("remote: {winrm: https}", base=OLD), install=WINDOWS_7),
        good=Scene(profile=windows("remote: {rdp: true}", base=OLD), install=WINDOWS_7),
    ),
    case(
        "windows.old-setting",
        Scene(profile=windows("oem: {support_provider: me}", base=OLD), install=WINDOWS_7),
        good=Scene(profile=windows("oem: {support_provider: me}")),
    ),
    case(
        "windows.old-setting",
        Scene(profile=windows("install_by: apply", base=OLD), install=WINDOWS_7),
        good=Scene(profile=windows("install_by: apply")),
    ),
    case(
        "windows.old-powershell",
        Scene(
            profile=windows("steps: [{name: x, powershell: dir}]", base=OLD), install=WINDOWS_7
        ),
        severity=NOTE,
        good=Scene(profile=windows("steps: [{name: x, cmd: dir}]", base=OLD), install=WINDOWS_7),
    ),
    case(
        "windows.join-edition",
        Scene(profile=windows(JOIN), install=disc(edition("Core"))),
        good=Scene(profile=windows(JOIN)),
    ),
    # files of the user's own
    case("windows.oem-logo", logo(b"PNG"), good=logo(bitmap(120))),
    case("windows.oem-logo", logo(bitmap(121)), severity=WARNING, good=logo(bitmap(120))),
    case("windows.answer-file-ready", own(ready="graphics: null"), good=own()),
    case("windows.answer-file-ready", own(ready="ready: {when: serial}"), severity=WARNING,
         good=own()),
    case("windows.answer-file-stays", own(), severity=NOTE),
    case(
        "windows.answer-file-alone",
        replace(own(), profile=OWN.replace("mine.xml", "mine.xml, owner: Me")),
        severity=WARNING,
        good=own(),
    ),
    case(
        "windows.fallback-language",
        Scene(profile=windows("locale: {fallback: de-DE}")),
        good=Scene(profile=windows("locale: {fallback: en-US}")),
    ),
    # discs
    case("media.not-windows", Scene(install=replace(disc(), kind=MediaKind.LINUX))),
    case("media.product", Scene(install=replace(disc(), product="windows-10"))),
    case("media.architecture", Scene(install=replace(disc(), architecture="arm64"))),
    case("media.edition", Scene(profile=windows("edition: Enterprise"))),
    case("media.setup-language", Scene(profile=windows("locale: {setup: de-DE}"))),
    case(
        "media.setup-language",
        Scene(
            profile=windows("locale: {setup: de-DE}"),
            install=disc(edition("Professional", build=22631)),
        ),
        severity=WARNING,
    ),
    case("media.language", Scene(profile=windows("locale: {language: de-DE}"))),
    case(
        "windows.setup-language",
        Scene(
            profile=windows("locale: {setup: de-DE}"),
            install=replace(disc(), languages=("en-US", "de-DE")),
        ),
        severity=WARNING,
    ),
    case(
        "media.not-bootable",
        Scene(install=replace(disc(), boot=(boot(Platform.BIOS, "boot/etfsboot.com"),))),
    ),
    case(
        "media.not-bootable",
        Scene(install=replace(disc(), boot=())),
        good=Scene(profile=BIOS, install=replace(disc(), boot=BOTH[:1])),
    ),
    case("media.unsigned-loader", Scene(install=replace(disc(), loaders=(loader(),)))),
    case(
        "media.loader-2011",
        Scene(
            install=replace(disc(), loaders=(loader("Microsoft Windows Production PCA 2011"),))
        ),
        severity=NOTE,
        good=Scene(
            install=replace(
                disc(),
                loaders=(
                    loader("Microsoft Windows Production PCA 2011"),
                    loader("Windows UEFI CA 2023"),
                ),
            )
        ),
    ),
    case(
        "media.answer-file",
        Scene(install=replace(disc(), answers=(answers_on(5, "Autounattend.xml"),))),
    ),
    case(
        "media.answer-file",
        Scene(install=replace(disc(), answers=(answers_on(6, "sources/Autounattend.xml"),))),
        severity=WARNING,
    ),
    case(
        "media.answer-file",
        Scene(
            install=replace(
                disc(), answers=(answers_on(5, "Autounattend.xml", problem="it is no XML"),)
            )
        ),
        severity=NOTE,
    ),
    case(
        "media.answer-file",
        Scene(drivers=replace(drivers(), answers=(answers_on(5, "Autounattend.xml"),))),
    ),
    case("media.remark", Scene(install=replace(disc(), remarks=("odd",))), severity=NOTE),
    case("media.not-drivers", Scene(drivers=disc()), good=Scene(drivers=drivers())),
    case(
        "media.driver-missing",
        Scene(drivers=drivers(without="viostor")),
        good=Scene(drivers=drivers()),
    ),
    case("media.agent-missing", Scene(drivers=drivers(without="qemu-ga"))),
    case(
        "media.driver-signature",
        Scene(install=old_disc(7601, "Windows 7"), drivers=drivers()),
        good=Scene(
            install=old_disc(7601, "Windows 7"), drivers=drivers(label="virtio-win-0.1.173")
        ),
    ),
    case(
        "media.driver-signature",
        Scene(install=old_disc(9600, "Windows 8.1"), drivers=drivers(label="virtio-win-0.1.217-1")),
        good=Scene(
            install=old_disc(9600, "Windows 8.1"), drivers=drivers(label="virtio-win-0.1.215")
        ),
    ),
    case(
        "media.driver-age",
        Scene(drivers=drivers(without="/w11/", label="virtio-win-0.1.208")),
        severity=WARNING,
        good=Scene(drivers=drivers()),
    ),
    # Windows
    case("windows.product-key-edition", Scene(profile=windows(OTHER_KEY))),
    case(
        "windows.product-key-edition",
        Scene(profile=windows("product_key: {plain: N69G4-B89J2-4G8F4-WWYCC-J464C}", base=SERVER),
              install=server_disc()),
        good=Scene(
            profile=windows("product_key: {plain: N69G4-B89J2-4G8F4-WWYCC-J464C}", base=SERVER_TEN),
            install=server_disc(build=17763),
        ),
    ),
    case(
        "windows.product-key",
        Scene(
            profile=windows("product_key: {env: KEY}"),
            install=disc(edition("EnterpriseEval"), evaluation=True),
        ),
    ),
    case(
        "windows.weak-password",
        Scene(profile=SERVER.replace("{generate: 20}", "{plain: vagrant}"), install=server_disc()),
        good=Scene(
            profile=SERVER.replace("{generate: 20}", "{plain: Passw0rd!}"), install=server_disc()
        ),
    ),
    case(
        "windows.unseen-password",
        Scene(profile=SERVER.replace("{generate: 20}", "{env: PW}"), install=server_disc()),
        severity=NOTE,
        good=Scene(profile=SERVER, install=server_disc()),
    ),
    case(
        "windows.timezone-version",
        Scene(
            profile=windows("locale: {timezone: South Sudan Standard Time}", base=SERVER_TEN),
            install=server_disc(build=17763),
        ),
        severity=WARNING,
        good=Scene(
            profile=windows("locale: {timezone: South Sudan Standard Time}", base=SERVER),
            install=server_disc(),
        ),
    ),
    case(
        "windows.administrator-password",
        Scene(
            profile=SERVER.replace("administrator: {password: {generate: 20}}",
                                   "users: [{name: a, password: {env: A}}]"),
            install=server_disc(),
        ),
        good=Scene(profile=SERVER, install=server_disc()),
    ),
    case(
        "windows.users",
        Scene(profile=SOUND.replace("[Administrators]", "[Users]")),
    ),
    case(
        "windows.autologon",
        Scene(
            profile=windows("autologon: {user: guest1}").replace(
                "users: [", "users: [{name: guest1, groups: [Users], password: {env: A}}, "
            )
        ),
    ),
    case("windows.recovery", Scene(profile=windows("recovery: null")), severity=NOTE),
    case("windows.step-file", step("exe: /nowhere/setup.exe"), good=step("exe: /bin/sh")),
    case("windows.step-file", step("msi: /"), good=step("msi: /bin/sh")),
    case("windows.step-file", step("copy: /nowhere, to: 'C:\\x'"),
         good=step("copy: /bin/sh, to: 'C:\\x'")),
    case("windows.step-msi", step("powershell: .\\tool.msi"), severity=WARNING,
         good=step("powershell: Start-Process msiexec.exe -Wait -ArgumentList '/i a.msi /qn'")),
    case("windows.step-msi", step("cmd: msiexec /i tool.msi"), severity=WARNING,
         good=step("cmd: msiexec /i tool.msi /qn /norestart")),
    case("windows.step-msi", step("powershell: msiexec /i tool.msi /qn"), severity=WARNING),
    case("windows.step-winget", step("powershell: winget install Git.Git"), severity=WARNING),
    case("windows.step-guest-tools", step("cmd: virtio-win-guest-tools.exe /S"),
         severity=WARNING),
    case("windows.step-drive-letter", step("powershell: 'E:\\setup.exe'"), severity=WARNING,
         good=step("powershell: 'C:\\setup.exe; $env:x; Get-Item HKLM:\\SOFTWARE'")),
    case("windows.step-sysprep", step("cmd: sysprep /generalize /oobe"), severity=WARNING),
    case("windows.step-reboot", step("powershell: Restart-Computer"), severity=WARNING,
         good=step("powershell: Write-Host restart the Computer")),
    # hardware
    case("machine.windows-11", Scene(profile=machine("memory: 2 GiB"))),
    case("machine.windows-11", Scene(profile=machine("firmware: uefi"))),
    case("machine.windows-11", Scene(profile=machine("disks: [{size: 40 GiB}]"))),
    case(
        "machine.hardware-checks",
        Scene(profile=machine("tpm: false")),
        good=Scene(profile=machine("tpm: false").replace(
            "product: windows-11", "product: windows-11\n  hardware_checks: bypass")),
    ),
    case(
        "machine.virtio-drivers",
        Scene(profile=machine("disks: [{bus: virtio}]")),
        good=Scene(profile=machine("disks: [{bus: virtio}]"), drivers=drivers()),
    ),
    case(
        "machine.disk-size",
        Scene(
            profile=SERVER.replace("cpus: 2", "cpus: 2, disks: [{size: 19 GiB}]"),
            install=server_disc(),
        ),
        good=Scene(
            profile=SERVER.replace("cpus: 2", "cpus: 2, disks: [{size: 32 GiB}]"),
            install=server_disc(),
        ),
    ),
    case("machine.disks", Scene(profile=machine("disks: [{}, {}]")), severity=NOTE),
    case("machine.cpus", Scene(profile=SOUND.replace("cpus: 2", "cpus: 16")), severity=WARNING),
    # the domain
    case("machine.cdrom-bus", Scene(templates=extended("devices",
         '<disk type="file" device="cdrom"><target dev="sdz" bus="scsi"/></disk>')),
         good=Scene(templates=extended("devices",
         '<disk type="file" device="cdrom"><target dev="sdz" bus="sata"/></disk>'))),
    case("machine.floppy", Scene(templates=extended("devices",
         '<disk type="file" device="floppy"><target dev="fda" bus="fdc"/></disk>'))),
    case("machine.floppy", Scene(profile=BIOS, templates=extended("devices",
         '<disk type="file" device="floppy"><target dev="fda" bus="fdc"/></disk>')),
         severity=WARNING),
    case("machine.usb-disk", Scene(templates=extended("devices",
         '<disk type="file" device="disk"><target dev="sdz" bus="usb"/></disk>'))),
    case("machine.disk-driver", Scene(templates=extended("devices",
         '<disk type="file" device="disk"><target dev="sdz" bus="scsi"/></disk>'))),
    case("machine.firmware-path", Scene(templates=extended("os",
         '<os><type arch="x86_64" machine="q35">hvm</type>'
         '<loader>/usr/share/OVMF/OVMF_CODE.fd</loader></os>', before=False)), severity=WARNING),
    case("machine.nvram-shared", Scene(templates=extended("os",
         '<os firmware="efi"><type machine="q35">hvm</type><nvram>/nvram/windows.fd</nvram></os>',
         before=False))),
    case("machine.cpu-features", Scene(templates={"libvirt/domain.xml.j2":
         "<domain><cpu><model>Penryn</model></cpu></domain>"}),
         good=Scene(templates={"libvirt/domain.xml.j2":
         "<domain><cpu><model>Nehalem</model></cpu></domain>"})),
    # templates of the user's own
    case("answers.template", Scene(templates={PASSES: "{{ nobody_knows }}"})),
    case("answers.template", Scene(templates={"libvirt/domain.xml.j2": "<domain>"})),
    case("lint.unknown-setting", Scene(templates={"windows/passes/windowsPE.xml.j2":
         SETTING + '{% include "shipped/windows/passes/windowsPE.xml.j2" %}'})),
    # the host
    case(
        "host.architecture",
        Scene(
            profile=SOUND.replace("windows-11", "windows-11\n  architecture: arm64"),
            install=replace(
                disc(edition("Professional", architecture="arm64")), architecture="arm64"
            ),
            drivers=drivers(),
        ),
        severity=WARNING,
    ),
    case("host.firmware", Scene(host=good_facts(firmwares=frozenset({"bios"})))),
    case("host.tpm", Scene(host=good_facts(tpm=False, tpm_reason="swtpm is not there"))),
    case("host.disk-bus", Scene(profile=machine("disks: [{bus: nvme}]")),
         good=Scene(profile=machine("disks: [{bus: nvme}]"),
                    host=good_facts(disk_buses=frozenset({"nvme", "sata"})))),
    case("host.no-networks", Scene(profile=machine("networks: [{network: lan}]"))),
    case("host.network",
         Scene(profile=machine("networks: [{network: lna}]"),
               host=good_facts(network_driver=True, networks=frozenset({"lan"}))),
         good=Scene(profile=machine("networks: [{network: lan}]"),
                    host=good_facts(network_driver=True, networks=frozenset({"lan"})))),
    case("host.kvm", Scene(profile=machine("accelerator: kvm"),
                           host=good_facts(accelerator=Accelerator(kvm=False, reason="no")))),
    case("host.emulation", Scene(host=good_facts(accelerator=Accelerator(kvm=False, reason="no"))),
         severity=WARNING),
    case("host.cpu-features", Scene(host=good_facts(cpu_features=frozenset({"sse4.2", "sse2"}))),
         good=Scene(host=good_facts(cpu_features=frozenset({"sse2"}),
                                    accelerator=Accelerator(kvm=False, reason="no")))),
    case("host.cpu-features", Scene(host=good_facts(cpu_features=frozenset({"sse2"}))),
         good=Scene(host=good_facts(cpu_features=frozenset({"sse2"})),
                    install=disc(edition("Professional", build=22631)))),
    case("host.cpu-features", Scene(host=good_facts(cpu_features=frozenset({"popcnt"}))),
         good=Scene(host=good_facts(cpu_features=frozenset()))),  # libvirt does not know
    case("host.secret", Scene(profile=SOUND.replace("{generate: 20}", "{env: NOT_SET}")),
         severity=WARNING, good=Scene(profile=SOUND.replace("{generate: 20}", "{env: PW}"))),
    case("host.secret", Scene(profile=windows("product_key: {file: missing}")), severity=WARNING),
    case("host.secret", Scene(profile=windows("product_key: {command: [no-such-program]}"),
                              environment={"PATH": "/usr/bin:/bin"}), severity=WARNING,
         good=Scene(profile=windows("product_key: {command: [cat, key]}"),
                    environment={"PATH": "/usr/bin:/bin"})),
    case("host.memory", Scene(profile=machine("memory: 64 GiB"))),
    case("host.space", Scene(host=good_facts(
        storage=Storage(folder="/s", free_bytes=GIB)))),
    case("windows.host-file", MISSING_FILE, good=FILE_THERE),
    case("windows.server-only", ROLE_ON_A_CLIENT, good=ROLE_ON_A_SERVER),
    case("windows.server-only", CONSOLE_ON_A_CLIENT, severity=WARNING),
    case("windows.ssh-download", SSH_FROM_WINDOWS_UPDATE, severity=WARNING,
         good=SSH_FROM_A_PACKAGE),
    case("windows.ssh-download", SSH_FROM_WINDOWS_UPDATE, severity=WARNING,
         good=SSH_IN_THE_SERVER),
)  # fmt: skip
