"""`iso mount` without a folder: what udisksctl is asked, and what is made of its words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.disc.create import Order, create
from provisioner.image.shapes import Shape
from tests.unit.cli.program import Home, members
from tests.unit.disc.readers import made

# As udisksctl(1) of 2.9 says it; the mount point is a folder beside it.
FAKE = """
echo "$@" >> {folder}/asked
case "$1" in
  loop-setup) echo "Mapped file $5 as /dev/loop77.";;
  mount) {mount};;
  unmount) echo "Unmounted $4.";;
esac
"""
SETUP = "loop-setup --no-user-interaction --read-only --file"
MOUNT = "mount --no-user-interaction --block-device /dev/loop77 --filesystem-type"
DELETE = "loop-delete --no-user-interaction --block-device /dev/loop77"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "h")
    tree = made(home.work / "tree", {"a": b"1", "b/c": b"2"})
    create(tree, home.work / "x.iso", Order(shape=Shape.WINDOWS))
    create(tree, home.work / "y.iso", Order(shape=Shape.PORTABLE))
    return home


def fake(home: Home, mount: str) -> None:
    home.program("udisksctl", FAKE.format(folder=home.folder, mount=mount))


def asked(home: Home) -> list[str]:
    return (home.folder / "asked").read_text().splitlines()


@pytest.mark.parametrize(("image", "side"), [("x.iso", "udf"), ("y.iso", "iso9660")])
@pytest.mark.parametrize("stop", ["", "."])
def test_mounted_where_udisks_says(home: Home, image: str, side: str, stop: str) -> None:
    place = home.work / "tree"
    fake(home, f'echo "Mounted /dev/loop77 at {place}{stop}"')
    (event,) = members(home.events("iso", "mount", image), "mounted")
    assert (event["how"], event["folder"]) == ("udisks", str(place))
    assert asked(home) == [
        f"{SETUP} {home.work / image}",
        f"{MOUNT} {side} --options ro,nosuid,nodev",
    ]


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ('echo "Error mounting: Not authorized" >&2; exit 1', "Not authorized"),
        ("echo Mounted", "says what nobody understands: 'Mounted'"),
    ],
)
def test_what_udisks_refuses_leaves_no_device(home: Home, mount: str, words: str) -> None:
    fake(home, mount)
    done = home.run("iso", "mount", "x.iso")
    assert done.returncode == 3 and words in done.stderr
    assert "name an empty folder, and FUSE shows" in " ".join(done.stderr.split())
    assert asked(home)[-1] == DELETE


def test_a_readme_is_not_shown_for_a_disc(home: Home) -> None:
    (home.work / "other").mkdir()
    (home.work / "other/readme.txt").touch()
    fake(home, f'echo "Mounted /dev/loop77 at {home.work}/other"')
    done = home.run("iso", "mount", "x.iso")
    assert done.returncode == 3
    assert "shows other files of x.iso than are on it" in done.stderr


def test_unmounted_with_its_device(home: Home) -> None:
    fake(home, "")
    program = "from provisioner.host.udisksctl import unmount; unmount('/dev/loop77')"
    subprocess.run((sys.executable, "-c", program), env=home.environment(), check=True)
    assert asked(home) == ["unmount --no-user-interaction --block-device /dev/loop77", DELETE]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--how", "fuse"), "in which folder?"),
        (("--foreground",), "in which folder?"),
        (("tree", "--how", "udisks"), "udisks chooses the folder itself"),
    ],
)
def test_usage(home: Home, arguments: tuple[str, ...], words: str) -> None:
    done = home.run("iso", "mount", "x.iso", *arguments)
    assert (done.returncode, words in done.stderr) == (2, True)


def test_without_udisks(home: Home) -> None:
    done = home.run("iso", "mount", "x.iso")
    assert done.returncode == 3
    assert "the program udisksctl is not installed" in done.stderr
