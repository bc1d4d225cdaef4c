"""Makes the two ramdisks: one that plays Setup, one that is the "installed system".

Both hold busybox, kernel modules and a Python with just the modules the stand-in imports; they
differ in the tools and modules they carry. Nothing is installed on the machine that builds them.
"""

from __future__ import annotations

import base64
import json
import re
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.standin.packages import Kernel, which

PYTHON = Path("/usr/bin/python3")
"""Debian's own interpreter (package python3), not whatever runs the build: a pyenv or uv build has
its library elsewhere and may need libraries the guest does not get."""

LAZY_MODULES = (
    *("runpy", "encodings.ascii", "encodings.latin_1", "encodings.utf_16"),
    *("encodings.utf_16_le", "encodings.idna"),
)
"""Library modules that importing the stand-in does not load, but running it does."""

PHASE_MODULES = tuple(
    f"tests.standin.setup.{name}" for name in ("main", "installer", "installed", "direct")
)

BASE_MODULES = (
    *("virtio_pci", "sr_mod", "sd_mod", "isofs", "udf", "vfat", "nls_cp437", "nls_ascii"),
    *("nls_utf8", "nls_iso8859-1", "button", "evdev", "efivarfs"),
)
"""Loaded at start, whatever the machine has."""

CONTROLLER_MODULES = {
    "0x0101": ("ata_piix",),
    "0x0106": ("ahci",),
    "0x0108": ("nvme",),
    "0x0200": ("e1000e", "e1000"),
    "0x0c0300": ("uhci_hcd", "usb_storage"),
    "0x0c0320": ("ehci_pci", "usb_storage"),
    "0x0c0330": ("xhci_pci", "usb_storage"),
}
"""What Windows PE has drivers for, by the PCI class that makes the guest load it: a module costs
an emulated machine up to 0.2 s."""

VIRTIO_MODULES = ("virtio_blk", "virtio_scsi", "virtio_net", "virtio_console")
"""Loaded only when the matching INF was found: Windows PE has none of them (facts §8.3)."""

ON_DEMAND = ("fuse",)
"""Loaded when ntfs-3g is to mount a partition: scripts copy files, an old Windows is moved."""

SETUP_TOOLS = (
    *("wimlib-imagex", "sgdisk", "mkntfs", "mkfs.fat", "ntfscp", "ntfscat"),
    "ntfs-3g",
)
INSTALLED_TOOLS = ("ntfscp", "ntfscat")

LIBRARY_FOLDER = "lib/x86_64-linux-gnu"

OS_RELEASE = """\
NAME="Stand-in for Windows Setup"
PRETTY_NAME="Stand-in for Windows Setup (a test system; not Windows)"
ID=standin
VERSION_ID="1"
"""

SHUTDOWN_SCRIPT = """\
#!/bin/busybox sh
# qemu-guest-agent's guest-shutdown calls `shutdown -P|-r|-H ...`; busybox has no such applet.
for word in "$@"; do [ "$word" = -r ] && exec /bin/busybox reboot -f; done
exec /bin/busybox poweroff -f
"""

PASSWORD_SCRIPT = """\
#!/bin/busybox sh
# qemu-guest-agent's guest-set-user-password writes NAME:PASSWORD; busybox has no such applet.
read -r line
hash=$(printf '%s' "${line#*:}" | sha256sum | cut -d' ' -f1)
printf '%s %s\\n' "${line%%:*}" "$hash" >> /passwords.txt
"""

DHCP_SCRIPT = """\
#!/bin/busybox sh
case "$1" in
  bound|renew)
    ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}"
    for r in $router; do route add default gw "$r" dev "$interface" 2>/dev/null; done ;;
esac
"""

INIT_SCRIPT = """\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin PYTHONHOME=/usr PYTHONPATH=/standin PYTHONDONTWRITEBYTECODE=1 PYTHONUTF8=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts; mount -t devpts devpts /dev/pts
echo "stand-in for Windows Setup: started after $(cut -d' ' -f1 /proc/uptime) s"
load() { for m in $(cat /lib/modules/$1.order); do insmod /lib/modules/$m 2>/dev/null; done; }
(
  load base
  for class in $(cat /sys/bus/pci/devices/*/class | sort -u); do
    for group in /lib/modules/0x*.order; do
      group=$(basename $group .order)
      case $class in $group*) load $group ;; esac
    done
  done
  : > /run/inbox-loaded
) &
python3 -B -m tests.standin.setup.main > /dev/ttyS0 2>&1 < /dev/null
echo "FAILED stand-in for Windows Setup: its program ended with $?"
sleep 1
poweroff -f
"""


