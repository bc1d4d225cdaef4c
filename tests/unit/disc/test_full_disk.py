"""A disk that is full, or fills up while something is written: told, and no half disc is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.disc.create import Order, create
from provisioner.image.shapes import Shape
from tests.unit.disc.readers import made, run

ROOT = Path(__file__).resolve().parents[3]
BIG = 40 << 20
PROGRAM = """
import sys
from pathlib import Path
from provisioner.disc.create import Order, create
from provisioner.disc.extract import extract
from provisioner.disc.remaster import Changes, plan_remaster, write_remaster
from provisioner.disc.rip import Options, rip
from provisioner.disc.view import opened_view
from provisioner.errors import FailedError, HostError

full, tree, image = map(Path, sys.argv[1:])
filler = full / "filler"

def fill(*_):
    with filler.open("ab", buffering=0) as stream:
        try:
            while stream.write(bytes(1 << 20)):
                pass
        except OSError:
            pass

def attempt(name, write):
    for when in ("before", "while"):
        filler.unlink(missing_ok=True)
        if when == "before":
            fill()
        said = "nothing"
        try:
            with opened_view(image) as view:
                write(view)
        except (FailedError, HostError) as err:
            told = "free" in str(err) or "space" in str(err)
            said = type(err).__name__ + (" space" if told else "")
        left = sorted(str(p.relative_to(full)) for p in full.rglob("*") if p.is_file())
        print(name, when, said, *left)
        for path in full.glob("x.iso*"):
            path.unlink()

target = full / "x.iso"
attempt("create", lambda view: create(tree, target, Order(), progress=fill))
attempt("extract", lambda view: extract(
    view, list(view.items.values()), full / "out", progress=fill))
attempt("remaster", lambda view: write_remaster(
    plan_remaster(view, Changes(label="X")), target, reveal=str, mode=0o600, progress=fill))
attempt("rip", lambda view: rip(image, target, Options(), progress=fill))
"""
MOUNT = 'mount -t tmpfs -o size=64m none "$1"; shift; exec "$@"'


@pytest.fixture
def namespace() -> list[str]:
    """How whoever runs this gets a mount namespace."""
    ways = (["unshare", "-m"], ["unshare", "-U", "-r", "-m"], ["sudo", "-n", "unshare", "-m"])
    probe = ["mount", "-t", "tmpfs", "none", "/mnt"]
    works = (w for w in ways if subprocess.run([*w, *probe], capture_output=True).returncode == 0)
    way = next(works, None)
    assert way, "this test mounts a small tmpfs: it needs root, user namespaces or sudo"
    return way


def test_every_verb_that_writes(tmp_path: Path, namespace: list[str]) -> None:
    """On a file system of 64 MiB that is full before, or from the first report of progress on."""
    tree = made(tmp_path / "tree", {"big": bytes(range(256)) * (BIG >> 8), "small": b"1"})
    image, full = tmp_path / "image.iso", tmp_path / "full"
    create(tree, image, Order(shape=Shape.WINDOWS))
    full.mkdir()
    argv = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-c", PROGRAM, full, tree, image]
    out = run(*namespace, "sh", "-ec", MOUNT, "sh", full, *argv).splitlines()
    assert out == [
        "create before HostError space filler",
        "create while FailedError space filler",
        "extract before HostError space filler",
        "extract while FailedError space filler",
        "remaster before HostError space filler",
        "remaster while FailedError space filler",
        "rip before HostError space filler",
        "rip while HostError space filler x.iso.map x.iso.partial",  # to go on from
    ]
