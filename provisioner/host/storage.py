"""A machine's files in a folder of ours (embed, session, test driver)."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from provisioner.errors import FailedError
from provisioner.host.files import appearing, os_error, private_folder
from provisioner.host.process import run
from provisioner.ports import Storage

QEMU_IMG_HINT = (
    "install it: Debian and Ubuntu qemu-utils, Fedora qemu-img, Arch qemu-img (or qemu-full)"
)


class MachineStorage(Protocol):
    """The storage part of `ports.Hypervisor`, for one machine."""

    def record(self) -> Storage:
        """Where it is and how much room is left."""

    def create_disk(self, file_name: str, size: int) -> str: ...

    def store_file(self, file_name: str, write: Callable[[Path], None]) -> str: ...

    def delete_file(self, file_name: str) -> None: ...

    def stored_files(self) -> Mapping[str, int]: ...


class FolderStorage:
    """Everything in `folder` (0700), each file 0600. QEMU runs as the same user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self) -> Storage:
        return Storage(folder=str(self._folder), free_bytes=free_bytes(self._folder))

    def create_disk(self, file_name: str, size: int) -> str:
        path = self._path(file_name)
        private_folder(self._folder)
        temporary = path.with_name(f".{file_name}.{os.urandom(4).hex()}.part")
        try:
            run(
                ("qemu-img", "create", "-q", "-f", "qcow2", str(temporary), str(size)),
                timeout=30,
                hint=QEMU_IMG_HINT,
            )
            temporary.chmod(0o600)
            # A hard link, unlike a rename, does not replace a disk that is there already.
            os.link(temporary, path)
        except FileExistsError as err:
            raise FailedError(
                f"the disk {path} exists already",
                hint="it belongs to an earlier machine: provisioner delete removes it",
            ) from err
        except OSError as err:
            raise os_error(err, f"make the disk {path}") from err
        finally:
            temporary.unlink(missing_ok=True)
        return str(path)

    def store_file(self, file_name: str, write: Callable[[Path], None]) -> str:
        path = self._path(file_name)
        private_folder(self._folder)
        with appearing(path) as temporary:
            try:
                write(temporary)
            except OSError as err:
                raise os_error(err, f"write {path}") from err
        return str(path)

    def delete_file(self, file_name: str) -> None:
        """Also what a writer that was killed left of it: such a piece may hold secrets."""
        path = self._path(file_name)
        try:
            path.unlink(missing_ok=True)
            for piece in self._folder.glob(f".*{glob.escape(file_name)}.*part"):
                piece.unlink(missing_ok=True)
        except OSError as err:
            raise os_error(err, f"delete {path}") from err

    def stored_files(self) -> Mapping[str, int]:
        try:
            with os.scandir(self._folder) as entries:
                return {
                    entry.name: entry.stat(follow_symlinks=False).st_blocks * 512
                    for entry in sorted(entries, key=lambda entry: entry.name)
                    if entry.is_file(follow_symlinks=False)
                }
        except FileNotFoundError:
            return {}
        except OSError as err:
            raise os_error(err, f"list {self._folder}") from err

    def _path(self, file_name: str) -> Path:
        return self._folder / plain_name(file_name)


def plain_name(file_name: str) -> str:
    """The name itself; FailedError where it would lead out of the storage."""
    if not file_name or file_name in (".", "..") or "/" in file_name or "\0" in file_name:
        raise FailedError(f"{file_name!r} is not a file name")
    return file_name


def free_bytes(folder: Path) -> int | None:
    """Room left where the folder is, or will be; None where nobody can tell."""
    for place in (folder, *folder.parents):
        try:
            status = os.statvfs(place)
        except OSError:
            continue
        return status.f_bavail * status.f_frsize
    return None
