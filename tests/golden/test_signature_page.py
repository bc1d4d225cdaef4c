"""docs/signatures.md is what the table of signatures says: `make golden` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioner.autopsy.signatures import Signature, table

PAGE = Path(__file__).parents[2] / "docs/signatures.md"
PARTS = {
    "boot": "Firmware and boot",
    "host": "The host",
    "guest": "The machine",
    "answers": "The answer file",
    "key": "Key, edition, image",
    "page": "Pages that wait for a person",
    "disk": "The disk",
    "hardware": "Hardware checks",
    "specialize": "Pass specialize",
    "oobe": "Pass oobeSystem",
    "join": "Joining a domain",
    "step": "Steps at the first logon",
    "agent": "The guest agent",
    "sysprep": "Sysprep",
    "stage": "Where only the stage is known",
    "state": "What Windows records of itself",
}
WHERE = {
    "setup": "setupact.log, setuperr.log",
    "sysprep": "Sysprep's logs",
    "drivers": "setupapi.dev.log",
    "join": "NetSetup.LOG",
    "steps": "our own logs in the guest",
    "state": "State.ini",
    "serial": "serial port",
    "screen": "display",
    "event": "reports",
}


INTRODUCTION = (
    "What `provisioner autopsy`, and `up` when a guest fails, look for in logs, on the display and "
    "in what was reported. The first that names a cause is the verdict; where none does, what is "
    "known of the stage is. `{...}` is taken from the log. The examples are the samples that each "
    "row is tested with. Sources are the [fact sheets](facts/README.md); K marks what is known to "
    "people and stands in none of them ([unproven](unproven.md), U1)."
)


def page() -> str:
    """Markdown."""
    lines = [
        "# Known failures",
        "",
        "<!-- Made by `make golden` from provisioner/autopsy/signatures.toml; do not edit. -->",
        "",
        INTRODUCTION,
    ]
    part = ""
    for signature in table():
        kind = signature.identifier.partition(".")[0]
        if kind != part:
            part = kind
            lines += ["", f"## {PARTS[kind]}"]
        lines += ["", f"### {signature.identifier}", "", *_entry(signature)]
    return "\n".join(lines) + "\n"


def _entry(signature: Signature) -> list[str]:
    where = ", ".join(WHERE[kind.value] for kind in signature.kinds)
    entry = [
        f"- **cause** {_text(signature.cause)}",
        f"- **fix** {_text(signature.fix)}",
        f"- **seen in** {where}; source: {signature.source}",
    ]
    if signature.meanings:
        known = "; ".join(f"`{code}` {words}" for code, words in signature.meanings.items())
        entry.append(f"- **codes** {known}")
    return [*entry, "", "```text", signature.sample, "```"]


def _text(text: str) -> str:
    """Angle brackets outside of code would be tags."""
    return "`".join(
        piece if number % 2 else piece.replace("<", "&lt;")
        for number, piece in enumerate(text.split("`"))
    )


def test_the_page_is_fresh(request: pytest.FixtureRequest) -> None:
    text = page()
    if request.config.getoption("golden", default=False):
        PAGE.write_text(text, encoding="utf-8")
        return
    assert PAGE.read_text(encoding="utf-8") == text, "run `make golden` and read the difference"


def test_the_rows_of_a_part_stand_together() -> None:
    kinds = [signature.identifier.partition(".")[0] for signature in table()]
    begun = [kind for number, kind in enumerate(kinds) if not number or kinds[number - 1] != kind]
    assert begun == list(PARTS)
