"""The sample answer file passes; each of its mutations is refused or ignored as Setup would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.standin.setup.answers import AnswerFile, read_answer_file
from tests.standin.setup.image import Image, select_image
from tests.standin.setup.layout import Disk, install_target, plan_disks
from tests.standin.setup.oobe import out_of_box
from tests.standin.setup.outcome import AnswerFileIgnored, SetupStopped
from tests.standin.setup.settings_check import check_pass
from tests.standin.setup.specialize import specialize
from tests.standin.setup.windows_pe import (
    bypasses,
    read_commands,
    read_language,
    read_metadata,
    read_user_data,
)

PATH = "E:\\Autounattend.xml"
IMAGES = tuple(
    Image(
        index=index,
        name=name,
        description=f"Stand-in for {name}",
        display_name=name,
        edition_id=edition,
        architecture="9",
        build="26100",
        languages=("en-US",),
    )
    for index, (name, edition) in enumerate(
        (
            ("Windows 11 Home", "Core"),
            ("Windows 11 Pro", "Professional"),
            ("Windows 11 Enterprise", "Enterprise"),
        ),
        start=1,
    )
)
DISK = Disk(disk_id=0, device="vda", bus="virtio", size_mib=65536)
PASSWORD = "UABhAHMAcwB3ADAAcgBkACEAUABhAHMAcwB3AG8AcgBkAA=="
ADMINISTRATOR_PASSWORD = (
    "UABhAHMAcwB3ADAAcgBkACEAQQBkAG0AaQBuAGkAcwB0AHIAYQB0AG8AcgBQAGEAcwBzAHcAbwByAGQA"
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a whole run without a machine gave."""

    answer: AnswerFile
    notes: tuple[str, ...]
    index: int
    partition: int


def play(data: bytes, *, firmware: str = "uefi", disks: tuple[Disk, ...] = (DISK,)) -> Run:
    """All rules in Setup's order, as `installer` and `installed` apply them."""
    answer = read_answer_file(data, PATH)
    notes = [*answer.notes, *check_pass(answer, "windowsPE")]
    read_language(answer, ("en-US",))
    setup = answer.component("windowsPE", "Setup")
    user_data = read_user_data(setup)
    bypasses(read_commands(setup, "RunSynchronous/RunSynchronousCommand"))
    image = select_image(IMAGES, key=user_data.key, metadata=read_metadata(setup))
    plans = plan_disks(setup.find("DiskConfiguration") if setup else None, disks, firmware=firmware)
    _, target = install_target(
        setup.find("ImageInstall") if setup else None, plans, disks, firmware=firmware
    )
    notes += check_pass(answer, "specialize")
    identity = specialize(
        answer, full_name=user_data.full_name, organization=user_data.organization
    )
    notes += check_pass(answer, "oobeSystem")
    experience = out_of_box(answer, computer_name=identity.computer_name)
    return Run(
        answer=answer,
        notes=(*notes, *experience.notes),
        index=image.index,
        partition=target.number,
    )


def test_sample(sample: str) -> None:
    run = play(sample.encode())
    assert (run.notes, run.index, run.partition) == ((), 2, 3)


def test_crlf_is_fine(sample: str) -> None:
    assert play(sample.replace("\n", "\r\n").encode()).notes == ()


IGNORED: dict[str, tuple[Callable[[str], bytes], str]] = {
    "cut off": (lambda text: text[:-20].encode(), "not well-formed"),
    "ampersand": (lambda text: text.replace("Erika Must", "A & B").encode(), "not well-formed"),
    "blank before declaration": (lambda text: b"\n" + text.encode(), "not well-formed"),
    "undeclared wcm": (
        lambda text: text.replace('xmlns:wcm="http://schemas', 'xmlns:x="http://s').encode(),
        "not well-formed",
    ),
    "UTF-8 byte order mark": (lambda text: b"\xef\xbb\xbf" + text.encode(), "byte order mark"),
    "UTF-16": (lambda text: text.encode("utf-16"), "UTF-16"),
    "raw umlaut": (
        lambda text: text.replace("Mustermann", "M\u00fcller").encode(),
        "bytes beyond ASCII",
    ),
    "other root": (
        lambda text: text.replace("urn:schemas-microsoft-com:unattend", "urn:x").encode(),
        "its root is",
    ),
    "unknown pass": (lambda text: text.replace('"specialize"', '"special"').encode(), "no pass"),
    "foreign element in the default namespace": (
        lambda text: text.replace("</unattend>", "<Extensions/></unattend>").encode(),
        "Extensions",
    ),
    "component without language": (
        lambda text: text.replace(' language="neutral"', "", 1).encode(),
        "component without language",
    ),
}


