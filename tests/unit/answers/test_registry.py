"""The registry that Wine's reg.exe makes of our .reg files is the one the profile asks for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.answers.presets import entries
from provisioner.answers.registry import LOADED_HIVE, Entry, reg_text
from provisioner.profile.settings import RemoteDesktop, Settings
from tests.golden.settings_profiles import CLIENT, SERVER
from tests.unit.answers.wine import WINE, Value, Wine, decoded

pytestmark = pytest.mark.xdist_group("registry")  # one prefix for all

GOLDEN = Path(__file__).parents[2] / "golden/answers"
ROOTS = {"HKLM": "HKEY_LOCAL_MACHINE", "HKCU": "HKEY_CURRENT_USER"}
EXAMPLE = "HKEY_LOCAL_MACHINE\\SOFTWARE\\Example"


@pytest.fixture(scope="session")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wine]:
    """A fresh prefix; about five seconds."""
    assert WINE.exists(), "apt-get install wine64"
    made = Wine(prefix=tmp_path_factory.mktemp("wine") / "prefix")
    made.run("wineboot", "--init")
    yield made
    made.run("wineboot", "--kill")


def on_disc(case: str, name: str) -> bytes:
    """A .reg file of a golden case as the writer encodes it."""
    text = (GOLDEN / case / "provision/settings" / name).read_text(encoding="utf-8")
    return text.replace("\n", "\r\n").encode("utf-16")


OWN: Mapping[str, Value] = {
    "": ("REG_SZ", "the default value"),
    "Count": ("REG_DWORD", 42),
    "Big": ("REG_QWORD", 2**40),
    "List": ("REG_MULTI_SZ", ("one", "zwei ü", "三")),
    'a "quoted\\ name': ("REG_SZ", 'a\nb "c" \\d ü'),
    "Place": ("REG_EXPAND_SZ", "%SystemRoot%\\x"),
    "Bytes": ("REG_BINARY", b"\x00\xff\x0a"),
}
"""The profile's own values below HKLM, written down here by hand."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What Wine has after the files of both cases, the server's once more."""

    values: Mapping[tuple[str, str], Value]
    keys: frozenset[str]

    def value(self, entry: Entry) -> Value:
        """Names and keys are compared as Windows does."""
        key = f"{ROOTS[entry.root]}\\{entry.path}".lower()
        return next(
            value
            for (path, name), value in self.values.items()
            if (path.lower(), name.lower()) == (key, entry.name.lower())
        )


@pytest.fixture(scope="module")
def imported(wine: Wine) -> Imported:
    wine.run("reg", "add", EXAMPLE, "/v", "Gone", "/d", "still here", "/f")
    for case in ("settings-client", "settings-server"):
        wine.import_(on_disc(case, "machine.reg"))
        wine.import_(on_disc(case, "user.reg"))
    wine.import_(on_disc("settings-server", "machine.reg"))
    text = "".join(wine.export(root) for root in ROOTS.values())
    keys = frozenset(key.lower() for key in re.findall(r"(?m)^\[(.*)\]\r?$", text))
    return Imported(values=decoded(text), keys=keys)


def test_values_of_the_profile(imported: Imported) -> None:
    key = EXAMPLE.lower()
    mine = {name: value for (path, name), value in imported.values.items() if path.lower() == key}
    assert mine == OWN


def test_who_logs_on_first(imported: Imported) -> None:
    entry = Entry(root="HKCU", path="Software\\Example", name="Mine", type=None)
    assert imported.value(entry) == ("REG_SZ", "who logs on first")


@pytest.mark.parametrize("raw", [SERVER, CLIENT], ids=["server", "client"])
def test_settings(raw: dict[str, Any], imported: Imported) -> None:
    """Everything of HKLM and HKCU, against the entries that the text was made from."""
    settings = Settings.model_validate_json(json.dumps(raw), strict=True)
    wanted = [
        entry
        for entry in entries(settings, RemoteDesktop(), shell=None)
        if entry.root in ROOTS and entry.data is not None and entry.name != "PagingFiles"
    ]
    assert len(wanted) > 10
    for entry in wanted:
        assert imported.value(entry) == (entry.type, entry.data), entry


def test_the_page_file(imported: Imported) -> None:
    """The server's; the client's, which came before, was none at all."""
    path = "SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory Management"
    entry = Entry(root="HKLM", path=path, name="PagingFiles", type=None)
    assert imported.value(entry) == ("REG_MULTI_SZ", ("C:\\pagefile.sys 1024 4096",))


def test_a_key_alone(imported: Imported) -> None:
    key = "HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Network\\NewNetworkWindowOff"
    assert key.lower() in imported.keys


def test_the_default_user_is_a_hive_of_its_own() -> None:
    """Wine's reg.exe cannot load hives, so the file is read as text here."""
    text = on_disc("settings-client", "default-user.reg").decode("utf-16")
    keys = {key for key, _ in decoded(text)}
    assert keys and all(key.startswith(f"HKEY_USERS\\{LOADED_HIVE}\\") for key in keys)
    hidden = next(value for (_, name), value in decoded(text).items() if name == "HideFileExt")
    assert hidden == ("REG_DWORD", 0)


@pytest.mark.parametrize(("path", "code"), [("C:\\windows\\win.ini", 10), ("C:\\nothing", 11)])
def test_what_audit_asks_cmd(path: str, code: int, wine: Wine) -> None:
    """`run.audit` looks for a file by this line, each word an argument of its own."""
    words = ("if", "exist", path, "(exit", "10)", "else", "(exit", "11)")
    assert wine.ended("cmd.exe", "/d", "/c", *words).returncode == code


def test_the_last_of_two_counts() -> None:
    def entry(name: str, data: int) -> Entry:
        return Entry(root="HKLM", path="SOFTWARE\\X", name=name, type="REG_DWORD", data=data)

    text = reg_text([entry("A", 1), entry("b", 2), entry("a", 3)])
    assert list(decoded(text).values()) == [("REG_DWORD", 3), ("REG_DWORD", 2)]
