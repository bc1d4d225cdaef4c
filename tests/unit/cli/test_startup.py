"""What a command imports, and builds, before it does anything: counted, because time depends on
the machine. `make bench` has the time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.program import Home
from tests.unit.store.test_library import windows

PROFILE = """\
extends: windows-11
windows: {administrator: {password: {generate: 20}}}
machine: {ready: {when: serial}}
"""

SCRIPT = """
import json, sys
from provisioner.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
complete = []
if base := sys.modules.get("provisioner.profile.base"):
    waiting = [base.ProfileModel]
    for model in waiting:
        waiting += model.__subclasses__()
    complete = [model.__name__ for model in waiting[1:] if model.__pydantic_complete__]
print(json.dumps({"modules": sorted(sys.modules), "complete": complete}))
"""

NEVER = (
    "argcomplete",
    "babel",  # only to name languages, and tzlocal's tables only for zones but UTC
    "jeepney",
    "libvirt",
    "logging",
    "provisioner.autopsy",
    "provisioner.disc",
    "provisioner.export",
    "provisioner.image",
    "provisioner.plan.rules.explain",
    "provisioner.profile.docstrings",
    "provisioner.profile.messages",
    "provisioner.profile.schema",
    "provisioner.profile.syntax",
    "provisioner.report",
    "provisioner.usb",
    "subprocess",
    "tzlocal",
    "zstandard",
)
"""What `check` has no use for where nothing is wrong, by module or whole room."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    windows(home.work, "new")
    (home.work / "dev.yaml").write_text(PROFILE)
    return home


def imported(home: Home, *arguments: str) -> tuple[list[str], list[str]]:
    """The modules after a command, and the models whose validators it built."""
    done = subprocess.run(
        (sys.executable, "-c", SCRIPT, *arguments),
        env=home.environment(),
        cwd=home.work,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    return told["modules"], told["complete"]


def ours(modules: list[str]) -> list[str]:
    return [name for name in modules if name.partition(".")[0] == "provisioner"]


def test_help_imports_the_parser_and_nothing_else(home: Home) -> None:
    modules, _ = imported(home, "--help")
    assert ours(modules) == [
        "provisioner",
        "provisioner.cli",
        "provisioner.cli.main",
        "provisioner.cli.parser",
    ]


def test_check_imports_what_it_uses(home: Home) -> None:
    modules, complete = imported(home, "check", "dev.yaml", "--media", "install=new.iso")
    found = [
        name for name in modules for room in NEVER if name == room or name.startswith(f"{room}.")
    ]
    assert not found
    assert "provisioner.answers.lint.answerfile" in modules, "it has looked at the answers"
    # Each costs a good part of a millisecond; a new one wants a reason, or a later import.
    assert len(ours(modules)) <= 160
    # A validator of its own for each of fifty models takes longer than the rest of a profile.
    assert complete == ["Profile"]
