"""What lies under a disk image: its layers, from the headers alone, top first.

The image may come from a stranger, and a hostile guest wrote a raw one: QEMU is told every layer,
its format included, so that it neither guesses a format nor follows a name of its own
(QEMU's documentation of qcow2, `docs/interop/qcow2.txt`: header, and header extensions).
"""

from __future__ import annotations

import os
import re
import stat
import struct
from pathlib import Path

from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.host.files import os_error

DEEPEST = 32
_LONGEST_NAME = 1023
_MAGICS = (
    (b"QFI\xfb", "qcow2"),
    (b"vhdxfile", "vhdx"),
    (b"conectix", "vpc"),
    (b"KDMV", "vmdk"),
)
_VDI_AT, _VDI = 64, b"\x7f\x10\xda\xbe"
_PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BACKING_FORMAT = 0xE2792ACA
_DATA_FILE_BIT = 1 << 2


@frozen
class Layer:
    """One image of a chain. `driver` is QEMU's name of its format."""

    path: Path
    driver: str
    device: bool
    """A block device, which QEMU opens in another way than a file."""


def disk_chain(path: Path, declared: str | None = None) -> tuple[Layer, ...]:
    """The image and everything under it.

    `declared` is the format that the domain states; without it the first bytes tell. MediaError
    for what cannot be opened, or is better not opened.
    """
    layers: list[Layer] = []
    visited: set[tuple[int, int]] = set()
    following: Path | None = path
    while following is not None:
        layer, backing, declared = _look(following, declared, under=bool(layers))
        status = layer.path.stat()
        if (status.st_dev, status.st_ino) in visited or len(layers) == DEEPEST:
            raise MediaError(
                f"{path} has no end: its backing files go round in a circle, or are more than "
                f"{DEEPEST}"
            )
        visited.add((status.st_dev, status.st_ino))
        layers.append(layer)
        following = backing
    return tuple(layers)


def _look(
    path: Path, declared: str | None, *, under: bool
) -> tuple[Layer, Path | None, str | None]:
    """One layer, the path of what lies under it, and the format that is said to have."""
    try:
        # O_NONBLOCK, so that a FIFO is refused below instead of waiting for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as err:
        raise os_error(err, f"read the disk {path}") from err
    status = os.fstat(descriptor)
    device = stat.S_ISBLK(status.st_mode)
    if not (stat.S_ISREG(status.st_mode) or (device and not under)):
        os.close(descriptor)
        raise MediaError(f"{path} is no disk image")
    with os.fdopen(descriptor, "rb") as file:
        head = file.read(4096)
        driver = declared or _driver(head)
        if driver == "raw" and under and status.st_size % 512:
            raise MediaError(
                f"{path} lies under another image and is no disk: {status.st_size} bytes",
                hint="whoever made the image may want another file of this host to be read",
            )
        layer = Layer(path=path, driver=driver, device=device)
        if driver != "qcow2":
            return layer, None, None
        name, backing_format = _qcow2(head, file.fileno(), path)
    if name is None:
        return layer, None, None
    return layer, path.parent / name, backing_format


def _driver(head: bytes) -> str:
    for magic, driver in _MAGICS:
        if head.startswith(magic):
            return driver
    if head[_VDI_AT : _VDI_AT + len(_VDI)] == _VDI:
        return "vdi"
    if head.startswith(b"# Disk DescriptorFile"):
        raise MediaError(
            "a VMDK that is a list of other files is not read",
            hint="make one file of it: qemu-img convert -O qcow2 DISK.vmdk DISK.qcow2",
        )
    return "raw"


def _qcow2(head: bytes, descriptor: int, path: Path) -> tuple[str | None, str | None]:
    """Name and format of the backing file."""
    if len(head) < 72 or not head.startswith(b"QFI\xfb"):
        raise MediaError(f"{path} is said to be qcow2, and is not")
    version, offset, size = struct.unpack_from(">IQI", head, 4)
    (encryption,) = struct.unpack_from(">I", head, 32)
    extensions = 72
    if version >= 3:
        if len(head) < 104:
            raise MediaError(f"{path} is a damaged qcow2 image")
        (features,) = struct.unpack_from(">Q", head, 72)
        (extensions,) = struct.unpack_from(">I", head, 100)
        if features & _DATA_FILE_BIT:
            raise MediaError(f"{path} keeps its data in another file; such images are not read")
    if encryption:
        raise MediaError(f"{path} is encrypted")
    if not offset:
        return None, None
    if size > _LONGEST_NAME:
        raise MediaError(f"{path} is a damaged qcow2 image: a name of {size} bytes")
    name = os.fsdecode(os.pread(descriptor, size, offset)).removeprefix("file:")
    if _PROTOCOL.match(name) or "\0" in name or not name:
        raise MediaError(
            f"{path} lies over {name!r}, which is no file of this host",
            hint="copy the whole chain into one file: qemu-img convert -O qcow2",
        )
    return name, _format(head, extensions)


def _format(head: bytes, at: int) -> str | None:
    """The backing file's format as the header extensions state it; None where they do not."""
    while at + 8 <= len(head):
        kind, length = struct.unpack_from(">II", head, at)
        if not kind:
            return None
        if kind == _BACKING_FORMAT:
            name = head[at + 8 : at + 8 + length].decode("ascii", "replace")
            return name if name in {"raw", "qcow2", "vhdx", "vpc", "vmdk", "vdi"} else None
        at += 8 + (length + 7 & ~7)
    return None
