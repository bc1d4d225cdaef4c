"""Where shipped and user profiles and templates are found.

Given its folders; never asks the environment.
"""

from __future__ import annotations

import re
from pathlib import Path

from provisioner.frozen import frozen


@frozen
class Resources:
    """Two folders of the same shape, each with `profiles/` and `templates/` in it.

    What the user has goes before what is shipped.
    """

    shipped: Path
    user: Path | None = None

    def profile(self, name: str, *, other_than: Path | None = None) -> Path | None:
        """The file of a profile called `name`, or None.

        `other_than` is the file that asks: a user's `windows-11` may extend the shipped one.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
            return None
        for folder in self._folders("profiles"):
            path = folder / f"{name}.yaml"
            if path.is_file() and (other_than is None or not path.samefile(other_than)):
                return path
        return None

    def profiles(self) -> tuple[str, ...]:
        """The names of all profiles, sorted."""
        return tuple(
            sorted(
                {path.stem for root in self._folders("profiles") for path in root.glob("*.yaml")}
            )
        )

    def template_folders(self) -> tuple[Path, ...]:
        """Folders to look for a template in, the first that has it wins."""
        return self._folders("templates")

    def _folders(self, kind: str) -> tuple[Path, ...]:
        roots = (self.shipped,) if self.user is None else (self.user, self.shipped)
        return tuple(root / kind for root in roots if (root / kind).is_dir())


def shipped_folder() -> Path:
    """The folder of what comes with the package: the checkout, or `_data` inside a wheel."""
    package = Path(__file__).resolve().parent
    data = package / "_data"
    return data if data.is_dir() else package.parent
