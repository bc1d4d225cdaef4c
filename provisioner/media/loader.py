"""Boot loaders: what machine a PE file is for, and who signed it.

Microsoft's "PE Format". Only headers and the certificate table are read, unless the digest is
asked for.
"""

from __future__ import annotations

import hashlib
import struct

from provisioner.frozen import frozen
from provisioner.media.authenticode import read_signature
from provisioner.media.trust import Loader, Signer
from provisioner.media.wim import Readable
from provisioner.media.window import Damaged

_MACHINES = {
    0x014C: "x86",
    0x01C4: "arm",
    0x0200: "ia64",
    0x5032: "riscv32",
    0x5064: "riscv64",
    0x6264: "loongarch64",
    0x8664: "amd64",
    0xAA64: "arm64",
}
_SUBSYSTEMS = {
    1: "native",
    2: "Windows program",
    3: "console program",
    10: "EFI application",
    11: "EFI boot service driver",
    12: "EFI runtime driver",
    16: "Windows boot application",
}
_SECURITY = 4
_PKCS7 = 2
_MAX_TABLE = 1 << 20
_MAX_SIGNATURES = 8
_PIECE = 1 << 20


@frozen
class _Headers:
    machine: int
    subsystem: int
    checksum: int
    """Where the checksum field stands."""
    directory: int
    """Where the security directory's entry stands, 0 where there is none."""
    table: int
    table_bytes: int


def read_loader(file: Readable, path: str) -> Loader:
    """Machine, subsystem and signers of a PE file; `Damaged` when it is none."""
    headers = _headers(file)
    signers: tuple[Signer, ...] = ()
    problem = ""
    try:
        signers = _signers(file, headers)
    except Damaged as err:
        problem = err.message
    return Loader(
        path=path,
        machine=_MACHINES.get(headers.machine, f"machine {headers.machine:#06x}"),
        subsystem=_SUBSYSTEMS.get(headers.subsystem, f"subsystem {headers.subsystem}"),
        signers=signers,
        problem=problem,
    )


def is_unchanged(file: Readable, signer: Signer) -> bool | None:
    """Whether the file still has the digest that was signed; None where that cannot be told.

    Reads all of the file.
    """
    if not signer.algorithm:
        return None
    headers = _headers(file)
    digest = hashlib.new(signer.algorithm, usedforsecurity=False)
    holes = [(headers.checksum, 4), (headers.directory, 8), (headers.table, headers.table_bytes)]
    at = 0
    for hole, length in [*holes, (file.size, 0)]:
        while at < hole:
            count = min(_PIECE, hole - at)
            digest.update(file.read(at, count))
            at += count
        at = hole + length
    return digest.digest() == signer.digest


def _headers(file: Readable) -> _Headers:
    start = file.read(0, min(file.size, 1024))
    if len(start) < 64 or start[:2] != b"MZ":
        raise Damaged("it is no program: MZ is missing")
    (place,) = struct.unpack_from("<I", start, 60)
    head = file.read(place, min(max(file.size - place, 0), 24 + 240))
    if len(head) < 24 + 96 or head[:4] != b"PE\0\0":
        raise Damaged("it is no PE program")
    magic, (subsystem,) = head[24:26], struct.unpack_from("<H", head, 24 + 68)
    if magic not in {b"\x0b\x01", b"\x0b\x02"}:
        raise Damaged("it is a PE program of an unknown form")
    first = 24 + (96 if magic == b"\x0b\x01" else 112)
    (count,) = struct.unpack_from("<I", head, first - 4) if first <= len(head) else (0,)
    entry = first + 8 * _SECURITY
    table = table_bytes = 0
    has_entry = count > _SECURITY and entry + 8 <= len(head)
    if has_entry:
        table, table_bytes = struct.unpack_from("<II", head, entry)
    return _Headers(
        machine=int.from_bytes(head[4:6], "little"),
        subsystem=subsystem,
        checksum=place + 24 + 64,
        directory=place + entry if has_entry else 0,
        table=table,
        table_bytes=table_bytes,
    )


def _signers(file: Readable, headers: _Headers) -> tuple[Signer, ...]:
    """Every signature of the attribute certificate table; some loaders carry two."""
    if not headers.table_bytes:
        return ()
    if headers.table_bytes > _MAX_TABLE or headers.table < headers.directory + 8:
        raise Damaged("its certificate table is impossible")
    data = file.read(headers.table, headers.table_bytes)
    found: list[Signer] = []
    at = 0
    while at + 8 <= len(data) and len(found) < _MAX_SIGNATURES:
        length, _, kind = struct.unpack_from("<IHH", data, at)
        if not 8 < length <= len(data) - at:
            raise Damaged("its certificate table is damaged")
        if kind == _PKCS7:
            found += read_signature(data[at + 8 : at + length])
        at += length + -length % 8
    return tuple(found)