@pytest.mark.parametrize("name", IGNORED)
def test_ignored_files(sample: str, name: str) -> None:
    mutate, reason = IGNORED[name]
    with pytest.raises(AnswerFileIgnored, match=reason):
        play(mutate(sample))


COMPONENT = (
    '<component name="Microsoft-Windows-{}" processorArchitecture="amd64" '
    'publicKeyToken="31bf3856ad364e35" language="neutral" versionScope="nonSxS">{}</component>'
)
KEY = "<Key>VK7JG-NPHTM-C97JM-9MPGT-3V66T</Key>"
END_OF_AUTO_LOGON = """</Value>
          <PlainText>false</PlainText>
        </Password>
      </AutoLogon>"""
LAST_CREATE = """<Order>3</Order>
              <Type>Primary</Type>"""
FIRST_MODIFY = "<PartitionID>1</PartitionID>"

REFUSED: tuple[tuple[str, str, str, str], ...] = (
    # what, old, new, message
    ("unknown setting", "<TimeZone>", "<Colour>red</Colour><TimeZone>", "does not exist"),
    (
        "misspelt setting",
        "<HideEULAPage>true</HideEULAPage>",
        "<HideEulaPages>true</HideEulaPages>",
        "does not exist",
    ),
    ("elements in a leaf", "STAND-01", "<b>x</b>", "does not exist"),
    ("no boolean", "<AcceptEula>true", "<AcceptEula>yes", "not true or false"),
    ("boolean in capitals", "<WillWipeDisk>true", "<WillWipeDisk>True", "not true or false"),
    ("no number", "<Size>100<", "<Size>100MB<", "not a number"),
    ("wrong choice", "<Type>MSR", "<Type>Reserved", "not one of"),
    ("empty element", "Erika Mustermann", "", "empty element"),
    ("empty key", KEY, "<Key></Key>", "empty element"),
    ("empty container", "<OOBE>", "<WindowsFeatures></WindowsFeatures><OOBE>", "empty element"),
    ("owner too long", "Erika Mustermann", "E" * 64, "at most 63"),
    ("path too long", "mkdir C:\\provision", "x" * 260, "at most 259"),
    ("command too long", "Write-Host first", "x" * 1025, "at most 1024"),
    ("setting twice", "<ComputerName>", "<ComputerName>A</ComputerName><ComputerName>", "twice"),
    ("disk twice", "</Disk>", '</Disk><Disk wcm:action="add"><DiskID>0</DiskID></Disk>', "twice"),
    ("order twice", "<Order>2</Order>\n              <Type>", "<Order>1</Order><Type>", "twice"),
    (
        "component twice",
        "</settings>",
        COMPONENT.format("Setup", "<LogPath>C:\\</LogPath>") + "</settings>",
        "more than once",
    ),
    ("order out of range", "<Order>1</Order>\n          <Path>", "<Order>501</Order><Path>", "500"),
    ("list item without key", 'wcm:keyValue="RemoteDesktop"', "", "without its key"),
    ("bad action", '<Disk wcm:action="add">', '<Disk wcm:action="create">', "wcm:action"),
    # language
    (
        "other language",
        "<UILanguage>en-US</UILanguage>\n      </Setup",
        "<UILanguage>de-DE</UILanguage></Setup",
        "language page",
    ),
    ("no language component", "International-Core-WinPE", "International-Core-PE", "language page"),
    # user data and image
    ("EULA", "<AcceptEula>true", "<AcceptEula>false", "license terms page"),
    ("short key", KEY, "<Key>VK7JG</Key>", "ProductKey"),
    ("unknown key", KEY, "<Key>AAAAA-BBBBB-CCCCC-DDDDD-EEEEE</Key>", "matches no image"),
    ("asking key", KEY, "<Key>00000-00000-00000-00000-00000</Key>", "product key page"),
    ("key of another edition", KEY, "<Key>YTMG3-N6DKC-DKB77-7M9GH-8HVX7</Key>", "another edition"),
    ("no such index", "<Value>2</Value>", "<Value>4</Value>", "select image page"),
    (
        "no such name",
        "<Key>/IMAGE/INDEX</Key>\n              <Value>2",
        "<Key>/IMAGE/NAME</Key><Value>Windows 12",
        "select image page",
    ),
    # disks
    ("no such disk", "<DiskID>0", "<DiskID>1", "there is no disk 1"),
    ("size and extend", "<Extend>true", "<Size>50000</Size><Extend>true", "exactly one of"),
    ("neither size nor extend", "<Size>16</Size>", "", "exactly one of"),
    ("extend is not last", "<Size>16</Size>", "<Extend>true</Extend>", "must be the last"),
    ("too big", "<Size>100<", "<Size>65535<", "do not fit"),
    ("exactly the disk", "<Extend>true</Extend>", "<Size>65420</Size>", "do not fit"),
    ("no such partition to modify", FIRST_MODIFY, "<PartitionID>4</PartitionID>", "no partition 4"),
    (
        "MSR modified",
        "<PartitionID>2</PartitionID>",
        "<PartitionID>2</PartitionID><Letter>M</Letter>",
        "MSR",
    ),
    ("EFI as NTFS", "<Format>FAT32", "<Format>NTFS", "must be FAT32"),
    ("lower-case letter", "<Letter>C", "<Letter>c", "upper case"),
    ("letter A", "<Letter>C", "<Letter>A", "upper case"),
    ("label without format", "<Format>FAT32</Format>", "", "Label needs Format"),
    ("type id", "<Letter>C</Letter>", "<TypeID>recovery</TypeID>", "no GUID"),
    (
        "install to nowhere",
        "<PartitionID>3</PartitionID>\n          </InstallTo>",
        "<PartitionID>7</PartitionID></InstallTo>",
        "no partition 7",
    ),
    (
        "install to the ESP",
        "<PartitionID>3</PartitionID>\n          </InstallTo>",
        "<PartitionID>1</PartitionID></InstallTo>",
        "of type EFI",
    ),
    ("install to FAT32", "<Format>NTFS", "<Format>FAT32", "not formatted NTFS"),
    ("too small for Windows", "<Extend>true</Extend>", "<Size>10000</Size>", "less than 20 GB"),
    ("no ESP", "<Type>EFI", "<Type>Primary", "no EFI partition"),
    ("extended", LAST_CREATE, LAST_CREATE.replace("Primary", "Extended"), "not possible on a GPT"),
    # specialize
    ("long computer name", "STAND-01", "STAND-0123456789", "at most 15"),
    ("computer name with a dot", "STAND-01", "stand.01", "'\\.'"),
    ("computer name with a blank", "STAND-01", "STAND 01", "' '"),
    ("digits only", "STAND-01", "123456", "all digits"),
    ("time zone", "W. Europe Standard Time", "Europe/Berlin", "not known"),
    # oobeSystem
    ("account named like the computer", "STAND-01", "ERIKA", "the computer's name"),
    ("account name", "<Name>erika", "<Name>er/ika", "'/'"),
    ("built-in account", "<Name>erika", "<Name>Guest", "built-in"),
    ("long account name", "<Name>erika", "<Name>" + "e" * 21, "at most 20"),
    ("unknown group", "<Group>Administrators", "<Group>Admins", "no group Admins"),
    ("wrong suffix", ADMINISTRATOR_PASSWORD, PASSWORD, "0x8007000d"),
    ("no base64", ADMINISTRATOR_PASSWORD, "Passw0rd!", "0x8007000d"),
    ("logon of nobody", "<Username>erika", "<Username>otto", "no account otto"),
    ("logon count", "<LogonCount>1", "<LogonCount>once", "not a number"),
    (
        "other logon password",
        PASSWORD + END_OF_AUTO_LOGON,
        "UABhAHMAcwB3AG8AcgBkAA==</Value><PlainText>false</PlainText></Password></AutoLogon>",
        "password of erika is wrong",
    ),
    ("EULA page", "<HideEULAPage>true", "<HideEULAPage>false", "OOBE license terms page"),
    ("privacy page", "<ProtectYourPC>3</ProtectYourPC>", "", "OOBE privacy page"),
    ("region page", 'International-Core"', 'International-Kernel"', "OOBE region page"),
)


