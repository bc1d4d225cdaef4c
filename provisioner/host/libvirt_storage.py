"""A machine's files as volumes of a libvirt pool (system daemon).

The pool is shared with others: the caller's file names begin with the machine's name and a hyphen,
and nothing is deleted but what the caller names. A volume's path is the pool's folder and its name.
"""

from __future__ import annotations

import html
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from provisioner.errors import FailedError, HostError
from provisioner.host.files import os_error, private_folder
from provisioner.host.libvirt_errors import (
    NO_POOL,
    NO_VOLUME,
    code_of,
    libvirt_module,
    translate,
    translated,
)
from provisioner.host.libvirt_link import Link
from provisioner.host.storage import plain_name
from provisioner.ports import Medium, Storage

OUR_POOL = "provisioner"
OUR_FOLDER = "/var/lib/libvirt/images/provisioner"
FILE_POOLS = ("dir", "fs", "netfs")
"""Pools whose volumes are files: a qcow2 overlay over the user's ISO needs one."""
BUSY_TRIES, BUSY_WAIT = 600, 0.05
"""How often a pool that is in use is asked again, and the seconds between."""


class PoolStorage:
    """Volumes of one machine. Without `pool`: `default` where it is an active pool of files,
    otherwise a folder pool of our own, made when the first file is stored. A file is written in
    `scratch` first, because it may hold secrets and /tmp is everybody's.
    """

    def __init__(self, link: Link, machine: str, *, scratch: Path, pool: str | None = None) -> None:
        self._scratch = scratch
        self._link = link
        self._prefix = f"{machine}-"
        self._wanted = pool

    def record(self) -> Storage:
        pool = self._pool(make=False)
        if pool is None:
            return Storage(folder=OUR_FOLDER, pool=OUR_POOL)
        with translated("look at the storage pool"):
            return Storage(folder=_folder(pool), pool=pool.name(), free_bytes=pool.info()[3])

    def create_disk(self, file_name: str, size: int) -> str:
        pool = self._made()
        with translated(f"make the disk {file_name}"):
            if self._volume(pool, file_name) is not None:
                raise FailedError(
                    f"the disk {file_name} exists already in the pool {pool.name()}",
                    hint="it belongs to an earlier machine: provisioner delete removes it",
                )
            volume = pool.createXML(_volume_xml(file_name, size, "qcow2"), 0)
            return str(volume.path())

    def store_file(self, file_name: str, write: Callable[[Path], None]) -> str:
        """A volume cannot be renamed, so one whose upload fails is deleted again."""
        pool = self._made()
        name = plain_name(file_name)
        private_folder(self._scratch)
        with tempfile.TemporaryDirectory(prefix="upload-", dir=self._scratch) as folder:
            path = Path(folder) / name
            try:
                path.touch(0o600)
                write(path)
                size = path.stat().st_size
            except OSError as err:
                raise os_error(err, f"write {name}") from err
            self.delete_file(name)
            with translated(f"store {name}"):
                # Uploaded as raw bytes whatever it is; a refresh then recognises qcow2.
                volume = pool.createXML(_volume_xml(name, size, "raw"), 0)
                try:
                    self._upload(volume, path, size)
                except BaseException:
                    volume.delete(0)
                    raise
                refresh(pool)
                return str(volume.path())

    def delete_file(self, file_name: str) -> None:
        pool = self._pool(make=False)
        if pool is None:
            return
        with translated(f"delete {file_name}"):
            volume = self._volume(pool, file_name)
            if volume is not None:
                volume.delete(0)

    def stored_files(self) -> Mapping[str, int]:
        pool = self._pool(make=False)
        if pool is None:
            return {}
        with translated("list the storage pool"):
            # Somebody may have removed or added files by hand; a pool notices when refreshed.
            refresh(pool)
            return {
                name: pool.storageVolLookupByName(name).info()[2]
                for name in sorted(pool.listVolumes())
            }

    def backing_of(self, path: str) -> Medium | None:
        """What a stored qcow2 file lies over."""
        libvirt = libvirt_module()
        try:
            xml = self._link.connection().storageVolLookupByPath(path).XMLDesc(0)
        except libvirt.libvirtError as err:
            if code_of(err) == NO_VOLUME:
                return None
            raise translate(err, f"look at {path}") from err
        backing = ElementTree.fromstring(xml).find("backingStore")
        if backing is None or not backing.findtext("path"):
            return None
        form = backing.find("format")
        return Medium(
            path=backing.findtext("path") or "",
            format=form.get("type", "raw") if form is not None else "raw",
        )

    def holds(self, path: str) -> bool:
        """Whether this is one of the machine's volumes, which libvirt may give to QEMU's user."""
        pool = self._pool(make=False)
        if pool is None:
            return False
        with translated("look at the storage pool"):
            return path.startswith(f"{_folder(pool)}/{self._prefix}")

    def _upload(self, volume: Any, path: Path, size: int) -> None:
        stream = self._link.connection().newStream(0)
        volume.upload(stream, 0, size, 0)
        with path.open("rb") as source:
            try:
                stream.sendAll(lambda _stream, count, file: file.read(count), source)
            except BaseException:
                stream.abort()
                raise
        stream.finish()

    def _made(self) -> Any:
        pool = self._pool(make=True)
        assert pool is not None
        return pool

    def _pool(self, *, make: bool) -> Any | None:
        if self._wanted is not None:
            return self._named(self._wanted)
        default = self._lookup("default")
        with translated("look at the storage pools"):
            if default is not None and default.isActive() and _type(default) in FILE_POOLS:
                return default
            ours = self._lookup(OUR_POOL)
            if make:
                ours = ours or self._defined()
                started(ours)
            return ours if ours is not None and ours.isActive() else None

    def _defined(self) -> Any:
        libvirt = libvirt_module()
        try:
            ours = self._link.connection().storagePoolDefineXML(
                f"<pool type='dir'><name>{OUR_POOL}</name>"
                f"<target><path>{OUR_FOLDER}</path></target></pool>",
                0,
            )
            ours.setAutostart(1)
        except libvirt.libvirtError:
            ours = self._lookup(OUR_POOL)  # another machine that is being made was quicker
            if ours is None:
                raise
        return ours

    def _named(self, name: str) -> Any:
        pool = self._lookup(name)
        if pool is None:
            raise HostError(
                f"this host has no storage pool {name}", hint="virsh pool-list --all shows them"
            )
        with translated(f"look at the storage pool {name}"):
            if not pool.isActive():
                raise HostError(
                    f"the storage pool {name} is not active", hint=f"virsh pool-start {name}"
                )
            if _type(pool) not in FILE_POOLS:
                raise HostError(
                    f"the storage pool {name} holds no files but {_type(pool)} volumes",
                    hint=f"name a pool of one of these types: {', '.join(FILE_POOLS)}",
                )
        return pool

    def _lookup(self, name: str) -> Any | None:
        libvirt = libvirt_module()
        try:
            return self._link.connection().storagePoolLookupByName(name)
        except libvirt.libvirtError as err:
            if code_of(err) == NO_POOL:
                return None
            raise translate(err, f"look up the storage pool {name}") from err

    def _volume(self, pool: Any, file_name: str) -> Any | None:
        libvirt = libvirt_module()
        try:
            return pool.storageVolLookupByName(plain_name(file_name))
        except libvirt.libvirtError as err:
            if code_of(err) == NO_VOLUME:
                return None
            raise


