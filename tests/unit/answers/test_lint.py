"""Bytes, encodings, bounds, positions and secrets; and the answer files of the wild."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections import Counter
from pathlib import Path

import pytest

from provisioner.answers.lint import LARGEST, MOST_FINDINGS, TARGETS, Purpose, lint, target
from provisioner.answers.settings import (
    SettingsTableError,
    component,
    component_names,
    read_table,
    table,
)
from provisioner.errors import Problem, Severity
from tests.unit.answers.answer_files import GOOD, IDENTITY, changed

WILD = Path(__file__).parents[4] / "shared/data/answers"


def rules(data: bytes, **purpose: str) -> list[str]:
    return [problem.rule for problem in found(data, **purpose)]


def found(data: bytes, *, windows: str | None = None) -> tuple[Problem, ...]:
    return lint(data, file="a.xml", purpose=Purpose(windows=target(windows) if windows else None))


# --- bytes ----------------------------------------------------------------------------------------

ENCODINGS = [
    ("a line before", b"\n" + GOOD.encode(), ["lint.before-declaration"], 1),
    ("spaces before", b"  " + GOOD.encode(), ["lint.before-declaration"], 1),
    ("a comment before", b"<!-- a -->" + GOOD.encode(), ["lint.before-declaration"], 1),
    ("rubbish before", b"\xef\xbb\xef\xbf" + GOOD.encode(), ["lint.before-declaration"], 1),
    ("a mark", b"\xef\xbb\xbf" + GOOD.encode(), ["lint.byte-order-mark"], 1),
    ("two marks", b"\xef\xbb\xbf" * 2 + GOOD.encode(),
     ["lint.byte-order-mark", "lint.before-declaration"], 1),
    ("UTF-16", GOOD.encode("utf-16"), ["lint.encoding"], 1),
    ("UTF-16 without a mark", GOOD.encode("utf-16-be"), ["lint.encoding"], 1),
    ("UTF-32", GOOD.encode("utf-32"), ["lint.encoding"], 1),
    ("declared UTF-16", GOOD.replace("utf-8", "utf-16", 1).encode(), ["lint.encoding"], 1),
    ("declared 1252", GOOD.replace("utf-8", "windows-1252", 1).encode(), ["lint.encoding"], 1),
    ("declared nonsense", GOOD.replace("utf-8", "klingon", 1).encode(), ["lint.encoding"], 1),
    ("declared latin 99", GOOD.replace("utf-8", "iso-8859-99", 1).encode(), ["lint.encoding"], 1),
    ("a byte of Latin 1", GOOD.replace("Somebody", "Zoë").encode("latin-1"), ["lint.encoding"], 87),
    ("raw umlaut", GOOD.replace("Somebody", "Zoë").encode(), ["lint.non-ascii"], 87),
    ("umlaut as reference", GOOD.replace("Somebody", "Zo&#235;").encode(), [], 0),
    ("umlaut in a comment", GOOD.replace("<OOBE>", "<!-- Zoë --><OOBE>").encode(), [], 0),
    ("no encoding", GOOD.replace(' encoding="utf-8"', "", 1).encode(), [], 0),
    ("no declaration", GOOD.partition("\n")[2].encode(), ["lint.declaration"], 1),
    ("CRLF", GOOD.replace("\n", "\r\n").encode(), [], 0),
    ("empty", b"", ["lint.not-xml"], 0),
    ("spaces", b" \n ", ["lint.not-xml"], 0),
    ("text", b"hello", ["lint.declaration", "lint.not-xml"], 1),
    ("cut off", GOOD.encode()[:2000], ["lint.not-xml"], 46),
    ("a zip", b"PK\x03\x04" + bytes(100), ["lint.declaration", "lint.not-xml"], 1),
    ("another file", b"<?xml version='1.0'?><project/>", ["lint.root"], 1),
    ("unknown prefix", changed((" xmlns:wcm=", " xmlns:other=")), ["lint.not-xml"], 15),
    ("ampersand", changed(("Somebody", "a&b")), ["lint.not-xml"], 87),
    ("entity", changed(("Somebody", "a&nbsp;b")), ["lint.not-xml"], 87),
    ("doctype", changed(("?>", "?><!DOCTYPE unattend SYSTEM 'a.dtd'>")), ["lint.doctype"], 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "expected", "line"), [case[1:] for case in ENCODINGS], ids=[c[0] for c in ENCODINGS]
)
def test_encodings(data: bytes, expected: list[str], line: int) -> None:
    problems = lint(data, file="a.xml")
    assert [problem.rule for problem in problems] == expected
    if problems:
        place = problems[-1].place
        assert place is not None and place.line == line


def test_other_findings_are_not_lost_behind_an_encoding() -> None:
    damaged = changed(("<HideEULAPage>true", "<HideEULAPage>yes")).decode()
    assert rules(damaged.encode("utf-16")) == ["lint.encoding", "lint.type"]
    assert rules(b"\n\n" + damaged.encode()) == ["lint.before-declaration", "lint.type"]
    first, second = found(b"\n\n" + damaged.encode())
    assert second.place is not None and second.place.line == 159
    assert second.place.source == "        <HideEULAPage>yes</HideEULAPage>"
    assert first.severity is Severity.ERROR


def test_a_position_is_the_values() -> None:
    (problem,) = found(changed(("W. Europe Standard Time", "Mars")))
    place = problem.place
    assert place is not None and place.source is not None
    assert place.source[place.column - 1 :][: place.length] == "Mars"
    (problem,) = found(changed(("<OOBE>", "<OOBES/><OOBE>")))
    place = problem.place
    assert place is not None and place.source is not None
    assert place.source[place.column - 1 :][: place.length] == "<OOBES"
    # A setting that there is not: its name, and not the value behind it.
    (problem,) = found(changed(("<OOBE>", "<OOBE><Unheard>1</Unheard>")))
    place = problem.place
    assert place is not None and place.source is not None
    assert place.source[place.column - 1 :][: place.length] == "<Unheard"


# --- bounds ---------------------------------------------------------------------------------------

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 if n else chr(0)};" * 10}">' for n in range(1, 10))
    + ']><unattend xmlns="urn:schemas-microsoft-com:unattend">&a9;</unattend>'
)
DECLARATION = '<?xml version="1.0" encoding="utf-8"?>'
OPEN = (
    DECLARATION + '<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="windowsPE">'
)
SETUP = f'<component name="Microsoft-Windows-Setup" {IDENTITY}>'
HOSTILE = {
    "entities": BOMB,
    "deep": OPEN + "<a>" * 100_000,
    "wide": OPEN + SETUP + "<a/>" * 60_000,
    "unknown settings": OPEN + SETUP + "".join(f"<Setting{n}/>" for n in range(35_000)),
    "unknown components": OPEN
    + "".join(f'<component name="Microsoft-Windows-X{n}" {IDENTITY}/>' for n in range(20_000))
    + "</settings></unattend>",
    "comments": "<!--" * 900_000,
    "comments with text": "ä" + "<!--" * 900_000,
    "long names": OPEN + SETUP + f"<{'a' * 1_000_000}/></component></settings></unattend>",
    "long values": OPEN + SETUP + f"<LogPath>{'x' * 3_000_000}</LogPath></component>",
    "attributes": "<unattend " + " ".join(f'a{n}="1"' for n in range(100_000)) + "/>",
    "quotes": OPEN + SETUP + f"<LogPath>{'&quot;' * 500_000}</LogPath></component>",
    "duplicates": OPEN + SETUP + "<LogPath>x</LogPath>" * 35_000 + "</component></settings>"
    "</unattend>",
    "list items": OPEN + SETUP + "<DiskConfiguration>" + "<Disk/>" * 35_000
    + "</DiskConfiguration></component></settings></unattend>",
    "lines": OPEN + SETUP + "\n" * 1_500_000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_soon_and_small(name: str) -> None:
    lint(b"<unattend/>", file="a.xml")  # reads the tables
    data = HOSTILE[name].encode()[:LARGEST]
    tracemalloc.start()
    began = time.process_time()
    problems = lint(data, file="a.xml")
    seconds = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problems
    assert len(problems) <= MOST_FINDINGS + 1
    assert seconds < 30, "tracing memory alone makes this several times slower"
    assert peak < 300 * 1024 * 1024


def test_what_is_too_large_is_not_read() -> None:
    assert rules(b"<" * (LARGEST + 1)) == ["lint.too-large"]


def test_many_findings_are_cut() -> None:
    problems = lint(HOSTILE["unknown components"].encode(), file="a.xml")
    assert len(problems) == MOST_FINDINGS + 1
    assert problems[-1].rule == "lint.too-many"


# --- what needs more than one change ------------------------------------------------------------

BLOCK = f'<component name="Microsoft-Windows-PnpCustomizationsWinPE" {IDENTITY}>'
CREDENTIALS = "<Credentials><Domain>a</Domain></Credentials>"
WHOLE = [
    (
        "lint.no-windowspe",
        OPEN.replace("windowsPE", "oobeSystem") + "</settings></unattend>",
    ),
    (
        "lint.driver-path",
        GOOD.replace("<Path>\\\\server\\drivers</Path>", CREDENTIALS),
    ),
    (
        "lint.architectures",
        GOOD.replace(
            "</settings>",
            f"{BLOCK.replace('amd64', 'arm64')}</component></settings>",
            1,
        ),
    ),
    (
        "lint.setup-language",
        GOOD.replace("<UILanguage>en-US</UILanguage>", "").replace(
            "<SetupUILanguage>\n        \n      </SetupUILanguage>", ""
        ),
    ),
]


@pytest.mark.parametrize(("rule", "text"), WHOLE)
def test_whole_files(rule: str, text: str) -> None:
    assert rules(text.encode()) == [rule]


# --- secrets --------------------------------------------------------------------------------------

SECRET = "Tr0ub4dor&amp;3"


@pytest.mark.parametrize(
    "changes",
    [
        (("<Username>dev", "<Username>nobody"),),
        (("<PlainText>false", "<PlainText>nonsense"),),
        (("<Order>1</Order>\n          <CommandLine>", "<Order>0</Order>\n <CommandLine>"),),
        (("</unattend>", "</unattended>"),),
        (("</AutoLogon>", "</Autologon>"),),
    ],
)
def test_no_finding_shows_a_secret(changes: tuple[tuple[str, str], ...]) -> None:
    """Neither in its message nor in the line it quotes, wherever the secret stands."""
    key = "BBBBB-CCCCC-DDDDD-FFFFF-GGGGG"
    data = changed(
        ("UABhAHMAcwB3ADAAcgBkACEAUABhAHMAcwB3AG8AcgBkAA==", SECRET),
        ("VK7JG-NPHTM-C97JM-9MPGT-3V66T", key),
        *changes,
    )
    for text in (data.decode(), data.decode().replace("\n", "")):
        problems = lint(text.encode(), file="a.xml")
        assert problems
        for problem in problems:
            assert problem.place is not None
            shown = f"{problem.message} {problem.hint} {problem.place.source}"
            assert SECRET not in shown and key not in shown


COMMAND = '<CommandLine>powershell.exe -NoProfile -Command "Get-Item C:\\ | Out-Null"'


@pytest.mark.parametrize(
    "command",
    [
        "net user dev hunter2 /add",
        "net user dev hunter2 /add &amp;&amp; tool.exe",
        "tool.exe /password:hunter2 &gt; log",
        'tool.exe --pass=hunter2 "open',
        "powershell -Command ConvertTo-SecureString hunter2 -AsPlainText -Force",
        "reg add HKLM\\X /v DefaultPassword /t REG_SZ /d hunter2 /f",
    ],
)
def test_no_finding_shows_a_password_of_a_command(command: str) -> None:
    problems = found(changed((COMMAND, f"<CommandLine>{command}")))
    assert "lint.secret-in-command" in {problem.rule for problem in problems}
    assert "hunter2" not in str(problems)


def test_a_value_on_a_line_of_its_own_is_not_shown_either() -> None:
    broken = changed(("UABhAHMAcwB3ADAAcgBkACEAUABhAHMAcwB3AG8AcgBkAA==", "\nhunter2&x\n"))
    assert "hunter2" not in str(lint(broken, file="a.xml"))


# --- versions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "build", "server"),
    [
        ("7", 7601, False),
        ("8.1", 9600, False),
        ("windows-10", 19045, False),
        ("11-24h2", 26100, False),
        ("windows-server-2022", 20348, True),
        ("server-2012-r2", 9600, True),
    ],
)
def test_targets(name: str, build: int, server: bool) -> None:
    windows = target(name)
    assert windows is not None
    assert (windows.build, windows.server) == (build, server)


def test_no_such_target() -> None:
    assert target("12") is None
    assert len({windows.name for windows in TARGETS.values()}) == len(TARGETS)


@pytest.mark.parametrize("windows", ["10", "11", "11-24H2", "11-25H2"])
def test_the_good_file_is_good_for_its_windows(windows: str) -> None:
    assert found(GOOD.encode(), windows=windows) == ()


# --- the wild -------------------------------------------------------------------------------------


def wild() -> list[Path]:
    return sorted(WILD.rglob("*.xml"))


def test_real_files_work_and_get_no_fatal_finding() -> None:
    """45 files of Packer templates, as their projects ship them."""
    if not WILD.exists():
        pytest.skip(f"{WILD} is not here")
    files = wild()
    assert len(files) == 45
    severities: Counter[str] = Counter()
    for path in files:
        problems = lint(path.read_bytes(), file=path.name)
        severities.update(problem.severity.value for problem in problems)
        assert not [p for p in problems if p.severity is Severity.ERROR], path.name
        assert sum(p.severity is Severity.WARNING for p in problems) <= 2, path.name
    assert severities["warning"] <= 16


def test_a_mutated_real_file_gets_one_more() -> None:
    if not WILD.exists():
        pytest.skip(f"{WILD} is not here")
    for path in wild():
        text = path.read_bytes().decode()
        before = Counter(problem.rule for problem in lint(text.encode(), file="a.xml"))
        mutated, count = re.subn(r"<OOBE>", "<OOBE><Unheard>1</Unheard>", text, count=1)
        assert count or path.name == "scripts_unattend.xml"
        after = Counter(problem.rule for problem in lint(mutated.encode(), file="a.xml"))
        assert after - before == ({"lint.unknown-setting": 1} if count else {})
        assert before - after == {}


_NAMES = {
    "_7_": "7", "_81_": "8.1", "_10_Auto": "10", "_11_": "11", "2008_r2": "server-2008-r2",
    "2012_r2": "server-2012-r2", "2016": "server-2016", "2019": "server-2019",
    "2022": "server-2022", "2025": "server-2025",
}  # fmt: skip


def test_real_files_are_fine_for_the_windows_they_are_for() -> None:
    if not WILD.exists():
        pytest.skip(f"{WILD} is not here")
    tried = 0
    for path in wild():
        name = next((name for part, name in _NAMES.items() if part in path.name), None)
        if name is None or "insider" in path.name:
            continue
        tried += 1
        problems = found(path.read_bytes(), windows=name)
        errors = [p for p in problems if p.severity is Severity.ERROR]
        assert {p.rule for p in errors} <= {"lint.empty-key"}, (path.name, name, errors)
    assert tried >= 30


# --- the table ------------------------------------------------------------------------------------


def test_the_table_is_whole() -> None:
    assert len(table()) >= 1114
    assert len(component_names()) == 82
    for name in component_names():
        known = component(name)
        assert known is not None
        for path, setting in known.settings.items():
            assert path == setting.path.lower()
            parent = path.rpartition("/")[0]
            if parent:
                assert known.settings[parent].type == "container", path


@pytest.mark.parametrize(
    "text",
    [
        "a\tb\n\t\t",
        "h\nMicrosoft-Windows-Setup\tX\twindowsPE\tpainting\t\t\t\t\t\t\n",
        "h\nMicrosoft-Windows-Setup\tX\twindowsPE\tstring\t\tmany\t\t\t\t\n",
        "h\nMicrosoft-Windows-Setup\n",
    ],
)
def test_a_damaged_table_is_told(text: str) -> None:
    with pytest.raises(SettingsTableError):
        read_table(text)


SECOND_DISK = """        <Disk wcm:action="add">
          <DiskID>1</DiskID>
          <WillWipeDisk>true</WillWipeDisk>
          <CreatePartitions>
            <CreatePartition wcm:action="add">
              <Order>1</Order>
              <Type>Primary</Type>
              <Extend>true</Extend>
            </CreatePartition>
          </CreatePartitions>
        </Disk>
      </DiskConfiguration>"""


def test_the_firmware_does_not_start_from_a_disk_of_data() -> None:
    """Where InstallTo names the disk, only that one needs an EFI partition."""
    data = changed(("      </DiskConfiguration>", SECOND_DISK))
    purpose = Purpose(windows=target("11-24H2"), firmware="uefi")
    assert "<DiskID>1</DiskID>" in data.decode()
    assert lint(data, file="a.xml", purpose=purpose) == ()
    old = b"<DiskID>0</DiskID>\n            <PartitionID>3<"
    to_data = data.replace(old, b"<DiskID>1</DiskID>\n            <PartitionID>1<")
    assert to_data != data
    assert "lint.firmware" in {p.rule for p in lint(to_data, file="a.xml", purpose=purpose)}
