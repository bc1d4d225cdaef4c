"""SARIF 2.1.0, checked by hand: the schema itself is not in this repository.

Requirements are those of the OASIS standard, sections 3.13 to 3.52, and of GitHub's code scanning.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from provisioner.answers.lint import lint
from provisioner.errors import Place, Problem, Severity
from provisioner.plan.rules.explain import book
from provisioner.plan.rules.sarif import sarif
from tests.unit.answers.answer_files import GOOD, changed

DAMAGED = changed(
    ("<HideEULAPage>true", "<HideEULAPage>yes"),
    ("W. Europe Standard Time", "Mars"),
    ("<LocalAccount wcm:action", "<LocalAccount action"),
)


def check_log(log: dict[str, Any]) -> None:
    """The parts that the standard requires, and that no other member is there."""
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("/sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    assert set(run) == {"tool", "columnKind", "results"}
    assert run["columnKind"] in ("unicodeCodePoints", "utf16CodeUnits")
    driver = run["tool"]["driver"]
    assert set(driver) == {"name", "version", "rules"}
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(ids) == len(set(ids))
    for rule in driver["rules"]:
        assert set(rule) == {
            "id", "name", "shortDescription", "fullDescription", "help", "defaultConfiguration"
        }  # fmt: skip
        assert re.fullmatch(r"[A-Za-z0-9]+", rule["name"])
        assert rule["defaultConfiguration"]["level"] in ("none", "note", "warning", "error")
        for member in ("shortDescription", "fullDescription", "help"):
            assert rule[member]["text"]
    for result in run["results"]:
        assert set(result) <= {"ruleId", "ruleIndex", "level", "message", "locations"}
        assert result["level"] in ("none", "note", "warning", "error")
        assert result["message"]["text"]
        assert ids[result["ruleIndex"]] == result["ruleId"]
        for location in result["locations"]:
            physical = location["physicalLocation"]
            assert set(physical) == {"artifactLocation", "region"}
            uri = physical["artifactLocation"]["uri"]
            assert re.fullmatch(r"[A-Za-z0-9%/:@!$&'()*+,;=~._-]+", uri)
            region = physical["region"]
            assert set(region) <= {"startLine", "startColumn", "endColumn"}
            assert all(isinstance(number, int) and number >= 1 for number in region.values())
            assert region.get("endColumn", region["startColumn"]) >= region["startColumn"]


def test_findings() -> None:
    problems = lint(DAMAGED, file="answers/Autounattend.xml")
    log = sarif(problems)
    check_log(log)
    results = log["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == [
        "lint.time-zone",
        "lint.type",
        "lint.list-action",
    ]
    first = results[0]["locations"][0]["physicalLocation"]
    assert first["artifactLocation"]["uri"] == "answers/Autounattend.xml"
    line = DAMAGED.decode().splitlines()[first["region"]["startLine"] - 1]
    begin, end = first["region"]["startColumn"] - 1, first["region"]["endColumn"] - 1
    assert line[begin:end] == "Mars"
    assert results[0]["message"]["text"].startswith("Windows has no time zone 'Mars'")
    json.dumps(log)


def test_nothing() -> None:
    log = sarif(lint(GOOD.encode(), file="a.xml"))
    check_log(log)
    assert log["runs"][0]["results"] == []


@pytest.mark.parametrize(
    ("file", "uri"),
    [("a b.xml", "a%20b.xml"), ("ä.xml", "%C3%A4.xml"), ("<stdin>", "%3Cstdin%3E")],
)
def test_names_of_files(file: str, uri: str) -> None:
    log = sarif([Problem(message="m", rule="lint.not-xml", place=Place(file=file))])
    check_log(log)
    physical = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == uri
    assert physical["region"] == {"startLine": 1, "startColumn": 1}


def test_every_rule_can_be_written() -> None:
    problems = [
        Problem(message="m", rule=rule, severity=entry.severities[0], place=Place(file="a"))
        for rule, entry in book().items()
    ]
    check_log(sarif(problems))
    assert Severity.ERROR in {problem.severity for problem in problems}
