"""How a run of the stand-in ends early.

Three different outcomes, as with Windows Setup (windows-setup.md §6.1): a file is silently
ignored and an interactive page waits for a person, a component is ignored with a note, or a fatal
dialog stops everything. The first and the last end in `SetupStopped`.
"""

from __future__ import annotations

DOES_NOT_EXIST = "A component or setting specified in the answer file does not exist"
DUPLICATE = "A component or non-list setting is specified more than once in the answer file"
INVALID = "The answer file is invalid"
CANNOT_APPLY = "The settings specified in the answer file cannot be applied"


class AnswerFileIgnored(Exception):
    """The file is not usable at all; Setup goes on as if it were not there."""


class SetupStopped(Exception):
    """A dialog or an interactive page: without a person nothing more happens."""


def page_shown(page: str, reason: str) -> SetupStopped:
    """An interactive page; `page` names it as the reports of facts §3 and §5 do."""
    return SetupStopped(f"{page} page shown: {reason}")


def refused(path: str, pass_name: str, reason: str, detail: str) -> SetupStopped:
    """The fatal dialog of facts/windows-setup.md §6.2; `detail` is the stand-in's own addition."""
    return SetupStopped(
        f"could not parse or process unattend answer file [{path}] for pass [{pass_name}]. "
        f"{reason}. ({detail})"
    )
