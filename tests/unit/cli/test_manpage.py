"""docs/man/provisioner.1 is what the parser says, and good roff."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from provisioner.cli.config import SETTINGS
from provisioner.cli.parser import COMMANDS
from tools.manpage import PAGE, manpage


def test_it_is_fresh() -> None:
    assert PAGE.read_text(encoding="utf-8") == manpage(), "run: python -m tools.manpage"


def test_everything_is_in_it() -> None:
    text = manpage().replace("\\-", "-")
    for command in COMMANDS:
        assert f".SS {command}\n" in text
    for setting in SETTINGS:
        assert f".B {setting.key}\n" in text and f".B {setting.variable}\n" in text
    for option in ("--replace", "--reveal", "--screenshot", "--drive", "--with", "--colour"):
        assert rf"\fB{option}\fR" in text


@pytest.mark.parametrize(
    "argv",
    [
        ("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"),
        ("mandoc", "-T", "lint", "-W", "warning"),
        ("groff", "-man", "-ww", "-z", "-Tutf8"),
    ],
    ids=lambda argv: argv[0],
)
def test_the_formatters_have_no_complaint(argv: tuple[str, ...]) -> None:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed")
    done = subprocess.run(
        (*argv, str(PAGE)),
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    said = done.stderr if argv[0] != "mandoc" else done.stdout
    # The page has no date: it would change with every release of nothing.
    complaints = [line for line in said.splitlines() if "missing date" not in line]
    assert complaints == []


@pytest.mark.parametrize("columns", [80, 60])
def test_it_reads_well(columns: int) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ("groff", "-man", "-Tascii", "-P-c", f"-rLL={columns}n", str(PAGE)),
        capture_output=True,
        text=True,
        check=True,
    )
    text = re.sub(".\b", "", done.stdout)
    assert max(map(len, text.splitlines())) <= columns
    assert "provisioner connect NAME" in text
    assert not re.search(r"\\f|\\-|`", text)
