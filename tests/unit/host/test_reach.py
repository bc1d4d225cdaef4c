"""Who may read a file: acl(5), checked against the kernel where this is run as root."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from provisioner.errors import HostError, MediaError
from provisioner.host.reach import (
    Account,
    account,
    missing_permissions,
    require_readable,
    try_to_read,
)

QEMU = Account(uid=64055, gid=64055, groups=frozenset({64055, 108}), name="64055")


@pytest.fixture
def iso() -> Iterator[Path]:
    """In a folder everybody may pass; pytest's own folders are 0700."""
    with TemporaryDirectory(prefix="reach-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        home.mkdir(0o755)
        path = home / "Win 11.iso"
        path.write_bytes(b"iso")
        path.chmod(0o644)
        yield path


def acl(path: Path, entry: str) -> None:
    subprocess.run(("setfacl", "-m", entry, str(path)), check=True)


def test_open_to_everybody(iso: Path) -> None:
    assert missing_permissions(iso, QEMU) == ()


def test_the_lines_to_type(iso: Path) -> None:
    iso.chmod(0o600)
    iso.parent.chmod(0o700)
    lines = missing_permissions(iso, QEMU)
    assert lines == (
        f"setfacl -m u:64055:x {iso.parent}",
        f"setfacl -m u:64055:r '{iso}'",
    )
    for line in lines:
        subprocess.run(("sh", "-c", line), check=True)
    assert missing_permissions(iso, QEMU) == ()


def test_a_link_leads_through_other_folders(iso: Path) -> None:
    link = iso.parent.parent / "link.iso"
    link.symlink_to(iso)
    iso.parent.chmod(0o700)
    assert missing_permissions(link, QEMU) == (f"setfacl -m u:64055:x {iso.parent}",)


def test_a_missing_file(iso: Path) -> None:
    with pytest.raises(MediaError, match="no file"):
        missing_permissions(iso.with_name("other.iso"), QEMU)


@pytest.mark.parametrize(
    ("mode", "entries"),
    [
        (0o644, ()),
        (0o640, ()),
        (0o600, ()),
        (0o600, ("u:64055:r",)),
        (0o600, ("u:64055:r", "m::---")),
        (0o644, ("u:64055:---",)),
        (0o600, ("g:108:r",)),
        (0o604, ("g:108:---",)),
        (0o600, ("g:108:---", "g:64055:r")),
        (0o600, ("g:5555:r",)),
        (0o604, ("g:5555:---",)),
    ],
)
def test_the_kernel_agrees(iso: Path, mode: int, entries: tuple[str, ...]) -> None:
    iso.chmod(mode)
    for entry in entries:
        acl(iso, entry)
    ours = missing_permissions(iso, QEMU) == ()
    if os.getuid() == 0:
        assert ours is (try_to_read(iso, QEMU) is None)
    expected = mode & 4 if not entries else None
    if expected is not None:
        assert ours is bool(expected)


def test_owners_use_their_own_bits(iso: Path) -> None:
    """A file its owner may not read is not readable by way of "others"."""
    me = Account(uid=iso.stat().st_uid, gid=1, groups=frozenset({1}), name="me")
    iso.chmod(0o044)
    assert len(missing_permissions(iso, me)) == 1


def test_refusal_names_user_and_lines(iso: Path) -> None:
    iso.parent.chmod(0o700)
    with pytest.raises(HostError, match="cannot read") as caught:
        require_readable(iso, uid=64055, gid=64055)
    assert f"{iso.parent}" in (caught.value.hint or "")
    require_readable(iso, uid=0, gid=0)
    iso.parent.chmod(0o755)
    require_readable(iso, uid=64055, gid=64055)


def test_accounts() -> None:
    assert account(0, 0).name == "root"
    assert account(4_000_000, 7) == Account(
        uid=4_000_000, gid=7, groups=frozenset({7}), name="4000000"
    )
