"""Whether the user QEMU runs as can read a file, and which `setfacl` lines would let it.

Only the system daemon runs QEMU as somebody else. Debian's home folders are 0700, so this is the
first thing that goes wrong there (`docs/facts/libvirt.md` §3.2).
"""

from __future__ import annotations

import errno
import os
import pwd
import shlex
import stat
import struct
import subprocess
from pathlib import Path

from provisioner.errors import HostError, MediaError
from provisioner.frozen import frozen
from provisioner.host.files import os_error

READ, SEARCH = 4, 1
ACL_ATTRIBUTE = "system.posix_acl_access"
ACL_VERSION = 2
USER_OBJECT, USER, GROUP_OBJECT, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
"""Tags of Linux's `posix_acl_xattr_entry` (include/uapi/linux/posix_acl_xattr.h)."""


@frozen
class Account:
    """Who is to read: ids, all groups, and the name for people."""

    uid: int
    gid: int
    groups: frozenset[int]
    name: str


def account(uid: int, gid: int) -> Account:
    """The account behind a uid and gid, as `HostFacts.qemu_user` gives them."""
    try:
        name = pwd.getpwuid(uid).pw_name
        groups = frozenset(os.getgrouplist(name, gid))
    except KeyError:
        name, groups = str(uid), frozenset({gid})
    return Account(uid=uid, gid=gid, groups=groups, name=name)


def require_readable(path: Path, *, uid: int, gid: int) -> None:
    """HostError with the exact `setfacl` lines where that user cannot read the file.

    Bits and ACLs are evaluated; as root the result is confirmed by a child process of that user,
    which is what counts on file systems with rules of their own.
    """
    who = account(uid, gid)
    if who.uid == 0:
        return
    lines = missing_permissions(path, who)
    failure = try_to_read(path, who) if os.getuid() == 0 else None
    if os.getuid() == 0 and failure is None:
        return
    if lines:
        raise HostError(
            f"QEMU runs as {who.name} here and cannot read {path}",
            hint="let it in, without changing the owner or the mode:\n" + "\n".join(lines),
        )
    if failure is not None:
        raise HostError(
            f"QEMU runs as {who.name} here and cannot read {path}: {failure}",
            hint="its permissions would allow it; move the file to a local file system",
        )


def missing_permissions(path: Path, who: Account) -> tuple[str, ...]:
    """One `setfacl` line for each folder on the way, and for the file, that keeps `who` out."""
    lines = []
    try:
        for folder in _folders(path):
            if not _allows(folder, who, SEARCH):
                lines.append(f"setfacl -m u:{who.name}:x {shlex.quote(str(folder))}")
        if not _allows(path, who, READ):
            lines.append(f"setfacl -m u:{who.name}:r {shlex.quote(str(path))}")
    except FileNotFoundError as err:
        raise MediaError(f"there is no file {path}") from err
    except OSError as err:
        raise os_error(err, f"look at {path}") from err
    return tuple(lines)


def try_to_read(path: Path, who: Account) -> str | None:
    """Reads a byte of the file in a child process that is `who`; the complaint, None for success.

    Only root can do this.
    """
    result = subprocess.run(
        ("head", "-c", "1", "--", str(path)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        user=who.uid,
        group=who.gid,
        extra_groups=sorted(who.groups),
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        cwd="/",
        timeout=10,
        check=False,
    )
    if result.returncode == 0:
        return None
    return result.stderr.decode("utf-8", "replace").rpartition(":")[2].strip() or "not readable"


def _folders(path: Path) -> tuple[Path, ...]:
    """Every folder that is searched on the way to the file, the outermost first."""
    ways = (path.absolute(), path.resolve(strict=True))
    found = dict.fromkeys(folder for way in ways for folder in reversed(way.parents))
    return tuple(found)


def _allows(path: Path, who: Account, wanted: int) -> bool:
    """The access check algorithm of acl(5), except that Linux looks at no ACL whose mask, which is
    the mode's group bits, is empty (fs/namei.c, `acl_permission_check`)."""
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    entries = (_acl(path) if mode & stat.S_IRWXG else []) or [
        (USER_OBJECT, mode >> 6 & 7, 0),
        (GROUP_OBJECT, mode >> 3 & 7, 0),
        (OTHER, mode & 7, 0),
    ]
    mask = next((bits for tag, bits, _id in entries if tag == MASK), 7)
    for tag, bits, number in entries:
        if tag == USER_OBJECT and status.st_uid == who.uid:
            return bits & wanted == wanted
        if tag == USER and number == who.uid:
            return bits & mask & wanted == wanted
    of_groups = [
        bits & mask
        for tag, bits, number in entries
        if (tag == GROUP_OBJECT and status.st_gid in who.groups)
        or (tag == GROUP and number in who.groups)
    ]
    if of_groups:
        return any(bits & wanted == wanted for bits in of_groups)
    return any(bits & wanted == wanted for tag, bits, _id in entries if tag == OTHER)


def _acl(path: Path) -> list[tuple[int, int, int]]:
    """Entries as (tag, permissions, id), in the kernel's order; empty where there is no ACL."""
    try:
        data = os.getxattr(path, ACL_ATTRIBUTE)
    except OSError as err:
        if err.errno in (errno.ENODATA, errno.ENOTSUP):
            return []
        raise
    (version,) = struct.unpack_from("<I", data)
    if version != ACL_VERSION:
        return []
    return list(struct.iter_unpack("<HHI", data[4:]))