@pytest.mark.parametrize(
    ("old", "new", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_refused_files(sample: str, old: str, new: str, message: str) -> None:
    assert old in sample, "the mutation must change something"
    with pytest.raises(SetupStopped, match=message) as stopped:
        play(sample.replace(old, new, 1).encode())
    assert "Passw0rd!" not in str(stopped.value)


NOTED: tuple[tuple[str, str, str, str], ...] = (
    (
        "unknown component",
        '<settings pass="oobeSystem">',
        '<settings pass="oobeSystem">' + COMPONENT.format("Nonsense", "<A>1</A>"),
        "unknown component",
    ),
    (
        "component in a wrong pass",
        '<settings pass="oobeSystem">',
        '<settings pass="oobeSystem">' + COMPONENT.format("Setup", "<LogPath>C:\\</LogPath>"),
        "no such pass",
    ),
    (
        "setting in an undocumented pass",
        "<OOBE>",
        "<ComputerName>STAND-01</ComputerName><OOBE>",
        "not documented for this pass",
    ),
    (
        "other architecture",
        '<settings pass="windowsPE">',
        '<settings pass="windowsPE">'
        + COMPONENT.format("Setup", "<LogPath>C:\\</LogPath>").replace("amd64", "x86"),
        "another architecture",
    ),
    (
        "other token",
        '<settings pass="windowsPE">',
        '<settings pass="windowsPE">'
        + COMPONENT.format("Setup", "<LogPath>C:\\</LogPath>").replace("31bf", "0000"),
        "publicKeyToken",
    ),
    ("missing action", '<Disk wcm:action="add">', "<Disk>", "without wcm:action"),
    ("no logon count", "<LogonCount>1</LogonCount>", "", "without LogonCount"),
    (
        "two first-logon commands",
        "</SynchronousCommand>",
        (
            '</SynchronousCommand><SynchronousCommand wcm:action="add"><Order>2</Order>'
            "<CommandLine>x</CommandLine></SynchronousCommand>"
        ),
        "2 FirstLogonCommands",
    ),
    (
        "skipped OOBE",
        "<HideEULAPage>true</HideEULAPage>",
        "<SkipMachineOOBE>true</SkipMachineOOBE><SkipUserOOBE>true</SkipUserOOBE>",
        "deprecated",
    ),
)


@pytest.mark.parametrize(
    ("old", "new", "message"), [row[1:] for row in NOTED], ids=[row[0] for row in NOTED]
)
def test_tolerated_files(sample: str, old: str, new: str, message: str) -> None:
    assert old in sample
    notes = play(sample.replace(old, new, 1).encode()).notes
    (note,) = notes
    assert message in note


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (KEY, ""),
        (KEY, "<Key>W269N-WFGWX-YVC9B-4J6C9-T83GX</Key>"),
        (
            "<Key>/IMAGE/INDEX</Key>\n              <Value>2",
            "<Key>/image/name</Key><Value>windows 11 pro",
        ),
        ("<PartitionID>1", "<PartitionId>1"),
        ("STAND-01", "*"),
        ("W. Europe Standard Time", "Pacific Standard Time_dstoff"),
        ("<HideEULAPage>", "<!-- why not --><HideEULAPage>"),
        ("</unattend>", '<x:Data xmlns:x="urn:x"/></unattend>'),
    ],
)
def test_other_good_files(sample: str, old: str, new: str) -> None:
    assert old in sample
    text = sample.replace(old, new, 1)
    if "PartitionId" in new:
        text = text.replace("<PartitionId>1</PartitionID>", "<PartitionId>1</PartitionId>", 1)
    run = play(text.encode())
    assert (run.index, run.partition) == (2, 3)


def test_edition_by_key_alone(sample: str) -> None:
    start, end = sample.index("<InstallFrom>"), sample.index("</InstallFrom>")
    text = sample[:start] + sample[end + len("</InstallFrom>") :]
    assert play(text.encode()).index == 2
    with pytest.raises(SetupStopped, match="select image page"):
        play(text.replace(KEY, "").encode())


def test_gpt_types_under_bios(sample: str) -> None:
    with pytest.raises(SetupStopped, match="started by BIOS"):
        play(sample.encode(), firmware="bios")


def test_no_disk(sample: str) -> None:
    with pytest.raises(SetupStopped, match="no disks found; a driver is missing"):
        play(sample.encode(), disks=())


def test_file_without_windows_pe(sample: str) -> None:
    """Such a file is skipped by the search; see test_search."""
    start, end = sample.index("<settings"), sample.index("</settings>")
    answer = read_answer_file((sample[:start] + sample[end + 11 :]).encode(), PATH)
    assert not answer.has_pass("windowsPE")
    assert answer.has_pass("specialize")
