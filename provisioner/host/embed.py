"""Roots of libvirt's embedded driver, one short folder a machine: `libvirt.md` §3.4, §3.5."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from provisioner.errors import HostError
from provisioner.host.files import os_error, private_folder, write_file

SOCKET_PATH_BYTES = 107
"""`sun_path` has 108 bytes (unix(7)), the last of which is a NUL."""

DEEPEST = "/lib/qemu/channel/target/domain-99-/org.qemu.guest_agent.0"
"""The longest socket below a root, without the machine's name, for up to 99 starts."""

SHORT_NAME = 20
"""libvirt cuts a domain's name to this in such paths (`VIR_DOMAIN_SHORT_NAME_MAX`)."""

QEMU_CONF = 'stdio_handler = "file"\n'
QEMU_CONF_ROOT = 'user = "root"\ngroup = "root"\ndynamic_ownership = 0\n'


def root_of(base: Path, folder: Path, machine: str) -> Path:
    """The machine's root. HostError where sockets below it could not be bound.

    The name is a hash of the machine's folder and name, so that two state folders may have a
    machine of one name, and short because a UNIX socket's path is.
    """
    import hashlib  # OpenSSL's; the keeper, who never asks for this, starts sooner without it

    digest = hashlib.sha256(f"{folder}\0{machine}".encode()).hexdigest()[:8]
    root = base / digest
    name = len(machine[:SHORT_NAME].encode())
    longest = len(os.fsencode(root)) + len(DEEPEST) + name
    if longest > SOCKET_PATH_BYTES:
        raise HostError(
            f"the folder {base} is too deep for libvirt's embedded driver: the guest agent's"
            f" socket would have a path of {longest} bytes, and {SOCKET_PATH_BYTES} is the most",
            hint=f"choose a folder whose path is {longest - SOCKET_PATH_BYTES} bytes shorter,"
            " or a shorter machine name",
        )
    return root


def prepare_root(root: Path, *, uid: int, cache: Path | None) -> None:
    """Makes the root and its settings, and lends it what is known about this QEMU.

    With `stdio_handler = "file"` no log daemon is needed; as root QEMU stays root and owners of
    files stay as they are. Others may pass through the folder, because swtpm runs as its own user.
    """
    base_is_new = not root.parent.exists()
    private_folder(root)
    try:
        if base_is_new:
            root.parent.chmod(0o711)
        root.chmod(0o711)
        settings = root / "etc" / "qemu.conf"
        if not settings.exists():
            settings.parent.mkdir(exist_ok=True)
            text = QEMU_CONF + (QEMU_CONF_ROOT if uid == 0 else "")
            write_file(settings, text.encode(), mode=0o644)
    except OSError as err:
        raise os_error(err, f"make the folder {root}") from err
    if cache is not None:
        _copy_new(cache, _capabilities(root))


def keep_capabilities(root: Path, cache: Path) -> None:
    """Remembers what this root's libvirt found out about QEMU: 0.03 s next time, not 2 to 9 s.

    libvirt itself drops an entry that no longer fits QEMU, libvirt, kernel or processor.
    """
    _copy_new(_capabilities(root), cache)


def remove_root(root: Path) -> tuple[str, ...]:
    """Deletes the root of a machine that is undefined. What it held that nobody expected: paths
    relative to the root, of NVRAM, TPM state or definitions that undefining left behind.
    """
    expected = ("etc/qemu.conf", "driver.pid", "keeper.lock", "keeper.log", "keeper.sock")
    try:
        leftovers = tuple(
            sorted(
                name
                for path in root.rglob("*")
                if not path.is_dir()
                and not (name := str(path.relative_to(root))).startswith(("cache/", "log/", "run/"))
                and name not in expected
                and not name.endswith("master-key.aes")
            )
        )
        if root.exists():
            shutil.rmtree(root)
    except OSError as err:
        raise os_error(err, f"delete {root}") from err
    return leftovers


def _capabilities(root: Path) -> Path:
    return root / "cache" / "qemu" / "capabilities"


def _copy_new(source: Path, target: Path) -> None:
    """Entries are named by QEMU's path; the newer one counts."""
    if not source.is_dir():
        return
    private_folder(target)
    for entry in source.glob("*.xml"):
        copy = target / entry.name
        try:
            if copy.exists() and copy.stat().st_mtime >= entry.stat().st_mtime:
                continue
            data = entry.read_bytes()
        except OSError:
            continue  # another process is replacing it: a cache may miss
        write_file(copy, data)
