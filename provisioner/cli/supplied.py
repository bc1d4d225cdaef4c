"""Reads the files of the user's own that a profile names for its answer disc."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.answers.lint import LARGEST
from provisioner.answers.supplied import LARGEST_LOGO, Supplied, SuppliedFile
from provisioner.cli.session import places
from provisioner.errors import Problem, ProfileError, Severity
from provisioner.plan.rules.answers import check_answers

if TYPE_CHECKING:
    from provisioner.answers.disc import AnswerDisc
    from provisioner.media.facts import Edition
    from provisioner.profile.load import LoadedProfile
    from provisioner.profile.model import Profile


def supplied(loaded: LoadedProfile) -> Supplied:
    """The files, each read once and whole; ProfileError with all that cannot be used."""
    windows, find = loaded.profile.windows, places(loaded)
    files: dict[str, SuppliedFile] = {}
    problems: list[Problem] = []

    def read(key: str, path: str | None, *, most: int, rule: str) -> None:
        found = _read(Path(path), most) if path is not None else None
        if isinstance(found, SuppliedFile):
            files[key] = found
        elif found is not None:
            problems.append(
                Problem(
                    rule=rule,
                    message=f"{path}: {found}",
                    place=find(key),
                    hint="a relative path starts at the folder of the profile that names it",
                )
            )

    answers, logo = "windows.answer_file", "windows.oem.logo"
    read(answers, windows.answer_file, most=LARGEST, rule="windows.answer-file")
    read(logo, windows.oem.logo, most=LARGEST_LOGO, rule="windows.oem-logo")
    if problems:
        raise ProfileError(problems)
    return Supplied(answer_file=files.get(answers), logo=files.get(logo))


def require_sound(disc: AnswerDisc, profile: Profile, edition: Edition) -> None:
    """ProfileError where `lint` calls something in the user's own answer file an error."""
    problems = tuple(check_answers(disc, profile, edition)) if disc.own is not None else ()
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise ProfileError(problems)


def _read(path: Path, most: int) -> SuppliedFile | str:
    """The file, or why not."""
    try:
        if not path.is_file():
            return "no such file" if not path.exists() else "this is no regular file"
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        return error.strerror or "cannot be read"
    if len(data) > most:
        return f"more than {most:,} bytes; is this the right file?"
    return SuppliedFile(path=path, data=data)
