"""One thing wrong in a good answer file is one finding, in its line, with its rule."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from provisioner.answers.lint import Purpose, lint, target
from provisioner.errors import Problem, Severity
from tests.unit.answers.answer_files import GOOD, IDENTITY, changed

ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


class Mutation(NamedTuple):
    """`at` stands in the line that the finding points to, after the change."""

    name: str
    changes: tuple[tuple[str, str], ...]
    rule: str
    severity: Severity
    at: str
    windows: str | None = None
    firmware: str | None = None


def one(
    name: str,
    old: str,
    new: str,
    rule: str,
    *,
    severity: Severity = ERROR,
    at: str | None = None,
    windows: str | None = None,
    firmware: str | None = None,
) -> Mutation:
    """A mutation by one replacement; `at` is by default the first line of what is new."""
    marker = at if at is not None else new.strip().splitlines()[0].strip()
    return Mutation(name, ((old, new),), rule, severity, marker, windows, firmware)


OOBE = "<HideEULAPage>true</HideEULAPage>"
FIRST = "<Order>1</Order>\n          <CommandLine>"
COMMAND = '<CommandLine>powershell.exe -NoProfile -Command "Get-Item C:\\ | Out-Null"</CommandLine>'
PE_PATH = "<Path>reg.exe add HKLM\\SYSTEM\\Setup\\LabConfig /v BypassTPMCheck /t REG_DWORD /d 1 /f"
SPECIALIZE_PATH = '<Path>cmd.exe /c "echo one &amp;&amp; echo two"</Path>'
USER_VALUE = "UABhAHMAcwB3ADAAcgBkACEAUABhAHMAcwB3AG8AcgBkAA==</Value>\n              "
SHELL = f'<component name="Microsoft-Windows-Shell-Setup" {IDENTITY} versionScope="nonSxS">'
AUDIT = f'<settings pass="auditSystem"><component name="Microsoft-Windows-Setup" {IDENTITY}>'

MUTATIONS = [
    # skeleton
    one("root", "<unattend xmlns=", "<unattended xmlns=", "lint.not-xml", at="</unattend>"),
    one("namespace", "urn:schemas-microsoft-com:unattend", "urn:other", "lint.root"),
    one("pass", 'pass="specialize"', 'pass="Specialize"', "lint.pass"),
    one("no pass", ' pass="specialize"', "", "lint.pass", at="<settings>"),
    one(
        "pass twice",
        "</settings>\n</unattend>",
        '</settings>\n<settings pass="oobeSystem"/>\n</unattend>',
        "lint.pass-twice",
        severity=WARNING,
        at='<settings pass="oobeSystem"/>',
    ),
    one(
        "foreign element",
        "<settings pass=",
        "<oddity/>\n<settings pass=",
        "lint.skeleton",
        severity=WARNING,
    ),
    one(
        "settings in settings",
        '<settings pass="specialize">',
        '<settings pass="specialize">\n<settings/>',
        "lint.skeleton",
        at="<settings/>",
    ),
    one("architecture", 'Architecture="amd64"', 'Architecture="x64"', "lint.component-identity"),
    one("token", "31bf3856ad364e35", "31bf3856ad364e36", "lint.component-identity"),
    one("no language", ' language="neutral"', "", "lint.component-identity", at="Core-WinPE"),
    one(
        "language of a component",
        'language="neutral"',
        'language="en-US"',
        "lint.component-identity",
        severity=WARNING,
    ),
    one("scope", '"nonSxS"', '"sxs"', "lint.component-identity"),
    one(
        "component twice",
        '<settings pass="oobeSystem">',
        f'<settings pass="oobeSystem">\n{SHELL}<OOBE><ProtectYourPC>3</ProtectYourPC></OOBE>'
        "</component>",
        "lint.component-twice",
        at='name="Microsoft-Windows-Shell-Setup"',

    ),
    one(
        "unknown component",
        "Networking-MPSSVC-Svc",
        "Networking-MPSSVC-Svcs",
        "lint.unknown-component",
        severity=WARNING,
    ),
    one(
        "foreign component",
        "Networking-MPSSVC-Svc",
        "Contoso-Agent",
        "lint.unknown-component",
        severity=NOTE,
    ),
    one(
        "cached copy",
        'pass="specialize"',
        'pass="specialize" wasPassProcessed="true"',
        "lint.cached-copy",
        severity=WARNING,
    ),
    # settings
    one("unknown setting", OOBE, "<HideEulaPages>true</HideEulaPages>", "lint.unknown-setting"),
    one("unknown below", OOBE, "<X><Y><Z>1</Z></Y></X>", "lint.unknown-setting"),
    one("elements in a value", OOBE, "<HideEULAPage><A/></HideEULAPage>", "lint.unknown-setting"),
    one("bool", OOBE, "<HideEULAPage>yes</HideEULAPage>", "lint.type"),
    one("bool in capitals", OOBE, "<HideEULAPage>True</HideEULAPage>", "lint.type"),
    one("number", "<DiskID>0</DiskID>\n          <Will", "<DiskID>zero</DiskID>\n          <Will",
        "lint.type"),
    one("text in a container", "<DriverPaths>\n", "<DriverPaths>E:\\\n", "lint.stray-text",
        severity=WARNING),
    one("choice", "<WillShowUI>OnError</WillShowUI>", "<WillShowUI>Sometimes</WillShowUI>",
        "lint.choice"),
    one("length", "<FullName>Somebody", f"<FullName>{'x' * 64}", "lint.length"),
    one("range", FIRST, "<Order>501</Order>\n          <CommandLine>", "lint.range"),
    one("order zero", FIRST, "<Order>0</Order>\n          <CommandLine>", "lint.range"),
    one("empty", "<FullName>Somebody</FullName>", "<FullName></FullName>", "lint.empty"),
    one("empty bool", OOBE, "<HideEULAPage/>", "lint.empty"),
    one("empty container", "<OOBE>", "<Themes/>\n<OOBE>", "lint.empty", severity=WARNING),
    one("duplicate", OOBE, f"{OOBE}\n{OOBE}", "lint.duplicate-setting"),
    one("spelling", "<PartitionID>2</PartitionID>", "<PartitionId>2</PartitionId>",
        "lint.spelling", severity=NOTE),
    Mutation(
        "setting in another pass",
        (("<OOBE>", "<CopyProfile>true</CopyProfile>\n<OOBE>"),),
        "lint.undocumented-pass", WARNING, "<CopyProfile>"),
    one("line break", COMMAND, "<CommandLine>cmd /c\n dir</CommandLine>", "lint.whitespace",
        severity=WARNING),
    # lists
    one("key twice", "<Order>2</Order>\n              <Type>",
        "<Order>1</Order>\n              <Type>", "lint.list-key"),
    one("no key", "<Order>1</Order>\n          <CommandLine>", "<CommandLine>", "lint.list-key",
        at="<SynchronousCommand"),
    one("no keyValue", ' wcm:keyValue="RemoteDesktop"', "", "lint.list-key", at="<FirewallGroup "),
    one("action", '<LocalAccount wcm:action="add">', '<LocalAccount wcm:action="append">',
        "lint.list-action"),
    one("no action", '<LocalAccount wcm:action="add">', "<LocalAccount>", "lint.list-action",
        severity=NOTE),
    one("plain action", '<LocalAccount wcm:action="add">', '<LocalAccount action="add">',
        "lint.list-action", severity=NOTE),
    # disks
    one("size and extend", "<Extend>true</Extend>", "<Extend>true</Extend><Size>9</Size>",
        "lint.partition-size"),
    one("neither", "<Extend>true</Extend>", "<Extend>false</Extend>", "lint.partition-size",
        at='<CreatePartition wcm:action="add">'),
    one("extend first", "<Size>260</Size>", "<Extend>true</Extend>", "lint.partition-extend",
        severity=WARNING, at="<CreatePartition wcm"),
    one("target", "<PartitionID>3</PartitionID>\n          </InstallTo>",
        "<PartitionID>4</PartitionID>\n          </InstallTo>", "lint.partition-target"),
    one("onto the MSR", "<PartitionID>3</PartitionID>\n          </InstallTo>",
        "<PartitionID>2</PartitionID>\n          </InstallTo>", "lint.partition-target"),
    one("other disk", "<InstallTo>\n            <DiskID>0", "<InstallTo>\n            <DiskID>1",
        "lint.partition-target", severity=WARNING, at="<DiskID>1"),
    one("available too", "<InstallTo>", "<InstallToAvailablePartition>true"
        "</InstallToAvailablePartition>\n<InstallTo>", "lint.partition-target"),
    one("modified but not there", "<PartitionID>2</PartitionID>", "<PartitionID>7</PartitionID>",
        "lint.partition-target"),
    one("not NTFS", "<Format>NTFS</Format>", "<Format>FAT32</Format>", "lint.partition-format",
        at="<PartitionID>3</PartitionID>\n          </InstallTo>".splitlines()[0]),
    one("EFI on NTFS", "<Format>FAT32</Format>", "<Format>NTFS</Format>", "lint.partition-format"),
    one("letter", "<Letter>C</Letter>", "<Letter>c:</Letter>", "lint.partition-letter"),
    one("type id", "<TypeID>EBD0A0A2", "<TypeID>EBD0A0A", "lint.partition-type-id"),
    one("MBR type on GPT", "<TypeID>EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", "<TypeID>0x07",
        "lint.partition-type-id", severity=WARNING),
    one("EFI under BIOS", "<Type>EFI</Type>", "<Type>EFI</Type>", "lint.firmware", firmware="bios"),
    one("index", "<Value>6</Value>", "<Value>six</Value>", "lint.image-selection",
        severity=WARNING),
    one("no value", "<Value>6</Value>", "", "lint.image-selection", at="<MetaData"),
    # names, keys, zones, languages
    one("computer name", "DEV11", "DEV 11", "lint.computer-name"),
    one("computer name of digits", "DEV11", "12345", "lint.computer-name"),
    one("computer name is an account", "DEV11", "Dev", "lint.computer-name"),
    one("long computer name", "DEV11", "DEVELOPMENT-PC-11", "lint.length"),
    one("zone", "W. Europe Standard Time", "Europe/Berlin", "lint.time-zone"),
    one("zone in other capitals", "W. Europe Standard Time", "W. Europe standard time",
        "lint.time-zone"),
    one("newer zone", "W. Europe Standard Time", "Yukon Standard Time", "lint.time-zone",
        severity=WARNING, windows="10"),
    one("language", "<UserLocale>de-DE", "<UserLocale>German", "lint.language"),
    one("keyboard", "0407:00000407;", "0407:407;", "lint.language"),
    one("product key", "VK7JG-NPHTM", "VK7JG", "lint.product-key"),
    one("key of another Windows", "VK7JG-NPHTM-C97JM-9MPGT-3V66T",
        "TVRH6-WHNXV-R9WG3-9XRFY-MY832", "lint.product-key", windows="11-24H2"),
    one("empty key", "VK7JG-NPHTM-C97JM-9MPGT-3V66T", "", "lint.empty-key", severity=WARNING,
        at="<Key>"),
    one("empty key on 24H2", "VK7JG-NPHTM-C97JM-9MPGT-3V66T", "", "lint.empty-key", at="<Key>",
        windows="11-24H2"),
    one("licence", "<AcceptEula>true", "<AcceptEula>false", "lint.eula", severity=WARNING),
    one("no licence", "<AcceptEula>true</AcceptEula>", "", "lint.eula", severity=WARNING,
        at="<UserData>"),
    one("privacy page", "<ProtectYourPC>3</ProtectYourPC>", "", "lint.protect-your-pc",
        severity=NOTE, at="<OOBE>"),
    one("deprecated", OOBE, "<SkipMachineOOBE>true</SkipMachineOOBE>", "lint.deprecated",
        severity=NOTE),
    one("configuration set", "<DiskConfiguration>",
        "<UseConfigurationSet>true</UseConfigurationSet>\n<DiskConfiguration>",
        "lint.configuration-set", severity=NOTE),
    Mutation(
        "order of elements",
        (("<Identifier>52-54-00-12-34-56</Identifier>", ""),
         ("</UnicastIpAddresses>", "</UnicastIpAddresses><Identifier>x</Identifier>")),
        "lint.order", WARNING, "<Interface wcm"),
    # accounts
    one("password without its suffix", USER_VALUE, "UABhAHMAcwB3ADAAcgBkACEA</Value>\n",
        "lint.password-encoding"),
    one("no base64", USER_VALUE, "Passw0rd!</Value>\n", "lint.password-encoding"),
    one("half of UTF-16", USER_VALUE, "UABh</Value>\n", "lint.password-encoding"),
    one("password in clear", USER_VALUE + "<PlainText>false", "Passw0rd!</Value>\n<PlainText>true",
        "lint.plain-password", severity=NOTE),
    one("deleted password", USER_VALUE, "*SENSITIVE*DATA*DELETED*</Value>\n", "lint.cached-copy",
        severity=WARNING),
    one("autologon", "<Username>dev", "<Username>nobody", "lint.autologon", severity=WARNING),
    Mutation(
        "user name", (("<Name>dev", "<Name>a:b"), ("<Username>dev", "<Username>a:b")),
        "lint.account", ERROR, "<Name>a:b"),
    one("domain and workgroup", "<JoinWorkgroup>", "<JoinDomain>a</JoinDomain>\n<JoinWorkgroup>",
        "lint.join", at="<JoinWorkgroup>"),
    one("domain without credentials", "<JoinWorkgroup>WORKGROUP</JoinWorkgroup>",
        "<JoinDomain>corp.example</JoinDomain>", "lint.join", severity=WARNING),
    # commands
    one("no shell", SPECIALIZE_PATH, "<Path>echo one &amp;&amp; echo two</Path>", "lint.command",
        severity=WARNING),
    one("a script is no program", COMMAND, "<CommandLine>C:\\a.ps1 -X</CommandLine>",
        "lint.command", severity=WARNING),
    one("an msi is no program", COMMAND, "<CommandLine>C:\\a.msi</CommandLine>", "lint.command",
        severity=WARNING),
    one("open quote", COMMAND, '<CommandLine>tool.exe "a b</CommandLine>', "lint.command",
        severity=WARNING),
    one("long path", SPECIALIZE_PATH, f"<Path>cmd.exe /c {'x' * 260}</Path>", "lint.length"),
    one("long path in windowsPE", PE_PATH, f"<Path>cmd.exe /c {'x' * 260}", "lint.command-length",
        severity=WARNING),
    one("long command line", COMMAND, f"<CommandLine>cmd {'x' * 1025}</CommandLine>",
        "lint.length"),
    one("restart", PE_PATH, "<Path>wpeutil reboot", "lint.command-reboots", severity=WARNING),
    one("lab config", "BypassTPMCheck", "BypassCPUCheck", "lint.lab-config", severity=NOTE),
    one("secret", COMMAND, "<CommandLine>net user dev Passw0rd /add</CommandLine>",
        "lint.secret-in-command", severity=NOTE),
    one("winget", COMMAND, "<CommandLine>winget install Git.Git</CommandLine>",
        "lint.command-winget", severity=NOTE),
    one("guest tools", COMMAND, "<CommandLine>E:\\virtio-win-guest-tools.exe /S</CommandLine>",
        "lint.command-guest-tools", severity=WARNING, windows="11-24H2"),
    one("two commands", "<FirstLogonCommands>", '<FirstLogonCommands>\n<SynchronousCommand '
        'wcm:action="add"><Order>2</Order><CommandLine>a.exe</CommandLine></SynchronousCommand>',
        "lint.first-logon-commands", severity=NOTE,
        at='<SynchronousCommand wcm:action="add">'),
    one("driver letter", "<Path>\\\\server\\drivers", "<Path>E:\\viostor", "lint.driver-letter",
        severity=NOTE),
    # versions
    one("page of Windows 8", "VK7JG-NPHTM-C97JM-9MPGT-3V66T", "FJ82H-XT6CR-J8D7P-XQJJ2-GPDD4",
        "lint.version", at="<HideOnlineAccountScreens>", windows="7"),
    Mutation(
        "weak password",
        (("UABhAHMAcwB3ADAAcgBkACEAQQBkAG0AaQBuAGkAcwB0AHIAYQB0AG8AcgBQAGEAcwBzAHcAbwByAGQA",
          "dgBhAGcAcgBhAG4AdABBAGQAbQBpAG4AaQBzAHQAcgBhAHQAbwByAFAAYQBzAHMAdwBvAHIAZAA="),
         ("VK7JG-NPHTM-C97JM-9MPGT-3V66T", "TVRH6-WHNXV-R9WG3-9XRFY-MY832")),
        "lint.weak-password", WARNING, "dgBhAGcA", "server-2025"),
]  # fmt: skip


def problems_of(mutation: Mutation) -> tuple[Problem, ...]:
    windows = target(mutation.windows) if mutation.windows else None
    purpose = Purpose(windows=windows, firmware=mutation.firmware)  # type: ignore[arg-type]
    return lint(changed(*mutation.changes), file="a.xml", purpose=purpose)


def test_the_good_file_is_good() -> None:
    assert lint(GOOD.encode(), file="a.xml") == ()


def test_there_are_enough() -> None:
    assert len(MUTATIONS) >= 90
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_one_mutation_is_one_finding(mutation: Mutation) -> None:
    found = problems_of(mutation)
    assert [(problem.rule, problem.severity) for problem in found] == [
        (mutation.rule, mutation.severity)
    ], [problem.message for problem in found]
    (problem,) = found
    assert problem.place is not None
    line = changed(*mutation.changes).decode().splitlines()[problem.place.line - 1]
    assert mutation.at in line
    assert 1 <= problem.place.column <= len(line)
    assert problem.hint, "every finding says what to do"
