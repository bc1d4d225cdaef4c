"""Where the command line runs in a test: on this host, or in namespaces with daemons of their own.

A namespace has its own mounts, network and processes. Its first process is killed at the end, and
the kernel then ends everything in it: daemons, guests, dnsmasq (docs/facts/libvirt.md §9e).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
USER = "pvtester"
LIBVIRT_FOLDERS = ("/run/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt")
FIRST_PROCESS = """
import signal
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""
"""With SIGCHLD ignored the kernel reaps what daemons leave behind: nobody else would, and libvirt
takes a zombie for a guest that does not die."""

DEFAULT_NETWORK = "/usr/share/libvirt/networks/default.xml"


@dataclass(frozen=True, kw_only=True)
class Place:
    """`enter` goes before a program's argv; `uri` is what virsh is given there."""

    mode: str
    enter: tuple[str, ...] = ()
    as_root: tuple[str, ...] = ()
    """Enters as root where `enter` goes in as somebody else."""
    uri: str | None = None
    uid: int = 0
    gid: int = 0

    def run(self, *argv: str, check: bool = True) -> str:
        """Standard output of a program run there as root."""
        done = subprocess.run(
            [*(self.as_root or self.enter), *argv],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done.stdout


HOST = Place(mode="embed")
"""This host itself: root, and no daemon is needed."""


@contextmanager
def system_daemon() -> Iterator[Place]:
    """A system daemon of its own, with the libvirt network `default`."""
    script = [_folder(folder, mode=0o755) for folder in (*LIBVIRT_FOLDERS, "/etc/libvirt")]
    # Where QEMU's user may open a /dev/kvm that is of no use, libvirt asks QEMU again every time.
    script.append("if [ -e /dev/kvm ]; then install -m 600 /dev/null /run/libvirt/kvm; fi")
    script.append("if [ -e /dev/kvm ]; then mount --bind /run/libvirt/kvm /dev/kvm; fi")
    # libvirt's own private /dev for each guest cannot take over that mount.
    script.append("echo 'namespaces = []' > /etc/libvirt/qemu.conf")
    with _namespace(script) as enter:
        place = Place(mode="system", enter=enter, uri="qemu:///system")
        place.run("virtlogd", "-d", "-p", "/run/libvirt/virtlogd.pid")
        place.run("libvirtd", "-d", "-p", "/run/libvirt/libvirtd.pid")
        place.run("virsh", "-q", "net-define", DEFAULT_NETWORK)
        place.run("virsh", "-q", "net-start", "default")
        yield place


@contextmanager
def unprivileged_user() -> Iterator[Place]:
    """A user made with useradd, who has no system daemon; the account ends with the namespace.

    useradd replaces files in /etc, so the namespace works on a copy of that folder.
    """
    script = [
        *(_folder(folder, mode=0o755) for folder in LIBVIRT_FOLDERS),
        "cp -a /etc /run/libvirt/etc && mount --bind /run/libvirt/etc /etc",
        f"useradd --no-create-home --shell /bin/sh {USER}",
        *_let_through(REPOSITORY, Path(sys.base_prefix), Path(sys.prefix)),
    ]
    with _namespace(script) as enter:
        ids = (
            Place(mode="", enter=enter).run("id", "-u", USER),
            Place(mode="", enter=enter).run("id", "-g", USER),
        )
        yield Place(
            mode="session",
            enter=(*enter, "runuser", "-u", USER, "--"),
            as_root=enter,
            uri="qemu:///session",
            uid=int(ids[0]),
            gid=int(ids[1]),
        )


@contextmanager
def host_without(*hidden: str, extra: Sequence[str] = ()) -> Iterator[Place]:
    """This host with some folders empty and some programs not executable, and no daemon."""
    script = [_folder(folder, mode=0o755) for folder in LIBVIRT_FOLDERS[:1]]
    for path in hidden:
        source = "-t tmpfs tmpfs" if Path(path).is_dir() else "--bind /dev/null"
        script.append(f"mount {source} {path}")
    with _namespace([*script, *extra]) as enter:
        yield Place(mode="embed", enter=enter)


@contextmanager
def _namespace(script: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yields what to put before an argv to run it inside."""
    text = "\n".join(
        ["set -e", "ip link set lo up", *script, f"exec {sys.executable} -c '{FIRST_PROCESS}'"]
    )
    flags = ("-m", "-n", "-p", "--fork", "--kill-child", "--mount-proc")
    with subprocess.Popen(
        ["unshare", *flags, "--propagation", "private", "sh", "-c", text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            if process.stdout.readline() != "ready\n":
                raise AssertionError(f"the namespace cannot be made: {process.stderr.read()}")
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            yield ("nsenter", "-t", children.split()[0], "-m", "-n", "-p")
        finally:
            process.kill()


def _folder(path: str, *, mode: int) -> str:
    # A size of its own: by default a tmpfs gets half of the memory, which may look too small.
    return f"mkdir -p {path} && mount -t tmpfs -o mode={mode:o},size=64g tmpfs {path}"


def _let_through(*needed: Path) -> Iterator[str]:
    """Lets everybody reach `needed`, without changing a mode: folders that bar the way are replaced
    by empty ones in which only what is needed is mounted again.
    """
    barred: dict[Path, list[Path]] = {}
    for path in needed:
        ways = [parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001]
        if ways:
            barred.setdefault(ways[0], []).append(path)
    for number, (folder, paths) in enumerate(barred.items()):
        for index, path in enumerate(paths):
            kept = f"/run/libvirt/kept{number}-{index}"
            yield f"mkdir -p {kept} && mount --bind {path} {kept}"
        yield f"mount -t tmpfs -o mode=755 tmpfs {folder}"
        for index, path in enumerate(paths):
            yield f"mkdir -p {path} && mount --bind /run/libvirt/kept{number}-{index} {path}"
