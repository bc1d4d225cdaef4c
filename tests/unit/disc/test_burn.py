"""`iso burn` on xorriso's pseudo drive: a file that gets what a disc would. No laser was lit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioner.disc.burn import burn_image
from provisioner.disc.create import Order, create
from provisioner.errors import HostError, MediaError, RefusedError, UsageError
from provisioner.host.burner import Blank, BurnOptions, look
from tests.unit.disc.readers import made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    create(made(tmp_path / "tree", {"a": os.urandom(3_000_000)}), tmp_path / "x.iso", Order())
    return tmp_path / "x.iso"


def test_a_burn_is_read_back(tmp_path: Path, image: Path) -> None:
    told: list[str] = []
    burnt = burn_image(
        image,
        f"stdio:{tmp_path}/disc",
        BurnOptions(),
        progress=lambda label, done, total: told.append(label),
    )
    assert burnt.verified is True
    data = image.read_bytes()
    assert (tmp_path / "disc").read_bytes()[: len(data)] == data
    assert set(told) >= {"reading back"}


def test_a_simulation_writes_nothing(tmp_path: Path, image: Path) -> None:
    burnt = burn_image(image, f"stdio:{tmp_path}/disc", BurnOptions(simulate=True))
    assert burnt.verified is None
    assert (tmp_path / "disc").stat().st_size == 0


def test_a_disc_that_is_not_blank(tmp_path: Path, image: Path) -> None:
    drive = f"stdio:{tmp_path}/disc"
    burn_image(image, drive, BurnOptions(), verify=False)
    before = (tmp_path / "disc").read_bytes()
    assert not look(drive).empty
    with pytest.raises(RefusedError, match="is not blank"):
        burn_image(image, drive, BurnOptions())
    assert (tmp_path / "disc").read_bytes() == before


def test_what_is_no_drive(tmp_path: Path, image: Path) -> None:
    with pytest.raises(UsageError, match="there is no drive"):
        burn_image(image, "/dev/sr99", BurnOptions())
    for path in (image, tmp_path, Path("/dev/null")):
        with pytest.raises(RefusedError, match=r"is no optical drive|is what is burnt"):
            burn_image(image, str(path), BurnOptions())
    for path in (image, tmp_path, Path("/dev/null")):
        with pytest.raises(RefusedError):
            burn_image(image, f"stdio:{path}", BurnOptions())
    (tmp_path / "text").write_text("no disc image" * 1000)
    with pytest.raises(MediaError):
        burn_image(tmp_path / "text", f"stdio:{tmp_path}/disc", BurnOptions())
    with pytest.raises(HostError, match="no disc that can be written"):
        look("stdio:/nonexistent/folder/disc")


@pytest.mark.parametrize(
    ("profile", "status", "empty", "rewritable"),
    [
        ("CD-R", "is blank", True, False),
        ("DVD-R sequential recording", "is written , is appendable", False, False),
        ("DVD-RW restricted overwrite", "is written , is closed", False, True),
        ("DVD+RW", "is blank", True, True),
        ("BD-RE", "is written , is appendable", False, True),
        ("BD-R sequential recording", "is blank", True, False),
    ],
)
def test_profiles(profile: str, status: str, empty: bool, rewritable: bool) -> None:
    medium = Blank(profile=profile, status=status, writable=0)
    assert (medium.empty, medium.rewritable) == (empty, rewritable)
