"""A manifest: every file of an image with its place and SHA-256, and the image's own SHA-256."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

from provisioner.disc.view import Item, View
from provisioner.errors import MediaError
from provisioner.frozen import frozen
from provisioner.media.window import Extents, Window

FORMAT = "provisioner disc manifest 1"
_BLOCK = 1024 * 1024
_LONGEST = 256 * 1024 * 1024
_LINE = re.compile(r"\\?([0-9a-fA-F]{64}) [ *](.+)")

Progress = Callable[[int, int], None]


@frozen
class ManifestFile:
    """One file. `sha256` in hexadecimal; `extents` are (byte offset, bytes) in the image."""

    path: str
    size: int
    sha256: str
    extents: tuple[tuple[int, int], ...] = ()
    modified: int | None = None
    mode: int | None = None


@frozen
class Manifest:
    """An image's. `size` is None in a list of checksums, which does not know it."""

    name: str
    sha256: str
    size: int | None = None
    label: str = ""
    files: tuple[ManifestFile, ...] = ()


def make_manifest(view: View, progress: Progress = lambda done, total: None) -> Manifest:
    """Reads the whole image, and every file again: in two threads, since hashing is the cost."""
    files = list(view.files)
    stop = Event()
    done = 0

    def moved(count: int) -> None:
        nonlocal done
        done += count
        progress(done, view.window.size)

    with ThreadPoolExecutor(max_workers=1) as pool:
        pending = pool.submit(_file_digests, view, files, stop)
        try:
            whole = image_digest(view.window, view.window.size, moved)
            digests = pending.result()
        finally:
            stop.set()
    view.require_unchanged()
    return Manifest(
        name=view.window.path.name,
        sha256=whole,
        size=view.window.size,
        label=view.label,
        files=tuple(
            ManifestFile(
                path=item.path,
                size=item.size,
                sha256=digest,
                extents=tuple((extent.offset, extent.length) for extent in item.extents),
                modified=item.modified,
                mode=item.mode,
            )
            for item, digest in zip(files, digests, strict=True)
        ),
    )


def image_digest(window: Window, size: int, moved: Callable[[int], None]) -> str:
    """SHA-256 of the first `size` bytes; `Damaged` where there are fewer."""
    digest = hashlib.sha256()
    for data in _blocks(window.read, size):
        digest.update(data)
        moved(len(data))
    return digest.hexdigest()


def file_digest(window: Window, item: Item) -> str:
    """SHA-256 of a file in an image."""
    digest = hashlib.sha256()
    for data in _blocks(Extents(window, item.extents).read, item.size):
        digest.update(data)
    return digest.hexdigest()


def manifest_text(manifest: Manifest) -> str:
    """As JSON, one file on each line; the same image gives the same text."""
    head = {
        "format": FORMAT,
        "name": manifest.name,
        "size": manifest.size,
        "sha256": manifest.sha256,
        "label": manifest.label,
    }
    lines = [json.dumps(_members(file), ensure_ascii=True) for file in manifest.files]
    text = json.dumps(head, ensure_ascii=True)[:-1]
    return text + ', "files": [\n' + ",\n".join(lines) + "\n]}\n"


def read_manifest(path: Path, image: str) -> Manifest | None:
    """A manifest of ours, or a list of SHA-256 sums that has `image` or nothing else; None for
    what is neither. MediaError for a manifest that is damaged or of another image."""
    try:
        if path.stat().st_size > _LONGEST:
            return None
        with path.open("rb") as stream:
            if b"\0" in stream.read(4096):
                return None
        text = path.read_text("utf-8")
    except OSError as err:
        raise MediaError(f"cannot read {path}: {err.strerror}") from err
    except UnicodeDecodeError:
        return None
    if text.lstrip().startswith("{"):
        return _parsed(path, text)
    return _listed(path, text, image)


def _parsed(path: Path, text: str) -> Manifest:
    try:
        members = json.loads(text)
        if members["format"] != FORMAT:
            raise ValueError("another format")
        return Manifest(
            name=str(members["name"]),
            sha256=str(members["sha256"]),
            size=int(members["size"]),
            label=str(members["label"]),
            files=tuple(_file(each) for each in members["files"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as err:
        raise MediaError(
            f"{path} is no manifest of an image", hint="provisioner iso verify --manifest makes one"
        ) from err


def _listed(path: Path, text: str, image: str) -> Manifest | None:
    """Lines as `sha256sum` writes them, or one bare digest."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and re.fullmatch(r"[0-9a-fA-F]{64}", lines[0]):
        return Manifest(name=image, sha256=lines[0].lower())
    sums = {match[2]: match[1].lower() for line in lines if (match := _LINE.fullmatch(line))}
    if not sums:
        return None
    named = {Path(name).name: digest for name, digest in sums.items()}
    if image not in named:
        raise MediaError(f"{path} has no checksum of {image}", hint="it has " + ", ".join(named))
    return Manifest(name=image, sha256=named[image])


def _file(members: Any) -> ManifestFile:
    return ManifestFile(
        path=str(members["path"]),
        size=int(members["size"]),
        sha256=str(members["sha256"]),
        extents=tuple((int(offset), int(length)) for offset, length in members["extents"]),
        modified=members.get("modified"),
        mode=members.get("mode"),
    )


def _members(file: ManifestFile) -> dict[str, Any]:
    return {
        "path": file.path,
        "size": file.size,
        "sha256": file.sha256,
        "modified": file.modified,
        "mode": file.mode,
        "extents": [list(extent) for extent in file.extents],
    }


def _file_digests(view: View, files: list[Item], stop: Event) -> list[str]:
    digests = []
    for item in files:
        digest = hashlib.sha256()
        for data in _blocks(Extents(view.window, item.extents).read, item.size):
            if stop.is_set():
                return []
            digest.update(data)
        digests.append(digest.hexdigest())
    return digests


def _blocks(read: Callable[[int, int], bytes], size: int) -> Iterator[bytes]:
    for start in range(0, size, _BLOCK):
        yield read(start, min(_BLOCK, size - start))