class InitramfsError(RuntimeError):
    """A tool, library or module that belongs into the ramdisk is missing."""


@dataclass(slots=True)
class Archive:
    """A cpio archive in the making: path -> (mode, content)."""

    entries: dict[str, tuple[int, bytes]] = field(default_factory=dict)

    def folder(self, path: str) -> None:
        """Add a folder and its parents."""
        parts = path.strip("/").split("/")
        for end in range(1, len(parts) + 1):
            self.entries.setdefault("/".join(parts[:end]), (stat.S_IFDIR | 0o755, b""))

    def file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """Add a regular file."""
        if "/" in path:
            self.folder(path.rpartition("/")[0])
        self.entries[path] = (stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self.folder(path.rpartition("/")[0])
        self.entries[path] = (stat.S_IFLNK | 0o777, target.encode())

    def program(self, path: Path, name: str | None = None) -> None:
        """Add a program as /bin/NAME with the libraries ldd lists."""
        self.file(f"bin/{name or path.name}", path.read_bytes(), mode=0o755)
        self.libraries_of(path)

    def libraries_of(self, path: Path) -> None:
        """Add the shared libraries; ICU's data library as an empty one (see `icu_stub`)."""
        listing = _run(["ldd", str(path)])
        for name, target in re.findall(r"(\S+) => (/\S+)", listing):
            stored = f"{LIBRARY_FOLDER}/{name}"
            if stored in self.entries:
                continue
            data = icu_stub(name) if name.startswith("libicudata.so.") else None
            self.file(stored, data or Path(target).resolve().read_bytes(), mode=0o755)
        loader = re.search(r"^\s*(/lib64/\S+)", listing, re.MULTILINE)
        if loader is not None:
            self.file(loader[1].lstrip("/"), Path(loader[1]).resolve().read_bytes(), mode=0o755)

    def packed(self) -> bytes:
        """The archive as cpio "newc", the same bytes for the same entries.

        Not compressed: emulated, unpacking takes longer than reading the larger file.
        """
        out = bytearray()
        for number, path in enumerate(sorted(self.entries), start=1):
            mode, content = self.entries[path]
            out += _cpio_member(path, content, mode=mode, number=number)
        out += _cpio_member("TRAILER!!!", b"", mode=0, number=0)
        return bytes(out)


def setup_ramdisk(kernel: Kernel) -> bytes:
    """The ramdisk on the install disc."""
    archive = _base(kernel)
    for name in SETUP_TOOLS:
        archive.program(which(name))
    for name in ("boot.img",):
        archive.file(f"grub/{name}", Path("/usr/lib/grub/i386-pc", name).read_bytes())
    return archive.packed()


def installed_ramdisk(kernel: Kernel, agent: Path) -> bytes:
    """The ramdisk inside install.wim, also that of the direct-kernel guest."""
    archive = _base(kernel)
    for name in INSTALLED_TOOLS:
        archive.program(which(name))
    archive.program(agent, "qemu-ga")
    return archive.packed()


def icu_stub(soname: str) -> bytes:
    """An ICU data library without data: libxml2 has UTF-16 built in (docs/facts/standin.md §1)."""
    symbol = f"icudt{soname.rpartition('.')[2]}_dat"
    source = f"const char {symbol}[64] __attribute__((aligned(16))) = {{0}};\n"
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, soname)
        Path(folder, "icu.c").write_text(source)
        options = ["-shared", "-fPIC", f"-Wl,-soname,{soname}", "-o", str(library)]
        _run([str(which("gcc")), *options, f"{folder}/icu.c"])
        return library.read_bytes()


def _base(kernel: Kernel) -> Archive:
    archive = Archive()
    for folder in ("dev", "proc", "sys", "run", "tmp", "mnt", "var/run", "etc", "sbin", "usr/bin"):
        archive.folder(folder)
    archive.file("init", INIT_SCRIPT.encode(), mode=0o755)
    archive.file("bin/busybox", which("busybox").read_bytes(), mode=0o755)
    archive.link("bin/sh", "busybox")
    archive.file("sbin/shutdown", SHUTDOWN_SCRIPT.encode(), mode=0o755)
    archive.file("bin/chpasswd", PASSWORD_SCRIPT.encode(), mode=0o755)
    archive.file("etc/udhcpc.script", DHCP_SCRIPT.encode(), mode=0o755)
    archive.file("etc/os-release", OS_RELEASE.encode())
    archive.file("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n")
    archive.file("etc/group", b"root:x:0:\n")
    _add_modules(archive, kernel)
    _add_python(archive)
    _add_standin(archive)
    return archive


