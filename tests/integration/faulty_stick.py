"""A file that fails like a stick: `python -m tests.integration.faulty_stick BACKING DIR CONTROL`.

CONTROL is JSON, read again each time, offsets in bytes: `write_error`, `read_error`: this sector
fails; `rotten`: this sector keeps something else; `forget_from`: writes from here on vanish;
`real`: addresses wrap around here.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import mfusepy

SECTOR = 512


class FaultyStick(mfusepy.Operations):  # type: ignore[misc]
    use_ns = True

    def __init__(self, backing: Path, control: Path) -> None:
        self.file = os.open(backing, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.control = control

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
        if path != "/disk":
            raise mfusepy.FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o644, "st_nlink": 1, "st_size": self.size}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", "disk"]

    def open(self, path: str, fi: Any) -> int:
        fi.direct_io = True
        return 0

    def read(self, path: str, size: int, offset: int, fh: Any) -> bytes:
        faults = json.loads(self.control.read_text())
        if _hits(faults.get("read_error"), offset, size):
            raise mfusepy.FuseOSError(errno.EIO)
        # A stick has no cache of the host's. Below us may be another file over FUSE: its pages are
        # dropped, so that it is asked (what is dirty stays, hence fsync before).
        os.fsync(self.file)
        os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_DONTNEED)
        parts = [
            os.pread(self.file, count, at) for _, at, count in self._pieces(faults, offset, size)
        ]
        return b"".join(parts)

    def write(self, path: str, data: bytes, offset: int, fh: Any) -> int:
        faults = json.loads(self.control.read_text())
        if _hits(faults.get("write_error"), offset, len(data)):
            raise mfusepy.FuseOSError(errno.EIO)
        for done, at, count in self._pieces(faults, offset, len(data)):
            if offset + done < faults.get("forget_from", self.size) or offset + done == 0:
                os.pwrite(self.file, data[done : done + count], at)
        if _hits(faults.get("rotten"), offset, len(data)):
            os.pwrite(self.file, b"rotten!!", faults["rotten"])
        return len(data)

    def fsync(self, path: str, datasync: int, fh: Any) -> int:
        os.fsync(self.file)
        return 0

    def flush(self, path: str, fh: Any) -> int:
        return 0

    def _pieces(self, faults: dict[str, int], offset: int, size: int) -> Any:
        real = faults.get("real", self.size)
        size = min(size, self.size - offset)
        done = 0
        while done < size:
            at = (offset + done) % real
            count = min(size - done, real - at)
            yield done, at, count
            done += count


def _hits(sector: int | None, offset: int, size: int) -> bool:
    return sector is not None and offset < sector + SECTOR and sector < offset + size


if __name__ == "__main__":
    mfusepy.FUSE(
        FaultyStick(Path(sys.argv[1]), Path(sys.argv[3])),
        sys.argv[2],
        foreground=True,
        raw_fi=True,
        nothreads=True,
        allow_other=True,
    )
