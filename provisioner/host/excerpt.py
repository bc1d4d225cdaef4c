"""Reads what a program prints, however much that is: its beginning and its end are kept."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

from provisioner.errors import FailedError, HostError
from provisioner.frozen import frozen

BLOCK = 256 << 10
MEMORY = 1 << 30
"""Bytes that the program may map: it reads what a stranger wrote."""


@frozen
class Bounds:
    """Bytes kept of the beginning and of the end, bytes read at all, and seconds."""

    head: int = 256 << 10
    tail: int = 1 << 20
    most: int = 512 << 20
    seconds: float = 20.0


@frozen
class Excerpt:
    """`head` and `tail` follow each other without a gap where `size` says so.

    `size` is how many bytes came; `ended` is False where reading was given up before the end.
    """

    head: bytes
    tail: bytes
    size: int
    ended: bool

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.ended and len(self.head) + len(self.tail) == self.size


def excerpt_of(argv: Sequence[str], bounds: Bounds) -> Excerpt:
    """What the program writes to its standard output.

    HostError where it is not installed; FailedError where it fails without a word of output.
    """
    if not shutil.which(argv[0]):
        raise HostError(f"the program {argv[0]} is not installed")
    limited = ["prlimit", f"--as={MEMORY}", "--core=0"] if shutil.which("prlimit") else []
    process = subprocess.Popen(
        ["env", "LC_ALL=C.UTF-8", *limited, *argv],  # names as UTF-8, whatever the user's are
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        excerpt = _read(process, bounds)
        code = process.poll() if not excerpt.ended else process.wait(5)
    except subprocess.TimeoutExpired as err:
        raise FailedError(f"{argv[0]} does not end") from err
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    if code and not excerpt.size:
        raise FailedError(f"{argv[0]} failed (exit code {code})")
    return excerpt


def _read(process: subprocess.Popen[bytes], bounds: Bounds) -> Excerpt:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    deadline = time.monotonic() + bounds.seconds
    head, tail, size, ended = bytearray(), bytearray(), 0, False
    while size < bounds.most and (left := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            break
        block = os.read(descriptor, BLOCK)
        if not block:
            ended = True
            break
        size += len(block)
        room = bounds.head - len(head)
        head += block[: max(room, 0)]
        tail += block[max(room, 0) :]
        if len(tail) > 2 * bounds.tail:
            del tail[: -bounds.tail]
    del tail[: max(0, len(tail) - bounds.tail)]
    return Excerpt(head=bytes(head), tail=bytes(tail), size=size, ended=ended)
