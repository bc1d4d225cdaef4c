"""The answer disc of every case equals its golden files, and holds what Setup insists on."""

from __future__ import annotations

import base64
import re
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from lxml import etree
from pydantic import BaseModel

from provisioner.answers.disc import AnswerDisc, compose
from provisioner.answers.settings import component as reference
from provisioner.answers.settings import table
from provisioner.profile.disks import WindowsDisk
from provisioner.profile.model import Profile
from provisioner.profile.steps import Condition
from provisioner.quoting import ENCODINGS
from provisioner.resources import Resources, shipped_folder
from provisioner.secret import SecretSlot
from provisioner.templating import Templates
from provisioner.tree import Bytes, File, HostFile, Slice, Text
from tests.golden.cases import METACHARACTERS, Case, cases
from tests.unit.answers.answer_files import GOOD

GOLDEN = Path(__file__).with_name("answers")
UNATTEND = "{urn:schemas-microsoft-com:unattend}"
WCM = "{http://schemas.microsoft.com/WMIConfig/2002/State}"
TEMPLATES = Templates(Resources(shipped=shipped_folder()).template_folders())
CASES = {case.name: case for case in cases()}

RENDERED = [name for name, case in CASES.items() if case.profile.windows.answer_file is None]
every_case = pytest.mark.parametrize("name", RENDERED)


@cache
def disc_of(name: str) -> AnswerDisc:
    case = CASES[name]
    return compose(
        case.profile,
        case.install,
        case.edition,
        case.drivers,
        templates=TEMPLATES,
        supplied=case.supplied,
    )


def redacted(text: Text) -> str:
    return "".join(p.masked() if isinstance(p, SecretSlot) else p for p in text.parts)


def filled(text: Text, secret: str) -> bytes:
    """What a writer makes of it when every secret has this value."""
    pieces = (ENCODINGS[p.encoding](secret) if isinstance(p, SecretSlot) else p for p in text.parts)
    return "".join(pieces).replace("\n", text.newline).encode(text.encoding)


def answer_file(name: str) -> Text:
    (content,) = _file(disc_of(name), "Autounattend.xml").content
    assert isinstance(content, Text)
    return content


def answer_xml(name: str, secret: str = "s3cret!") -> Any:
    return etree.fromstring(filled(answer_file(name), secret))


def _file(disc: AnswerDisc, path: str) -> File:
    return {str(p): file for p, file in disc.tree.files()}[path]


def _listing(disc: AnswerDisc) -> str:
    """Every file with what it consists of, every slot with its encoding, every decision."""
    lines = [f"label {disc.label}"]
    if disc.own is not None:
        lines += [f"{label}: {text}" for label, text in disc.facts()]
    if disc.product_key is not None and disc.network is not None:
        layout = disc.layout.describe() if disc.layout is not None else "chosen in Setup"
        lines.append(f"layout {layout}")
        lines += [f"disk {data.disk}: {data.describe()}" for data in disc.data_disks]
        lines += [f"{label} {text}" for label, text in disc.network.describe()]
        lines.append(f"product key {disc.product_key.source}: {disc.product_key.reason}")
        lines.append(f"autologon {disc.autologon_note}")
    lines.append(f"users {', '.join(disc.users)}")
    lines.append(f"ready {disc.ready_when}{disc.drivers_summary}")
    lines += [f"{p.severity} {p.rule}: {p.message}" for p in disc.problems]
    for path, file in disc.tree.files():
        for part in file.content:
            match part:
                case Text(encoding=encoding):
                    lines.append(f"{path} text {encoding}")
                    slots = (piece for piece in part.parts if isinstance(piece, SecretSlot))
                    lines += [f"  slot {slot.name} {slot.encoding}" for slot in slots]
                case Bytes(data=data):
                    lines.append(f"{path} {data!r}")
                case HostFile(path=source, size=size):
                    lines.append(f"{path} {size} bytes of {source.name}")
                case Slice(image=image, offset=offset, length=length):
                    lines.append(f"{path} {length} bytes at {offset} of {image.name}")
    return "\n".join(lines) + "\n"


