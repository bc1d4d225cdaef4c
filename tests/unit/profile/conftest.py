"""A folder to write profiles into, and a way to load them from there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from provisioner.errors import Problem, ProfileError
from provisioner.profile.load import LoadedProfile, load_profile
from provisioner.resources import Resources, shipped_folder


@dataclass(frozen=True)
class Desk:
    """A person's folders: `home`, the current one, and a configuration folder."""

    home: Path
    cwd: Path
    user: Path

    def write(self, name: str, text: str) -> Path:
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def load(
        self,
        source: str | Path,
        *,
        sets: Sequence[str] = (),
        media: Mapping[str, str] | None = None,
    ) -> LoadedProfile:
        return load_profile(
            source,
            sets=sets,
            media=media or {},
            resources=Resources(shipped=shipped_folder(), user=self.user),
            home=self.home,
            cwd=self.cwd,
        )

    def problems(self, source: str | Path, *, sets: Sequence[str] = ()) -> tuple[Problem, ...]:
        """Every problem, whether or not the profile loads."""
        try:
            return self.load(source, sets=sets).problems
        except ProfileError as err:
            return err.problems


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(home=tmp_path / "home", cwd=tmp_path / "work", user=tmp_path / "config")
    for folder in (desk.home, desk.cwd, desk.user / "profiles"):
        folder.mkdir(parents=True)
    return desk


@pytest.fixture
def problems_of(desk: Desk) -> Callable[..., tuple[Problem, ...]]:
    """The problems of a profile with this text."""

    def check(text: str, *sets: str) -> tuple[Problem, ...]:
        desk.write("vm.yaml", text)
        return desk.problems("vm.yaml", sets=sets)

    return check
