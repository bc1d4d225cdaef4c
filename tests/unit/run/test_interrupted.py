"""Ctrl-C in the moments between two steps, where no step is there to undo itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from provisioner.errors import FailedError, InterruptedByUser
from provisioner.run.machine import Outcome
from tests.fakes.console import RecordingConsole
from tests.unit.run.scenes import Scene


class InterruptingConsole(RecordingConsole):
    """Ctrl-C comes while it tells about the step number `at`."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def event(self, name: str, members: Mapping[str, Any]) -> None:
        super().event(name, members)
        if name == "step" and members["step"] == self.at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", range(5))
def test_before_a_step_begins(tmp_path: Path, step: int) -> None:
    scene = Scene(tmp_path)
    scene.console = InterruptingConsole(step)
    with pytest.raises(InterruptedByUser, match="everything that was begun is undone"):
        scene.up()
    assert scene.leaked() == []
    scene.console = RecordingConsole()
    assert scene.up() is Outcome.INSTALLED


def test_a_second_ctrl_c_while_undoing(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.console = InterruptingConsole(3)
    scene.hypervisor.fails("delete_file", KeyboardInterrupt())
    with pytest.raises(InterruptedByUser, match="everything that was begun is undone"):
        scene.up()
    assert scene.leaked() == []


def test_the_guest_turns_itself_off_while_its_agent_is_asked(tmp_path: Path) -> None:
    """That is no failure of ours: the next look says what happened."""
    scene = Scene(tmp_path, when="agent")
    scene.hypervisor.fails("agent", FailedError("the machine dev is off"))
    assert scene.up() is Outcome.INSTALLED