def _golden_files(disc: AnswerDisc) -> dict[str, str]:
    files = {"disc.txt": _listing(disc)}
    for path, file in disc.tree.files():
        for part in file.content:
            if isinstance(part, Text):
                files[str(path)] = redacted(part)
    return files


@pytest.mark.parametrize("name", CASES)
def test_equals_its_golden_files(name: str, request: pytest.FixtureRequest) -> None:
    folder = GOLDEN / name
    files = _golden_files(disc_of(name))
    there = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    if request.config.getoption("golden", default=False):
        for stale in there - files.keys():
            (folder / stale).unlink()
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8", newline="")
        return
    assert there == files.keys(), "run `pytest tests/golden --golden` and read the difference"
    for path, text in files.items():
        assert (folder / path).read_bytes().decode() == text, path


def test_there_is_no_golden_folder_without_a_case() -> None:
    assert {folder.name for folder in GOLDEN.iterdir()} == CASES.keys()


@every_case
def test_is_written_as_setup_reads_it(name: str) -> None:
    """windows-setup.md §6.7: ASCII, CRLF, utf-8 declared, no byte-order mark."""
    data = filled(answer_file(name), METACHARACTERS)
    assert data.startswith(b'<?xml version="1.0" encoding="utf-8"?>\r\n<unattend ')
    assert data.isascii()
    assert data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r")
    ElementTree.fromstring(data)
    etree.fromstring(data)


def test_an_answer_file_of_ones_own_is_packed_as_it_is() -> None:
    """With the drivers Setup needs, and with nothing that would run in Windows."""
    disc = disc_of("own-answer-file")
    (content,) = _file(disc, "Autounattend.xml").content
    assert content == HostFile(path=Path("/files/mine.xml"), size=len(GOOD.encode()))
    paths = {str(path) for path, _ in disc.tree.files()}
    assert "$WinPEDriver$/viostor/viostor.inf" in paths
    assert "provision/first-logon.ps1" not in paths
    assert (disc.ready_when, disc.users) == ("power-off", ("dev",))
    assert GOOD not in repr(disc)


@every_case
def test_skeleton(name: str) -> None:
    """One block per pass with windowsPE first; one component per pass, name and architecture."""
    root = answer_xml(name)
    assert root.tag == f"{UNATTEND}unattend"
    passes = [settings.get("pass") for settings in root]
    blob = CASES[name].profile.windows.join
    offline = blob.blob is not None and blob.blob_pass == "offlineServicing"
    expected = ["windowsPE", *(["offlineServicing"] if offline else []), "specialize", "oobeSystem"]
    assert passes == expected
    for settings in root:
        names = [(c.get("name"), c.get("processorArchitecture")) for c in settings]
        assert len(names) == len(set(names))
        for component in settings:
            assert component.tag == f"{UNATTEND}component"
            assert component.get("publicKeyToken") == "31bf3856ad364e35"
            assert component.get("language") == "neutral"
            assert component.get("versionScope") == "nonSxS"
            assert component.get("processorArchitecture") == CASES[name].edition.architecture


def _leaves(element: Any, path: str = "") -> list[tuple[str, str]]:
    path = f"{path}/{etree.QName(element).localname}" if path else etree.QName(element).localname
    if len(element):
        return [leaf for child in element for leaf in _leaves(child, path)]
    return [(path, element.text or "")]


@every_case
def test_every_setting_is_known_and_fits(name: str) -> None:
    """Against Microsoft's reference: known in this pass, not too long, of its type, not empty."""
    settings = table()
    for configuration_pass in answer_xml(name):
        for component in configuration_pass:
            leaves = [leaf for child in component for leaf in _leaves(child)]
            known = reference(component.get("name").lower())
            assert known is not None
            for path, value in leaves:
                setting = settings[component.get("name").lower(), path]
                assert configuration_pass.get("pass") in setting.passes, path
                assert value, f"{path} is empty"
                assert setting.maximum_length is None or len(value) <= setting.maximum_length
                match setting.type:
                    case "bool":
                        assert value in ("true", "false"), path
                    case "int":
                        assert value.isdecimal(), path
                    case "enum" if path != "ImageInstall/OSImage/InstallFrom/MetaData/Key":
                        assert value in setting.choices, path
                    case "container" if path.lower() not in known.text_items:
                        pytest.fail(f"{path} holds text")


