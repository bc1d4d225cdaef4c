"""Reads a PNG with ImageMagick, which is not ours: how many colours, what stands where."""

from __future__ import annotations

import subprocess
from pathlib import Path


def identify(path: Path) -> tuple[str, int, int, int]:
    """Format, width, height and number of colours."""
    said = subprocess.run(
        ["identify", "-format", "%m %w %h %k", str(path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return said[0], int(said[1]), int(said[2]), int(said[3])


def rgb(path: Path) -> bytes:
    """All pixels, three bytes each."""
    argv = ["convert", str(path), "-depth", "8", "rgb:-"]
    return subprocess.run(argv, capture_output=True, check=True).stdout


def ppm(width: int, height: int) -> bytes:
    """A picture whose every pixel differs from its neighbours, as QEMU writes screens."""
    rows = (
        bytes((x * 7 + shift) % 256 for x in range(width) for shift in (0, y, 2 * y + 1))
        for y in range(height)
    )
    return b"P6\n%d %d\n255\n" % (width, height) + b"".join(rows)


def dialog(target: Path, *lines: str) -> Path:
    """A window with text, in the size and look of Windows Setup's dialogs."""
    argv = ["convert", "-size", "1024x768", "xc:#1a3c6e", "-fill", "#f0f0f0"]
    argv += ["-draw", "rectangle 180,250 850,520", "-fill", "black", "-pointsize", "16"]
    for number, line in enumerate(lines):
        argv += ["-annotate", f"+200+{290 + 26 * number}", line]
    argv += ["-define", "png:exclude-chunks=gAMA,cHRM"]  # colours stay what they are
    subprocess.run([*argv, str(target)], check=True, capture_output=True)
    return target
