"""What a plan wants as flat text, to be compared in words: the profile, files by content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from provisioner.errors import MediaError
from provisioner.profile.model import Profile
from provisioner.secret import describe
from provisioner.tree import Bytes, File, HostFile, Slice, Text


def wish(profile: Profile) -> dict[str, str]:
    """The profile by dotted path, `machine.disks[0].bus`, without the values of literal secrets."""
    flat = _flattened("", _without_literals(profile.model_dump(mode="json")))
    return dict(sorted(flat.items()))


def _without_literals(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"plain"}:
            return {"plain": "(literal)"}
        return {key: _without_literals(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_literals(member) for member in value]
    return value


def _flattened(prefix: str, value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        pairs: list[tuple[str, Any]] = [
            (f"{prefix}.{key}" if prefix else str(key), member) for key, member in value.items()
        ]
    elif isinstance(value, list):
        pairs = [(f"{prefix}[{index}]", member) for index, member in enumerate(value)]
    else:
        return {prefix: "default" if value is None else str(value)}
    flat: dict[str, str] = {}
    for key, member in pairs:
        flat |= _flattened(key, member)
    return flat


def content_hash(file: File) -> str:
    """SHA-256 over what is known of a file before its secrets are filled in."""
    sha = hashlib.sha256()
    for part in file.content:
        match part:
            case Bytes(data=data):
                sha.update(b"bytes\0" + data)
            case Text(parts=parts, encoding=encoding):
                sha.update(f"text\0{encoding}\0".encode())
                for piece in parts:
                    if isinstance(piece, str):
                        sha.update(piece.encode())
                    else:
                        named = f"\0{piece.name}\0{piece.encoding}\0{describe(piece.reference)}\0"
                        sha.update(named.encode())
            case HostFile(path=path, size=size):
                sha.update(f"host\0{size}\0".encode() + _content_digest(path))
            case Slice(offset=offset, length=length):
                sha.update(f"slice\0{offset}\0{length}\0".encode())
    return sha.hexdigest()


def _content_digest(path: Path) -> bytes:
    """What is in a file of this machine now: it is read again when the disc is written."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as err:
        raise MediaError(f"{path} cannot be read: {err.strerror}") from err