@every_case
def test_lists_have_unique_keys(name: str) -> None:
    for parent in answer_xml(name).iter():
        items = [child for child in parent if child.get(f"{WCM}action") == "add"]
        orders = [item.findtext(f"{UNATTEND}Order") for item in items]
        if any(orders):
            assert orders == [str(number) for number in range(1, len(orders) + 1)]
        for key in ("Name", "DiskID", "Key"):
            keys = [item.findtext(f"{UNATTEND}{key}") for item in items]
            assert len(set(keys)) == len(keys) or not any(keys)


@every_case
def test_exactly_one_first_logon_command(name: str) -> None:
    (command,) = answer_xml(name).iter(f"{UNATTEND}SynchronousCommand")
    line = command.findtext(f"{UNATTEND}CommandLine")
    assert len(line) <= 259
    assert "%" not in line, "Setup expands environment variables"
    assert not re.search(r"\b[A-Za-z]:", line), "no drive letters"
    marker = disc_of(name).marker
    assert marker.replace("/", "\\") in line
    assert _file(disc_of(name), marker)


@every_case
def test_disk_layout(name: str) -> None:
    """On each disk Size xor Extend, Extend last; Windows goes on a formatted partition."""
    root = answer_xml(name)
    profile = CASES[name].profile
    if profile.metal is not None and not isinstance(profile.metal.disk, WindowsDisk):
        for tag in ("DiskConfiguration", "InstallTo", "InstallToAvailablePartition"):
            assert not list(root.iter(f"{UNATTEND}{tag}")), "Setup has to ask"
        assert disc_of(name).layout is None
        return
    if profile.windows.install_by == "apply":
        for tag in ("DiskConfiguration", "ImageInstall"):
            assert not list(root.iter(f"{UNATTEND}{tag}")), "Setup does nothing itself"
        return
    target_disk = root.findtext(f".//{UNATTEND}InstallTo/{UNATTEND}DiskID")
    target = int(root.findtext(f".//{UNATTEND}InstallTo/{UNATTEND}PartitionID"))
    disks = {disk.findtext(f"{UNATTEND}DiskID"): disk for disk in root.iter(f"{UNATTEND}Disk")}
    kept = profile.metal is not None and profile.metal.disk.policy == "keep"
    if kept:
        assert [disk.findtext(f"{UNATTEND}WillWipeDisk") for disk in disks.values()] == (
            ["false"] if profile.metal.disk.format else []
        )
        assert not list(root.iter(f"{UNATTEND}CreatePartition"))
        return
    assert target_disk in disks
    for number, disk in disks.items():
        assert disk.findtext(f"{UNATTEND}WillWipeDisk") == "true"
        created = list(disk.iter(f"{UNATTEND}CreatePartition"))
        modified = list(disk.iter(f"{UNATTEND}ModifyPartition"))
        extends = [p.find(f"{UNATTEND}Extend") is not None for p in created]
        assert extends == [p.find(f"{UNATTEND}Size") is None for p in created]
        assert not any(extends[:-1])
        types = [p.findtext(f"{UNATTEND}Type") for p in created]
        assert len(created) == len(modified)
        if number != target_disk:
            assert "EFI" not in types
            continue
        assert modified[target - 1].findtext(f"{UNATTEND}Format") == "NTFS"
        assert modified[target - 1].findtext(f"{UNATTEND}Letter") == "C"
        assert types[target - 1] == "Primary"
        bios = profile.firmware == "bios"
        assert set(types) == ({"Primary"} if bios else {"EFI", "MSR", "Primary"})
        active = [p.findtext(f"{UNATTEND}Active") for p in modified]
        assert active.count("true") == (1 if bios else 0)
    letters = [letter.text for letter in root.iter(f"{UNATTEND}Letter")]
    assert len(letters) == len(set(letters))


METAL = [name for name, case in CASES.items() if case.profile.metal is not None]


