"""A file whose sectors fail on request: `python -m tests.integration.faulty IMAGE DIR CONTROL`.

CONTROL is JSON, read again each time: `bad`: sectors of 2048 bytes that always fail; `flaky`:
sector to the number of failures before it succeeds; `unstable`: sector to how often it reads as
something else; `stop`: byte from which on everything fails.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import mfusepy

SECTOR = 2048


class Faulty(mfusepy.Operations):  # type: ignore[misc]
    use_ns = True

    def __init__(self, image: Path, control: Path) -> None:
        self.image = os.open(image, os.O_RDONLY)
        self.size = os.fstat(self.image).st_size
        self.control = control
        self.seen: Counter[tuple[str, int]] = Counter()

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != "/disc":
            raise mfusepy.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o444, "st_nlink": 1, "st_size": self.size}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", "disc"]

    def open(self, path: str, fi: Any) -> int:
        fi.direct_io = True
        return 0

    def read(self, path: str, size: int, offset: int, fh: Any) -> bytes:
        faults = json.loads(self.control.read_text())
        data = bytearray(os.pread(self.image, size, offset))
        for sector in range(offset // SECTOR, -(-(offset + len(data)) // SECTOR)):
            name = str(sector)
            failing = sector in faults.get("bad", ()) or sector * SECTOR >= faults.get(
                "stop", self.size
            )
            if name in faults.get("flaky", {}):
                self.seen["flaky", sector] += 1
                failing = failing or self.seen["flaky", sector] <= faults["flaky"][name]
            if failing:
                raise mfusepy.FuseOSError(errno.EIO)
            if name in faults.get("unstable", {}):
                self.seen["unstable", sector] += 1
                if self.seen["unstable", sector] <= faults["unstable"][name]:
                    data[sector * SECTOR - offset] ^= 0xFF
        return bytes(data)


if __name__ == "__main__":
    mfusepy.FUSE(
        Faulty(Path(sys.argv[1]), Path(sys.argv[3])),
        sys.argv[2],
        foreground=True,
        ro=True,
        raw_fi=True,
        nothreads=True,
        allow_other=True,
    )
