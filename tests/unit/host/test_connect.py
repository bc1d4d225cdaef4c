"""Which connection: the order of issue 2, "Where it runs"."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from provisioner.errors import HostError, RefusedError
from provisioner.host.connect import choose, default_embed_base, parse_uri, system_daemon_answers
from provisioner.ports import Mode


@pytest.mark.parametrize(
    ("explicit", "environment", "uid", "system", "mode"),
    [
        ("embed", "qemu:///system", 0, True, Mode.EMBED),
        (None, "qemu:///embed", 0, True, Mode.EMBED),
        (None, "qemu:///session", 1000, True, Mode.SESSION),
        (None, None, 0, True, Mode.SYSTEM),
        (None, None, 0, False, Mode.EMBED),
        (None, None, 1000, True, Mode.SYSTEM),
        (None, None, 1000, False, Mode.SESSION),
        ("", "", 1000, False, Mode.SESSION),
        ("test:///default", None, 1000, True, Mode.TEST),
    ],
)
def test_choice(
    explicit: str | None, environment: str | None, uid: int, system: bool, mode: Mode
) -> None:
    where = choose(
        explicit=explicit, environment=environment, uid=uid, system_answers=lambda: system
    )
    assert where.mode is mode
    assert where.reason


@pytest.mark.parametrize("explicit", ["qemu:///session", "session"])
def test_root_has_no_session(explicit: str) -> None:
    with pytest.raises(RefusedError, match="silently the system daemon"):
        parse_uri(explicit, uid=0, reason="")
    assert parse_uri(explicit, uid=1000, reason="").mode is Mode.SESSION


def test_root_may_use_a_named_session_daemon() -> None:
    uri = "qemu+unix:///session?socket=/run/user/1000/libvirt/libvirt-sock"
    assert parse_uri(uri, uid=0, reason="").uri == uri


def test_an_embed_root_may_be_named() -> None:
    where = parse_uri("qemu:///embed?root=/srv/x", uid=0, reason="")
    assert (where.mode, where.root) == (Mode.EMBED, Path("/srv/x"))


@pytest.mark.parametrize(
    "uri",
    [
        "qemu+ssh://host/system",
        "qemu://host/system",
        "qemu+tcp://127.0.0.1/session",
        "xen:///system",
        "qemu:///elsewhere",
        "nonsense",
    ],
)
def test_unusable_connections(uri: str) -> None:
    with pytest.raises(HostError) as caught:
        parse_uri(uri, uid=1000, reason="")
    assert caught.value.hint


def test_a_dead_socket_is_no_daemon(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert not system_daemon_answers(uid=os.getuid(), sockets=(path,))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
    assert not system_daemon_answers(uid=os.getuid(), sockets=(path,))


def test_embed_bases() -> None:
    assert default_embed_base(uid=0, home=Path("/root")) == Path("/var/lib/provisioner")
    assert default_embed_base(uid=1000, home=Path("/home/a")) == Path("/home/a/.pv")