@pytest.mark.parametrize("name", METAL)
def test_a_physical_pc_is_not_waited_for(name: str) -> None:
    """Nothing is erased, run in Setup, or told to anybody; the log stays in Windows."""
    disc = disc_of(name)
    assert (disc.ready_when, disc.drivers) == (None, None)
    applies = CASES[name].profile.windows.install_by == "apply"
    assert len(list(answer_xml(name).iter(f"{UNATTEND}RunSynchronousCommand"))) == int(applies)
    (script,) = _file(disc, "provision/first-logon.ps1").content
    assert isinstance(script, Text)
    text = redacted(script)
    for absent in ("COM1", "SerialPort", "PROVISIONER/1", "Crc32", "msiexec", "'ready'"):
        assert absent not in text, absent
    assert "first-logon.log" in text
    assert "Panther" in text, "nothing of the answers stays in Windows"


@pytest.mark.parametrize("secret", ["s3cret!", METACHARACTERS, "a", "‘’"])
@every_case
def test_passwords_decode(name: str, secret: str) -> None:
    """base64(UTF-16LE(password + element name)), §5.2."""
    root = answer_xml(name, secret)
    found = list(root.iter(f"{UNATTEND}PlainText"))
    assert len(found) >= 2
    for plain_text in found:
        assert plain_text.text == "false"
        holder = plain_text.getparent()
        value = base64.b64decode(holder.findtext(f"{UNATTEND}Value")).decode("utf-16-le")
        assert value == secret + etree.QName(holder).localname


@every_case
def test_nothing_holds_a_literal_secret(name: str) -> None:
    disc = disc_of(name)
    assert METACHARACTERS not in repr(disc)
    for text in _golden_files(disc).values():
        assert METACHARACTERS not in text


def _fields(model: BaseModel, path: str = "") -> dict[str, list[tuple[Any, Any]]]:
    """Every field path to (value, default); items of lists share one path, conditions too."""
    found: dict[str, list[tuple[Any, Any]]] = {}
    for name, field in type(model).model_fields.items():
        value, where = getattr(model, name), f"{path}.{name}" if path else name
        found.setdefault(where, []).append((value, field.get_default(call_default_factory=True)))
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, BaseModel):
                label = f"{where}<{type(item).__name__}>" if isinstance(value, tuple) else where
                label = "<Condition>" if isinstance(item, Condition) else label
                for below, pairs in _fields(item, label).items():
                    found.setdefault(below, []).extend(pairs)
    return found


ONE_VALUE_ONLY = {"kind", "windows.steps<WingetStep>.run_as"}
"""Fields whose type has a single value."""


def test_every_field_is_set_by_some_case() -> None:
    seen: dict[str, list[tuple[Any, Any]]] = {}
    for case in CASES.values():
        for path, pairs in _fields(case.profile).items():
            seen.setdefault(path, []).extend(pairs)
    assert "windows.steps<CommandStep>.timeout" in seen
    same = {path for path, pairs in seen.items() if all(v == d for v, d in pairs)}
    assert same == ONE_VALUE_ONLY


def test_every_model_of_a_profile_occurs() -> None:
    """Otherwise the test above would not see the fields of a model that no case uses."""
    used: set[type[BaseModel]] = set()
    for case in CASES.values():
        _models(case.profile, used)
    known = {
        model
        for module in (
            "disks",
            "machine",
            "media_query",
            "metal",
            "model",
            "network",
            "settings",
            "steps",
            "windows",
        )
        for model in vars(__import__(f"provisioner.profile.{module}", fromlist=["x"])).values()
        if isinstance(model, type)
        and issubclass(model, BaseModel)
        and model.__module__ == f"provisioner.profile.{module}"
        and not model.__subclasses__()
    }
    assert known == used
    assert Profile in known


def _models(model: BaseModel, used: set[type[BaseModel]]) -> None:
    used.add(type(model))
    for name in type(model).model_fields:
        value = getattr(model, name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, BaseModel):
                _models(item, used)


def test_case_names_are_unique() -> None:
    assert len(CASES) == len(cases())
    assert all(isinstance(case, Case) for case in CASES.values())