def started(pool: Any, *, tries: int = 20) -> None:
    """Makes the pool's folder and the pool active; somebody else may be just doing the same."""
    libvirt = libvirt_module()
    for left in reversed(range(tries)):
        try:
            if not pool.isActive():
                pool.create(libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD)
            return
        except libvirt.libvirtError:
            if not left:
                raise
            time.sleep(BUSY_WAIT)


def refresh(pool: Any, *, tries: int = BUSY_TRIES) -> None:
    """Has the pool look at its folder again.

    libvirt refuses that ("has asynchronous jobs running", `storagePoolRefresh` of its storage
    driver) while anybody uploads a volume to the pool, as another machine that is being made; that
    ends by itself.
    """
    libvirt = libvirt_module()
    for left in reversed(range(tries)):
        try:
            pool.refresh(0)
            return
        except libvirt.libvirtError as err:
            if "asynchronous jobs" not in str(err) or not left:
                raise
            time.sleep(BUSY_WAIT)


def _type(pool: Any) -> str:
    return ElementTree.fromstring(pool.XMLDesc(0)).get("type", "")


def _folder(pool: Any) -> str:
    path = ElementTree.fromstring(pool.XMLDesc(0)).findtext("./target/path") or ""
    return os.path.normpath(path)


def _volume_xml(name: str, size: int, form: str) -> str:
    return (
        f"<volume><name>{html.escape(name)}</name><capacity unit='bytes'>{size}</capacity>"
        + ("<allocation unit='bytes'>0</allocation>" if form == "qcow2" else "")
        + f"<target><format type='{form}'/><permissions><mode>0600</mode></permissions></target>"
        "</volume>"
    )
