"""Words in a picture, by tesseract where it is installed: Windows PE writes its logs to a RAM disk,
and its screen is then all there is.
"""

from __future__ import annotations

import shutil

from provisioner.errors import ProvisionerError
from provisioner.host.process import run

LIMIT = 30.0
LONGEST = 20_000


def words_in(png: bytes) -> str | None:
    """The text of a screen, roughly, line by line; None where nothing here can read it."""
    if not shutil.which("tesseract"):
        return None
    try:
        # Page segmentation 11: sparse text, in no order, as windows and buttons have it. Screens
        # have 96 dots an inch; tesseract guesses otherwise.
        argv = ("tesseract", "stdin", "stdout", "--psm", "11", "--dpi", "96", "-l", "eng")
        output = run(argv, timeout=LIMIT, stdin=png)
    except ProvisionerError:
        return None
    lines = output.decode("utf-8", "replace").splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())[:LONGEST]
