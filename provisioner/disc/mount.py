"""`iso mount`: an image as a read-only folder, with the files of the side that has most."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path

from provisioner.disc.view import Item, View, opened_view
from provisioner.errors import FailedError, HostError, ProvisionerError, RefusedError, UsageError
from provisioner.host import fuse, mount, udisks

_KERNEL_SIDES = {"UDF": "udf", "Rock Ridge": "iso9660", "Joliet": "iso9660", "ISO 9660": "iso9660"}
_OTHERWISE = "apt install udisks2; or name an empty folder, and FUSE shows the files there"


class How(StrEnum):
    """Who shows the files."""

    AUTO = "auto"
    KERNEL = "kernel"
    UDISKS = "udisks"
    """The kernel, asked by udisks, which chooses the folder."""
    FUSE = "fuse"


def mount_without_folder(image: Path) -> Path:
    """Mounts through udisks, without root; the folder that udisks chose.

    HostError where that is not possible here, and where the kernel shows other files than we see.
    """
    image = image.resolve()
    with opened_view(image) as view:
        with _asking_udisks() as connection:
            folder = connection.mount_image(image, _KERNEL_SIDES[view.side])
        try:
            _require_ours(view, folder)
        except HostError:
            with suppress(ProvisionerError):  # what is wrong with it is told
                unmount_image(folder)
            raise
    return folder


def mount_image(image: Path, folder: Path, how: How) -> How:
    """Mounts in the background; how it was done.

    `AUTO` lets the kernel do it where that is allowed and knows the file system, and falls back to
    FUSE, also where the kernel would show other files than we see. RefusedError for a folder that
    is not empty or in use as a mount point.
    """
    image, folder = image.resolve(), folder.resolve()
    _require_free(folder)
    with opened_view(image) as view:
        if how is How.KERNEL or (how is How.AUTO and _kernel_can(view)):
            try:
                _by_kernel(view, folder)
                return How.KERNEL
            except (HostError, FailedError):  # a container without loop devices, say
                if how is How.KERNEL:
                    raise
    fuse.serve_in_background(
        fuse.own_command("iso", "mount", "--foreground", "--", str(image), str(folder)), folder
    )
    return How.FUSE


def serve_image(image: Path, folder: Path) -> None:
    """Mounts by FUSE and returns when it is unmounted."""
    image, folder = image.resolve(), folder.resolve()
    _require_free(folder)
    with opened_view(image) as view:
        nodes = nodes_of(view)
    fuse.serve(nodes, image, folder)


def unmount_image(folder: Path) -> None:
    """Unmounts a disc image. RefusedError where something else is mounted there."""
    folder = folder.resolve()
    found = mount.mounted_at(folder)
    if found is None:
        raise FailedError(f"nothing is mounted at {folder}")
    if found.kind not in {f"fuse.{fuse.SUBTYPE}", "udf", "iso9660"}:
        raise RefusedError(
            f"{folder} is no disc image: a file system of type {found.kind} is mounted there",
            hint="umount unmounts anything",
        )
    if os.geteuid() != 0 and found.source.startswith("/dev/loop"):
        try:
            with udisks.connected() as connection:
                connection.unmount_image(found.source)
        except OSError as err:
            if err.errno == errno.EBUSY:
                raise mount.in_use(folder) from err
            raise
    else:
        mount.unmount(folder)


def nodes_of(view: View) -> Mapping[str, fuse.Node]:
    """What a view looks like as a file system: nothing in it can be written."""
    nodes = {"": fuse.Node(mode=stat.S_IFDIR | 0o555)}
    for item in view.items.values():
        nodes[item.path] = _node(item)
    return nodes


def _node(item: Item) -> fuse.Node:
    if item.link is not None:
        kind, default = stat.S_IFLNK, 0o777
    else:
        kind, default = (stat.S_IFDIR, 0o555) if item.folder else (stat.S_IFREG, 0o444)
    mode = default if item.mode is None else item.mode & 0o555 | (0o444 if item.file else 0o555)
    return fuse.Node(
        mode=kind | mode,
        size=len(os.fsencode(item.link)) if item.link is not None else item.size,
        modified=item.modified or 0,
        link=item.link,
        extents=tuple((extent.offset, extent.length) for extent in item.extents),
    )


@contextmanager
def _asking_udisks() -> Iterator[udisks.Udisks]:
    """HostError, with another way to the files, for all that udisks cannot or may not do."""
    try:
        with udisks.connected() as connection:
            yield connection
    except (HostError, FailedError) as err:
        raise HostError(err.message, hint=_OTHERWISE) from err
    except OSError as err:
        raise HostError(f"udisks failed: {err.strerror}", hint=_OTHERWISE) from err


def _require_free(folder: Path) -> None:
    try:
        is_folder = folder.is_dir()
    except OSError as err:
        if err.errno != errno.ENOTCONN:
            raise
        raise RefusedError(
            f"{folder} is in use, by a mount whose program has ended",
            hint=f"provisioner iso unmount {folder}",
        ) from err
    if not is_folder:
        raise UsageError(f"{folder} is not a folder", hint=f"make it first: mkdir {folder}")
    found = mount.mounted_at(folder)
    if found is not None:
        raise RefusedError(
            f"{folder} is in use: {found.source} is mounted there",
            hint=f"provisioner iso unmount {folder}",
        )
    try:
        if any(folder.iterdir()):
            raise RefusedError(f"{folder} is not empty", hint="name an empty folder")
    except PermissionError as err:
        raise HostError(f"{folder} may not be read by you") from err


def _kernel_can(view: View) -> bool:
    return os.geteuid() == 0 and mount.kernel_has(_KERNEL_SIDES[view.side])


def _by_kernel(view: View, folder: Path) -> None:
    filesystem = _KERNEL_SIDES[view.side]
    if os.geteuid() != 0:
        raise HostError("only root may mount by the kernel", hint="--how fuse needs no root")
    if not mount.kernel_has(filesystem):
        raise HostError(f"the kernel has no {filesystem}", hint="--how fuse needs no kernel module")
    # Named, because the kernel's own guess may be the side with one README (WoeUSB#126).
    mount.kernel_mount(view.window.path, folder, filesystem)
    try:
        _require_ours(view, folder)
    except HostError:
        mount.unmount(folder)
        raise


def _require_ours(view: View, folder: Path) -> None:
    there = {path.name.casefold() for path in folder.iterdir()}
    wanted = {path.casefold() for path in view.items if "/" not in path}
    if not wanted <= there:
        raise HostError(
            f"the kernel shows other files of {view.window.path.name} than are on it",
            hint="--how fuse shows them",
        )
