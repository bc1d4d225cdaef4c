"""Everything the process was started with, read once. No other room looks at the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from provisioner.frozen import frozen


@frozen
class Environment:
    """Folders follow the XDG Base Directory Specification."""

    variables: Mapping[str, str]
    home: Path
    cwd: Path
    uid: int
    config: Path
    state: Path
    cache: Path

    @property
    def colour(self) -> bool:
        """Whether colour may be used at all (https://no-color.org)."""
        return not self.variables.get("NO_COLOR") and self.variables.get("TERM") != "dumb"

    @property
    def epoch(self) -> int | None:
        """SOURCE_DATE_EPOCH, where it is set to a number."""
        text = self.variables.get("SOURCE_DATE_EPOCH", "")
        return int(text) if text.isascii() and text.isdigit() else None


def read_environment() -> Environment:
    """Looks at this process's environment."""
    variables = dict(os.environ)
    home = Path(variables.get("HOME") or "~").expanduser()

    def folder(variable: str, default: str) -> Path:
        given = variables.get(variable, "")
        # The specification asks for relative paths to be ignored.
        base = Path(given) if given.startswith("/") else home / default
        return base / "provisioner"

    return Environment(
        variables=variables,
        home=home,
        cwd=Path.cwd(),
        uid=os.getuid(),
        config=folder("XDG_CONFIG_HOME", ".config"),
        state=folder("XDG_STATE_HOME", ".local/state"),
        cache=folder("XDG_CACHE_HOME", ".cache"),
    )


def is_terminal(stream: object) -> bool:
    """Whether a person is likely looking at this stream."""
    isatty = getattr(stream, "isatty", None)
    return bool(isatty and isatty())
