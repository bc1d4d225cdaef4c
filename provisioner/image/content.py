"""Turns the content of one `File` into bytes: the only place where secret slots are filled.

Text is rendered once and kept in memory; host files and slices are read in blocks of 4 MiB.
Nothing here writes. No message quotes a character that could belong to a secret.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from pathlib import Path, PurePosixPath
from typing import assert_never

from provisioner.errors import FailedError
from provisioner.frozen import frozen
from provisioner.secret import SecretSlot
from provisioner.tree import Bytes, Content, File, HostFile, Slice, Text

BLOCK = 4 * 1024 * 1024
"""How much is read at once, in bytes."""

Reveal = Callable[[SecretSlot], str]
"""Gives the characters for a slot, already encoded for their place (`quoting.ENCODINGS`)."""


@frozen
class Payload:
    """The bytes one file will have. `length` in bytes, known before anything is read."""

    path: PurePosixPath
    pieces: tuple[bytes | HostFile | Slice, ...] = field(repr=False)
    length: int

    def blocks(self) -> Iterator[bytes]:
        """The content from its beginning, in order, at most `BLOCK` bytes at a time.

        Raises FailedError where a source is missing, shorter than planned or changes meanwhile.
        """
        for piece in self.pieces:
            match piece:
                case bytes():
                    for start in range(0, len(piece), BLOCK):
                        yield piece[start : start + BLOCK]
                case HostFile():
                    yield from _host_file(self.path, piece)
                case Slice():
                    yield from _slice(self.path, piece)
                case _:
                    assert_never(piece)


def resolve(path: PurePosixPath, file: File, reveal: Reveal) -> Payload:
    """Renders the text parts of a file and adds up its length; `path` is for messages.

    Raises FailedError where text does not fit its encoding, and whatever `reveal` raises.
    """
    pieces: list[bytes | HostFile | Slice] = []
    length = 0
    for part in file.content:
        match part:
            case Bytes(data=data):
                pieces.append(data)
                length += len(data)
            case Text():
                data = _render(path, part, reveal)
                pieces.append(data)
                length += len(data)
            case HostFile(size=size):
                pieces.append(part)
                length += size
            case Slice(length=size):
                pieces.append(part)
                length += size
            case _:
                assert_never(part)
    return Payload(path=path, pieces=tuple(pieces), length=length)


def planned_length(file: File) -> int:
    """The length in bytes as far as it is known without secrets: slots count as nothing."""
    return sum(_planned(part) for part in file.content)


def holds_secret(file: File) -> bool:
    """Whether any part of the file has a slot for a secret."""
    return any(
        isinstance(piece, SecretSlot)
        for part in file.content
        if isinstance(part, Text)
        for piece in part.parts
    )


def _planned(part: Content) -> int:
    match part:
        case Bytes(data=data):
            return len(data)
        case Text(parts=parts):
            return sum(len(piece) for piece in parts if isinstance(piece, str))
        case HostFile(size=size):
            return size
        case Slice(length=length):
            return length
        case _:
            assert_never(part)


def _render(path: PurePosixPath, text: Text, reveal: Reveal) -> bytes:
    """Joined before encoding, so that encodings with a byte order mark write it once.

    A line end that is already `\\r\\n` counts as one line end. Secrets are left as they come.
    """
    pieces = [
        piece.replace("\r\n", "\n").replace("\n", text.newline)
        if isinstance(piece, str)
        else reveal(piece)
        for piece in text.parts
    ]
    joined = "".join(pieces)
    try:
        return joined.encode(text.encoding)
    except UnicodeEncodeError as err:
        reason = _unfit(text, pieces, err.start)
    # Outside the handler, so that no traceback carries the codec's copy of the whole text.
    raise FailedError(
        f"{path}: {reason}",
        hint=f"the file is written as {text.encoding}; "
        "use characters it has, or an encoding that has these",
    )


def _unfit(text: Text, pieces: list[str], position: int) -> str:
    """Names the character that does not fit, or only the slot when it is a secret's."""
    for part, piece in zip(text.parts, pieces, strict=True):
        if position >= len(piece):
            position -= len(piece)
        elif isinstance(part, SecretSlot):
            return f"the value of {part.name} has a character that {text.encoding} has not"
        else:
            line = piece[:position].count(text.newline or "\n") + 1
            return f"{piece[position]!a} (line {line} of its part) is not in {text.encoding}"
    return f"a character is not in {text.encoding}"


def _host_file(path: PurePosixPath, part: HostFile) -> Iterator[bytes]:
    with opened_untouched(part.path) as (descriptor, before):
        if before.st_size != part.size:
            raise FailedError(
                f"{path}: {part.path} had {part.size} bytes when this was planned "
                f"and has {before.st_size} now",
                hint="do not change it meanwhile; plan again to take the new content",
            )
        yield from _pread(path, part.path, descriptor, 0, part.size)
        after = os.fstat(descriptor)
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise FailedError(
                f"{path}: {part.path} changed while it was read",
                hint="do not change it meanwhile; try again",
            )


def _slice(path: PurePosixPath, part: Slice) -> Iterator[bytes]:
    with opened_untouched(part.image) as (descriptor, _):
        yield from _pread(path, part.image, descriptor, part.offset, part.length)


def _pread(
    path: PurePosixPath, source: Path, descriptor: int, offset: int, length: int
) -> Iterator[bytes]:
    end = offset + length
    while offset < end:
        try:
            block = os.pread(descriptor, min(BLOCK, end - offset), offset)
        except OSError as err:
            raise FailedError(
                f"{path}: cannot read {source} at byte {offset}: {err.strerror}"
            ) from err
        if not block:
            raise FailedError(
                f"{path}: {source} ends at byte {offset}, {end - offset} bytes too early",
                hint="the file is truncated, or it changed since this was planned",
            )
        offset += len(block)
        yield block


@contextmanager
def opened_untouched(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    """A file or block device, opened for `os.pread`, with its status: `(descriptor, status)`.

    Its access time stays as it is where the kernel lets us (`O_NOATIME`, open(2): owner or
    CAP_FOWNER). A named pipe does not block (`O_NONBLOCK`) and is refused. Raises FailedError.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        try:
            descriptor = os.open(path, flags | os.O_NOATIME)
        except PermissionError:
            descriptor = os.open(path, flags)
    except OSError as err:
        raise FailedError(f"cannot read {path}: {err.strerror}") from err
    try:
        status = os.fstat(descriptor)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
            raise FailedError(f"{path} is neither a file nor a block device")
        yield descriptor, status
    finally:
        os.close(descriptor)