def _add_modules(archive: Archive, kernel: Kernel) -> None:
    """Copy modules flat, each group with an `order` file; a module's dependencies come first."""
    groups: dict[str, tuple[str, ...]] = {
        "base": BASE_MODULES,
        **CONTROLLER_MODULES,
        **{name: (name,) for name in (*VIRTIO_MODULES, *ON_DEMAND)},
    }
    for group, modules in groups.items():
        order: list[str] = []
        for module in modules:
            where = ["-d", str(kernel.modules_root), "-S", kernel.release]
            listing = _run([str(which("modprobe")), *where, "--show-depends", module])
            for path in re.findall(r"^insmod (\S+)", listing, re.MULTILINE):
                name = Path(path).name
                if name not in order:
                    order.append(name)
                    archive.file(f"lib/modules/{name}", Path(path).read_bytes())
        archive.file(f"lib/modules/{group}.order", "\n".join(order).encode() + b"\n")


def _add_python(archive: Archive) -> None:
    """Add the interpreter and exactly the library modules it loads, compiled and without source."""
    archive.program(PYTHON.resolve(), "python3")
    root = Path(__file__).parents[2]
    script = (
        f"import sys; sys.path.insert(0, {str(root)!r}); sys.dont_write_bytecode = True\n"
        f"import {', '.join(LAZY_MODULES + PHASE_MODULES)}, json\n"
        "print(json.dumps([m.__file__ for n, m in sys.modules.items()"
        " if getattr(m, '__file__', None) and not n.startswith('tests')]))"
    )
    files: list[str] = json.loads(_run([str(PYTHON), "-I", "-S", "-c", script]))
    # hashlib does without OpenSSL's 5 MB: the interpreter has its own SHA-2.
    libraries = [name for name in files if name.endswith(".so") and "/_hashlib" not in name]
    for path in sorted(libraries):
        archive.file(path.lstrip("/"), Path(path).read_bytes(), mode=0o755)
        archive.libraries_of(Path(path))
    sources = {name: Path(name) for name in sorted(files) if name.endswith(".py")}
    for path, code in compiled(sources).items():
        archive.file(path.lstrip("/") + "c", code)
    archive.folder(f"usr/lib/{PYTHON.resolve().name}/lib-dynload")


def _add_standin(archive: Archive) -> None:
    """Add tests/standin/setup as source, for tracebacks, and compiled, for a quick start."""
    folder = Path(__file__).parent / "setup"
    here = "/standin/tests/standin/setup"
    sources = {f"{here}/{path.name}": path for path in sorted(folder.glob("*.py"))}
    for name, path in [*sources.items(), *((f"{here}/{p.name}", p) for p in folder.glob("*.tsv"))]:
        archive.file(name.lstrip("/"), path.read_bytes())
    tag = _run([str(PYTHON), "-I", "-c", "import sys; print(sys.implementation.cache_tag)"])
    for name, code in compiled(sources).items():
        stem = Path(name).stem
        archive.file(f"{here.lstrip('/')}/__pycache__/{stem}.{tag.strip()}.pyc", code)


def compiled(sources: Mapping[str, Path]) -> dict[str, bytes]:
    """Compile with the guest's interpreter into .pyc files that never look at a source's time.

    `sources` maps the name that tracebacks will show to the file.
    """
    compiler = (
        "import base64, importlib._bootstrap_external as b, json, sys\n"
        "print(json.dumps({n: base64.b64encode(b._code_to_hash_pyc(compile(open(p, 'rb').read(), n,"
        " 'exec', dont_inherit=True), bytes(8), False)).decode()"
        " for n, p in json.load(sys.stdin).items()}))"
    )
    done = subprocess.run(
        [str(PYTHON), "-I", "-c", compiler],
        input=json.dumps({name: str(path) for name, path in sources.items()}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        message = f"compiling for the guest failed: {done.stderr}"
        raise InitramfsError(message)
    return {name: base64.b64decode(code) for name, code in json.loads(done.stdout).items()}


def _cpio_member(path: str, content: bytes, *, mode: int, number: int) -> bytes:
    name = path.encode() + b"\0"
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields) + name
    head += b"\0" * (-len(head) % 4)
    return head + content + b"\0" * (-len(content) % 4)


def _run(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"{' '.join(argv)} failed:\n{done.stdout}{done.stderr}"
        raise InitramfsError(message)
    return done.stdout
