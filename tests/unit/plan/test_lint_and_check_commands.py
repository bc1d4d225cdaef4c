"""`lint` and `check` as programs: streams, exit codes, JSON, SARIF, standard input."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from provisioner.plan.rules.explain import book
from tests.unit.answers.answer_files import GOOD, changed
from tests.unit.cli.program import PROGRAM, Home
from tests.unit.plan.test_sarif import check_log

WRONG = changed(("<HideEULAPage>true", "<HideEULAPage>yes"))
WARNED = changed(("<AcceptEula>true", "<AcceptEula>false"))
NOTED = changed(("<Path>\\\\server\\drivers", "<Path>E:\\drivers"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    (home.work / "good.xml").write_text(GOOD)
    (home.work / "wrong.xml").write_bytes(WRONG)
    (home.work / "warned.xml").write_bytes(WARNED)
    (home.work / "noted.xml").write_bytes(NOTED)
    return home


CODES = [
    (("good.xml",), 0, "1 file: no problems"),
    (("wrong.xml",), 2, "wrong.xml:157:23: error[lint.type]:"),
    (("warned.xml",), 0, "warning[lint.eula]"),
    (("warned.xml", "--strict"), 2, "warning[lint.eula]"),
    (("noted.xml", "--strict"), 0, "note[lint.driver-letter]"),
    (("noted.xml", "--quiet"), 0, "1 file: no problems"),
    (("good.xml", "wrong.xml", "warned.xml"), 2, "3 files: 1 error, 1 warning"),
    (("good.xml", "--windows", "windows-11-24H2"), 0, "no problems"),
    (("good.xml", "--windows", "7"), 2, "Windows 7 does not know"),
    (("good.xml", "--firmware", "bios"), 2, "error[lint.firmware]"),
    (("good.xml", "--windows", "95"), 2, "there is no such Windows here"),
    (("absent.xml",), 2, "absent.xml cannot be read: No such file"),
    ((".",), 2, "cannot be read: Is a directory"),
    ((), 2, "FILE"),
]


@pytest.mark.parametrize(("arguments", "code", "said"), CODES, ids=lambda value: str(value)[:40])
def test_lint(home: Home, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = home.run("lint", *arguments)
    assert done.returncode == code, done
    assert said in done.stderr
    assert done.stdout == ""


def test_standard_input(home: Home) -> None:
    done = subprocess.run(
        (*PROGRAM, "lint", "-"),
        input=WRONG,
        capture_output=True,
        env=home.environment(),
        check=False,
    )
    assert done.returncode == 2
    assert b"<stdin>:157:23: error[lint.type]" in done.stderr


def test_json(home: Home) -> None:
    done = home.run("lint", "wrong.xml", "noted.xml", "--json")
    assert done.returncode == 2
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(event["rule"], event["severity"], event["file"]) for event in events] == [
        ("lint.type", "error", "wrong.xml"),
        ("lint.driver-letter", "note", "noted.xml"),
    ]
    assert (events[0]["line"], events[0]["column"]) == (157, 23)


def test_sarif_file(home: Home) -> None:
    done = home.run("lint", "wrong.xml", "--sarif", "out.sarif")
    assert done.returncode == 2 and "error[lint.type]" in done.stderr
    check_log(json.loads((home.work / "out.sarif").read_text()))


def test_sarif_on_standard_output(home: Home) -> None:
    done = home.run("lint", "wrong.xml", "good.xml", "--sarif", "-")
    assert done.returncode == 2
    check_log(json.loads(done.stdout))


def test_explain_one(home: Home) -> None:
    done = home.run("check", "--explain", "lint.type")
    assert done.returncode == 0 and done.stderr == ""
    assert "cause" in done.stdout and "fix" in done.stdout and "example" in done.stdout


def test_explain_all(home: Home) -> None:
    done = home.run("check", "--explain")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(book())


def test_explain_as_json(home: Home) -> None:
    done = home.run("check", "--explain", "--json")
    rules = [json.loads(line) for line in done.stdout.splitlines()]
    assert [rule["rule"] for rule in rules] == list(book())
    assert all(rule["cause"] and rule["fix"] and rule["page"] for rule in rules)


def test_explain_nothing_known(home: Home) -> None:
    done = home.run("check", "--explain", "media.editon")
    assert done.returncode == 2 and "did you mean media.edition" in done.stderr


def test_check_names_the_rule_to_read_about(home: Home) -> None:
    (home.work / "a.yaml").write_text("windows: {product: windows-12}\n")
    done = home.run("check", "a.yaml")
    assert done.returncode == 2
    assert "provisioner check --explain profile.choice" in done.stderr


def test_check_wants_a_profile(home: Home) -> None:
    done = home.run("check")
    assert done.returncode == 2 and "which profile?" in done.stderr
