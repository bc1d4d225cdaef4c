"""`make acceptance` without a machine: what it asks, makes of the answers, and tells."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from acceptance import discs, ways
from acceptance.claims import FACTS, PAGE, claims
from acceptance.desk import Done
from acceptance.inside import QUERY, Inside
from acceptance.main_job import (
    NAME,
    Assertion,
    Media,
    assertions,
    profile_text,
    verdicts,
)
from acceptance.report import Report, markdown
from acceptance.trials import ADDRESS, TRIALS, Seen, Trial, Verdict
from provisioner.answers.disc import AnswerDisc, compose
from provisioner.plan.rules.answers import answer_bytes
from provisioner.profile.load import load_profile
from provisioner.resources import Resources, shipped_folder
from provisioner.templating import Templates
from tests.golden.media import driver_disc, windows_11
from tests.unit.answers.test_scripts import broken

FACT_SHEETS = PAGE.parent / "facts"
INSTALL, PRO = windows_11()
MEDIA = Media(install=replace(INSTALL, product="windows-11"), drivers=None, edition=PRO)


def composed(folder: Path, trial: Trial | None = None) -> AnswerDisc:
    """The answer disc of the main job, or of a trial."""
    path = folder / f"{NAME}.yaml"
    path.write_text(profile_text(MEDIA), encoding="utf-8")
    if trial is not None and trial.profile:
        path = folder / "trial.yaml"
        path.write_text(f"extends: {NAME}.yaml\nname: trial\n{trial.profile}", encoding="utf-8")
    shipped = Resources(shipped=shipped_folder())
    for name, text in (trial.templates if trial is not None else {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    profile = load_profile(path, resources=shipped, home=folder, cwd=folder).profile
    templates = Templates([folder, *shipped.template_folders()])
    return compose(profile, MEDIA.install, PRO, None, templates=templates)


# What is open.


def test_every_claim_of_the_page_is_known() -> None:
    ids = re.findall(r"(?m)^\| ([A-Z]\d+) \|", PAGE.read_text(encoding="utf-8"))
    assert list(claims()) == ids and len(ids) > 60
    assert all(claim.settled == "nobody yet" for claim in claims().values())


def test_what_somebody_settles_is_told(tmp_path: Path) -> None:
    page = tmp_path / "unproven.md"
    row = "| W1 | holds | 26100, 8.2, 10.0 | Jane, 2026-12-01 |"
    text = PAGE.read_text(encoding="utf-8").replace("| none yet | | | nobody yet |", row)
    page.write_text(text, encoding="utf-8")
    found = claims(page)
    assert found["W1"].settled == "Jane, 2026-12-01"
    assert found["W2"].settled == "nobody yet"


def test_every_question_of_the_fact_sheets_has_claims() -> None:
    for sheet, heading in (("windows-setup.md", "## 14."), ("iso-usb.md", "## 9.")):
        text = (FACT_SHEETS / sheet).read_text(encoding="utf-8")
        section = text.partition(f"\n{heading}")[2].partition("\n## ")[0]
        numbers = [int(number) for number in re.findall(r"(?m)^(\d+)\. ", section)]
        asked = [number for name, number in FACTS if name.startswith(sheet)]
        assert asked == numbers and numbers
    known = claims()
    assert all(name in known for names in FACTS.values() for name in names)
    assert all(name in known for trial in TRIALS for name in trial.claims)


# What is asked.


def test_the_question_parses() -> None:
    text = QUERY.read_text(encoding="ascii")
    assert broken(text) == []
    assert "Set-" not in text and "Remove-" not in text


def test_the_profile_composes(tmp_path: Path) -> None:
    disc = composed(tmp_path)
    assert disc.users == ("dev", "guest1") and disc.computer_name == "ACCEPT-PC"
    with_drivers = replace(MEDIA, drivers=Path("/iso/virtio-win.iso"))
    assert "rotate: true" in profile_text(with_drivers)
    quick = profile_text(MEDIA, quick=True)
    assert "bypass" in quick and "rotate" not in quick, "the guest agent comes with the drivers"
    assert driver_disc().label


WANTED: Mapping[str, str] = {
    "unknown-component": "Microsoft-Windows-Nobody-Knows-This",
    "unknown-setting": "<NobodyKnowsThis>1</NobodyKnowsThis>\n      <UserData>",
    "restart-shutdown": "<Restart>Shutdown</Restart>",
    "long-path": "<Path>cmd.exe /c rem " + "x" * 285 + "</Path>",
    "static-address": f'wcm:keyValue="1">{ADDRESS}/24<',
}


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_a_trial_differs_in_what_it_tries(trial: Trial, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "changed").mkdir()
    plain = answer_bytes(composed(tmp_path / "plain")).decode().replace("\r\n", "\n")
    changed = answer_bytes(composed(tmp_path / "changed", trial)).decode().replace("\r\n", "\n")
    word = WANTED.get(trial.name)
    if word is None:
        assert trial.second_disc or trial.profile
        return
    assert word in changed and word not in plain


# What is made of the answers.


def up(code: int = 0, said: str = "", *events: Mapping[str, Any]) -> Done:
    return Done(code=code, events=events, said=said, seconds=60)


def seen(code: int = 0, said: str = "", serial: str = "", addresses: tuple[str, ...] = (),
         **facts: Any) -> Seen:  # fmt: skip
    inside = Inside(system="windows", facts=facts) if code == 0 else None
    return Seen(up=up(code, said), inside=inside, serial=serial, addresses=addresses)


@pytest.mark.parametrize(
    ("name", "what", "holds"),
    [
        ("two-answers", seen(computer_name="ACCEPT-PC"), True),
        ("two-answers", seen(computer_name="Wrong-Disc"), False),
        ("two-answers", seen(6), None),
        ("unknown-setting", seen(), True),
        ("unknown-setting", seen(6, "error: stopped"), False),
        ("nvme", seen(3, "error[host.disk-bus]"), None),
        ("restart-shutdown", seen(6, "error: acceptance turned itself off during: x"), True),
        ("restart-shutdown", seen(), False),
        ("restart-shutdown", seen(6, "error: late"), None),
        ("static-address", seen(addresses=("10.0.2.15", ADDRESS)), True),
        ("static-address", seen(addresses=("10.0.2.15",)), False),
        ("static-address", seen(6, "error: late"), None),
        ("two-disks", seen(disk_bytes=64 * 2**30), True),
        ("two-disks", seen(disk_bytes=40 * 2**30), False),
        ("two-disks", seen(6), None),
        ("openssh", seen(services={"sshd": "Running"}), True),
        ("openssh", seen(services={"sshd": "Stopped"}), False),
        ("openssh", seen(), None),
        ("openssh", seen(6, "error: setting openssh"), False),
    ],
)
def test_verdicts(name: str, what: Seen, holds: bool | None) -> None:
    trial = next(trial for trial in TRIALS if trial.name == name)
    verdict = trial.judge(what)
    assert verdict.holds is holds and verdict.evidence


FACTS_INSIDE: Mapping[str, Any] = {
    "caption": "Microsoft Windows 11 Pro",
    "edition": "Professional",
    "build": "26100",
    "display_language": "en-US",
    "computer_name": "ACCEPT-PC",
    "time_zone": "W. Europe Standard Time",
    "users": [{"name": "Dev", "enabled": True}, {"name": "guest1", "enabled": True}],
    "style": "GPT",
    "partitions": [
        {"letter": "", "mib": 260},
        {"letter": "", "mib": 16},
        {"letter": "C", "mib": 64232},
        {"letter": "", "mib": 1026},
    ],
    "recovery": True,
    "encryption": [0],
    "registry": {"text": 'ü "quoted" \\', "number": 42},
    "first_logon_errors": [],
}


def checks(tmp_path: Path, **changes: Any) -> dict[str, Assertion]:
    inside = Inside(system="windows", facts={**FACTS_INSIDE, **changes})
    found = assertions(inside, MEDIA, composed(tmp_path))
    return {check.subject: check for check in found}


def test_a_windows_as_it_was_asked_for(tmp_path: Path) -> None:
    found = checks(tmp_path)
    assert len(found) == 10
    assert all(check.holds for check in found.values()), found


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"edition": "Core"}, "edition"),
        ({"caption": "Microsoft Windows 11 Home"}, "caption"),
        ({"build": "22631"}, "build"),
        ({"display_language": "de-DE"}, "language"),
        ({"users": [{"name": "dev", "enabled": False}]}, "user dev"),
        ({"partitions": FACTS_INSIDE["partitions"][1:]}, "layout"),
        ({"style": "MBR"}, "partition table"),
    ],
)
def test_what_differs(change: dict[str, Any], subject: str, tmp_path: Path) -> None:
    assert checks(tmp_path, **change)[subject].holds is False


def test_what_nobody_told_is_undecided(tmp_path: Path) -> None:
    found = tuple(assertions(None, MEDIA, composed(tmp_path)))
    assert {check.holds for check in found} == {None}


TOLD: tuple[Mapping[str, Any], ...] = (
    {"event": "started", "elapsed": 0.1},
    {"event": "stage", "stage": "answers", "origin": "reported", "elapsed": 30.0},
    {"event": "stage", "stage": "specialize", "origin": "reported", "elapsed": 90.0},
    {"event": "stage", "stage": "first-logon", "origin": "reported", "elapsed": 200.0},
    {"event": "step", "name": "by cmd", "state": "end", "exit_code": 3010, "elapsed": 201.0},
    {"event": "step", "name": "restart", "state": "end", "exit_code": 0, "elapsed": 202.0},
    {"event": "result", "step": "as SYSTEM", "name": "who", "text": "nt authority\\system"},
    {"event": "step", "name": "as SYSTEM", "state": "end", "exit_code": 0, "elapsed": 260.0},
    {"event": "step", "name": "too long", "state": "end", "exit_code": 258, "elapsed": 290.0},
)


def test_claims_of_the_main_job(tmp_path: Path) -> None:
    found = tuple(checks(tmp_path).values())
    inside = Inside(system="windows", facts=FACTS_INSIDE)
    audit = up(0, "", {"event": "audit", "standing": "clean"})
    done = up(0, "", *TOLD)
    held = verdicts(done, inside, audit, MEDIA, found)
    assert {n for n, v in held.items() if v.holds} >= {
        *("W1", "W10", "W11", "W12", "L1", "L4", "L5", "L7", "L13", "L15", "S1", "F1", "T4", "T2")
    }
    silent = verdicts(up(), inside, audit, MEDIA, found)
    assert {name: silent[name].holds for name in ("L5", "F1", "T4", "L13", "L15")} == {
        **dict.fromkeys(("L5", "F1", "T4", "L13"), False),
        "L15": None,
    }
    slow = [*TOLD[:2], {**TOLD[2], "elapsed": 2000.0}, *TOLD[3:]]
    assert verdicts(up(0, "", *slow), inside, audit, MEDIA, found)["T2"].holds is None
    failed = verdicts(up(6, "error: stalled"), None, up(4), MEDIA, ())
    assert failed == {"W1": Verdict(holds=False, evidence="error: stalled")}
    left = up(6, "", {"event": "audit", "standing": "remains"})
    assert verdicts(done, inside, left, MEDIA, found)["L4"].holds is False
    unknown = up(4, "", {"event": "audit", "standing": "unknown"})
    assert verdicts(done, inside, unknown, MEDIA, found)["L4"].holds is None


class Answering:
    """A listener on loopback that answers the first connection."""

    def __init__(self, answer: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.heard = b""
        self._thread = threading.Thread(target=self._serve, args=(answer,))
        self._thread.start()

    def _serve(self, answer: bytes) -> None:
        connection, _ = self._socket.accept()
        with connection:
            self.heard = connection.recv(64)
            connection.sendall(answer)

    def close(self) -> None:
        self._thread.join(10)
        self._socket.close()


@pytest.mark.parametrize(
    ("answer", "holds"),
    [
        # A Connection Confirm with a negotiation response for CredSSP.
        (bytes.fromhex("030000130ed000001234000200080002000000"), True),
        (b"SSH-2.0-OpenSSH_9.5\r\n", False),
        (b"", False),
    ],
)
def test_a_handshake_and_not_a_port(answer: bytes, holds: bool) -> None:
    server = Answering(answer)
    found = ways.verdicts({"rdp": {"host": "127.0.0.1", "port": server.port}})
    server.close()
    assert server.heard == ways.RDP_REQUEST
    assert found["L9"].holds is holds


def test_winrm_needs_tls() -> None:
    server = Answering(b"HTTP/1.1 401 \r\n")
    found = ways.verdicts({"winrm": {"host": "127.0.0.1", "port": server.port}})
    server.close()
    assert found["L8"].holds is False


def test_a_disc_as_windows_reads_it(tmp_path: Path) -> None:
    wanted = discs.fill(tmp_path / "disc", large=8192)
    assert len(wanted) == 5 and discs.LONG_NAME in wanted
    told = json.dumps(wanted)
    assert discs.compared(wanted, told).holds is True
    assert discs.compared(wanted, told.replace(wanted["large.bin"], "0" * 64)).holds is False
    assert discs.compared(wanted, json.dumps({discs.MARKER: wanted[discs.MARKER]})).holds is False
    assert discs.compared(wanted, "Access is denied").holds is None
    assert broken(discs.HASHES) == []


# What is told.


def report(system: str | None, **verdicts_: Any) -> str:
    return markdown(
        Report(
            system=system,
            versions={"QEMU": "7.2.0"},
            disc={"disc": "X | Y"},
            assertions=(Assertion(subject="edition", expected="Core", found="Professional"),),
            verdicts=verdicts_,
            claims=claims(),
            private=("/home/jane", "janes-pc", ""),
        )
    )


def test_a_report_names_every_claim_once() -> None:
    text = report("windows", W1=[("main job", Verdict(holds=True, evidence="12 min"))])
    rows = re.findall(r"(?m)^\| ([A-Z]\d+) \|", text)
    assert sorted(rows) == sorted(claims())
    assert "| holds | main job: 12 min |" in text
    assert "**differs**" in text and "not Windows" not in text
    assert "X \\| Y" in text


def test_the_stand_in_settles_nothing() -> None:
    text = report("stand-in", W1=[("main job", Verdict(holds=True, evidence="2 min"))],
                  F1=[("main job", Verdict(holds=False, evidence="no"))])  # fmt: skip
    assert "It is not Windows" in text and "which settles nothing" in text
    assert "F1 (rehearsed)" in text
    assert "nobody looked inside" in report(None)


def test_trials_that_disagree_are_undecided() -> None:
    seen_ = [("a", Verdict(holds=True, evidence="x")), ("b", Verdict(holds=False, evidence="y"))]
    assert "W5 (undecided)" in report("windows", W5=seen_)


def test_a_report_holds_nothing_of_the_person() -> None:
    evidence = "/home/jane/state is full on janes-pc"
    text = report("windows", W1=[("main job", Verdict(holds=False, evidence=evidence))])
    assert "/home/jane" not in text and "janes-pc" not in text
    assert "…/state is full on …" in text
