"""Every signature knows its own sample, and nothing else does; healthy logs have none."""

from __future__ import annotations

import json
import re
import string
import time

import pytest

from provisioner.autopsy.case import Document, Kind
from provisioner.autopsy.signatures import CAUSE, Signature, findings, table
from provisioner.cli.main import build_parser
from provisioner.guest.listener import STAGES
from provisioner.profile.schema import schema
from tests.unit.autopsy.logs import documents

SAMPLES = [(signature, kind) for signature in table() for kind in signature.kinds]


def name(value: object) -> str:
    return value.identifier if isinstance(value, Signature) else str(value)


def test_healthy_logs_have_no_signature() -> None:
    assert findings(documents()) == ()


@pytest.mark.parametrize(("signature", "kind"), SAMPLES, ids=name)
def test_the_sample_is_the_verdict(signature: Signature, kind: Kind) -> None:
    """In each kind of text, in the middle of everything that a healthy installation says."""
    found = findings(documents(**{kind.value: signature.sample}))
    assert found, "not recognised"
    verdict = found[0]
    assert verdict.signature == signature.identifier
    assert verdict.document == f"{kind.value}.log"
    assert not re.search(r"\{\w+\}", verdict.cause + verdict.fix)
    if kind is not Kind.SCREEN:
        assert verdict.line in signature.sample or signature.sample in verdict.line


@pytest.mark.parametrize("signature", table(), ids=name)
def test_a_row_is_complete(signature: Signature) -> None:
    groups = {*signature.pattern.groupindex, *(("meaning",) if signature.meanings else ())}
    used = {field for text in (signature.cause, signature.fix)
            for field in re.findall(r"\{(\w+)\}", text)}  # fmt: skip
    assert used <= groups
    assert signature.weight in (1, 2, 3)
    assert signature.sample and signature.source and signature.fix
    assert signature.cause[0] in string.ascii_letters + '"0123456789'
    assert not signature.cause.endswith(".") and not signature.fix.endswith(".")
    assert re.fullmatch(r"[a-z]+\.[a-z0-9-]+", signature.identifier)


def test_what_a_fix_tells_people_to_write_exists() -> None:
    """Commands parse, keys are keys of a profile."""
    keys = json.dumps(schema())
    parser = build_parser()
    commands = 0
    for signature in table():
        for code in re.findall(r"`([^`]+)`", signature.fix):
            if code.startswith("provisioner "):
                command = code.split()[1:]
                needs = {"check": "x.yaml", "plan": "x.yaml", "up": "x.yaml", "lint": "FILE"}
                if len(command) == 1 and command[0] in needs:
                    command.append(needs[command[0]])
                if command[0] in ("inspect", "iso"):
                    command.append("x.iso")
                parser.parse_args(command)
                commands += 1
            elif re.match(r"(machine|windows|media)\.|bus:|exit_codes|product_key", code):
                for key in re.findall(r"[a-z_]+(?=[.:]|$)", code.partition("{")[0].rstrip(": ")):
                    assert f'"{key}"' in keys, code
    assert commands > 20


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_of_the_protocol_has_a_verdict(stage: str) -> None:
    (finding,) = findings(
        [Document(kind=Kind.EVENT, name="events.txt", origin="", text=f"last stage: {stage}\n")]
    )
    assert finding.signature == f"stage.{stage}"


def test_a_cause_goes_before_a_message_and_a_message_before_a_stage() -> None:
    found = findings(
        documents(
            setup="Windows could not parse or process unattend answer file for pass [specialize]. "
            "The error was detected at line 3 column 4 of the answer file.",
            event="last stage: specialize",
        )
    )
    assert [each.signature for each in found] == [
        *("answers.malformed", "answers.invalid", "stage.specialize")
    ]


def test_the_last_of_several_matches_counts() -> None:
    text = "step 'one' exited 5\nstep 'two' exited 1603\n"
    (found,) = findings([Document(kind=Kind.EVENT, name="e", origin="", text=text)])
    assert "'two'" in found.cause and found.number == 2


@pytest.mark.parametrize(
    ("code", "meaning"),
    [("05", "a value is invalid"), ("0A", "it is read-only"), ("26", "a value is too big")],
)
def test_the_codes_of_a_refused_setting(code: str, meaning: str) -> None:
    (found,) = findings(
        [Document(kind=Kind.SETUP, name="s", origin="", text=f"hr = 0x802200{code}")]
    )
    assert meaning in found.cause


def test_a_screen_is_read_across_its_lines() -> None:
    screen = "Windows Setup\nWindows could not parse or process unattend\nanswer file [D:\\a.xml]"
    (found,) = findings([Document(kind=Kind.SCREEN, name="s", origin="", text=screen)])
    assert found.signature == "answers.invalid"


def test_hostile_texts_take_no_time_and_no_room() -> None:
    hostile = [
        "step '" + "a" * 500_000,
        "0x80070490" + " - " * 300_000,
        "unattend " * 100_000 + "error was detected at line " * 20_000,
        "for pass [x]" * 60_000
        + "component or setting specified in the answer file does not exist",
        "Package " * 100_000 + "0x80073cf2 was installed for a user, but not provisioned",
    ]
    began = time.process_time()
    for text in hostile:
        for kind in (Kind.SETUP, Kind.EVENT, Kind.SYSPREP, Kind.SCREEN):
            for each in findings([Document(kind=kind, name="x", origin="", text=text)]):
                assert len(each.line) < 500 and len(each.cause) < 1000
    assert time.process_time() - began < 10


def test_causes_outnumber_what_only_a_stage_tells() -> None:
    assert sum(signature.weight == CAUSE for signature in table()) >= 40
