"""One embed root, many processes: whoever dies, the machine and the others do not notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.errors import FailedError, HostError
from provisioner.host import keeper_wire as wire
from provisioner.host.embed import prepare_root, root_of
from provisioner.host.keeper_client import KeptHypervisor, remove_root
from provisioner.ports import DomainState
from tests.contract.conftest import no_kvm
from tests.contract.domains import domain_xml

pytestmark = pytest.mark.integration

CLIENT = """
import sys
from pathlib import Path
from provisioner.host.keeper_client import KeptHypervisor
from provisioner.ports import Accelerator
root, cache = map(Path, sys.argv[1:])
client = KeptHypervisor(root, folder=root, cache=cache, probe=lambda: Accelerator(kvm=False))
print([record.name for record in client.domains()], flush=True)
sys.stdin.read()
"""


@pytest.fixture
def own_root(short_folder: Path, cache: Path) -> Iterator[Path]:
    root = short_folder / "r"
    prepare_root(root, uid=os.getuid(), cache=cache)
    yield root
    if not root.exists():
        return
    client = open_client(root, cache)
    for record in client.domains():
        client.destroy(record.name)
        client.undefine(record.name)
    client.close()
    remove_root(root)


def open_client(root: Path, cache: Path) -> KeptHypervisor:
    return KeptHypervisor(root, folder=root.parent / "files", cache=cache, probe=no_kvm)


def keepers(root: Path) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"provisioner.host.keeper" in arguments and os.fsencode(root) in arguments:
            found.append(int(entry.parent.name))
    return found


def wait_until_gone(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.05)
    return False


def test_a_machine_survives_its_keeper(own_root: Path, cache: Path) -> None:
    """`kill -9` of the keeper: the same client, and a new one, find the machine running."""
    client = open_client(own_root, cache)
    client.define(domain_xml())
    client.start("w1")
    (keeper,) = keepers(own_root)
    os.kill(keeper, signal.SIGKILL)
    assert wait_until_gone(keeper, 5)
    record = client.domain("w1")
    assert record is not None and record.state is DomainState.RUNNING
    (second,) = keepers(own_root)
    assert second != keeper
    other = open_client(own_root, cache)
    assert other.domain("w1") == record
    other.destroy("w1")
    client.undefine("w1")
    other.close()
    client.close()


def test_a_machine_survives_everybody(own_root: Path, cache: Path) -> None:
    client = open_client(own_root, cache)
    client.define(domain_xml())
    client.start("w1")
    client.close()
    (keeper,) = keepers(own_root)
    assert wait_until_gone(keeper, 15), "the keeper stays although its last client has gone"
    assert not (own_root / wire.SOCKET).exists()
    assert client.domain("w1").state is DomainState.RUNNING  # type: ignore[union-attr]
    client.close()


def test_many_clients_at_once_share_one_keeper(own_root: Path, cache: Path) -> None:
    """All start at the same moment, when nobody holds the root."""
    processes = [
        subprocess.Popen(
            (sys.executable, "-c", CLIENT, str(own_root), str(cache)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "[]\n"
        assert len(keepers(own_root)) == 1
        # Killed without a word: the keeper must count it out and serve the others.
        processes[0].kill()
        client = open_client(own_root, cache)
        assert client.domains() == ()
        client.close()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    (keeper,) = keepers(own_root)
    assert wait_until_gone(keeper, 15)


def test_one_client_in_many_threads(own_root: Path, cache: Path) -> None:
    client = open_client(own_root, cache)
    client.define(domain_xml())
    with ThreadPoolExecutor(8) as pool:
        records = list(pool.map(lambda _: client.domain("w1"), range(40)))
    assert {record.name for record in records if record} == {"w1"}
    client.close()


def test_a_stale_socket_is_replaced(own_root: Path, cache: Path) -> None:
    (own_root / wire.SOCKET).touch()
    (own_root / wire.LOCK).write_text("99999999\n")
    client = open_client(own_root, cache)
    assert client.domains() == ()
    assert (own_root / wire.SOCKET).stat().st_mode & 0o777 == 0o600
    client.close()


def test_the_keeper_ends_with_its_root(own_root: Path, cache: Path) -> None:
    client = open_client(own_root, cache)
    assert client.domains() == ()
    (keeper,) = keepers(own_root)
    for path in sorted(own_root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    own_root.rmdir()
    assert wait_until_gone(keeper, 10)
    client.close()


def test_removing_a_root_waits_for_others(own_root: Path, cache: Path) -> None:
    client, other = open_client(own_root, cache), open_client(own_root, cache)
    assert client.domains() == other.domains() == ()
    other.close()
    assert client.remove_root() == ()
    assert not own_root.exists()
    assert keepers(own_root) == []


def test_a_root_in_use_is_not_removed(
    own_root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioner.host.keeper_client.END_WAIT", 1.0)
    client, other = open_client(own_root, cache), open_client(own_root, cache)
    assert client.domains() == other.domains() == ()
    with pytest.raises(FailedError, match="another terminal"):
        client.remove_root()
    assert other.domains() == ()
    other.close()


def test_what_undefining_left_behind_is_named(own_root: Path, cache: Path) -> None:
    client = open_client(own_root, cache)
    client.define(domain_xml(uefi=True))
    client.start("w1")
    client.destroy("w1")
    nvram = own_root / "lib/qemu/nvram/w1_VARS.fd"
    assert nvram.exists()
    client.undefine("w1")
    assert not nvram.exists()
    nvram.write_bytes(b"left")
    assert client.remove_root() == ("lib/qemu/nvram/w1_VARS.fd",)


def test_libvirts_refusal_reaches_the_client(own_root: Path, cache: Path) -> None:
    """Another program holds the root: the error is told, with libvirt's own reason."""
    holder = subprocess.Popen(
        ("virsh", "-q", "-c", f"qemu:///embed?root={own_root}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdin.write(b"uri\n")
        holder.stdin.flush()
        assert holder.stdout.readline()
        client = open_client(own_root, cache)
        with pytest.raises(HostError, match="another process holds") as caught:
            client.domains()
        assert caught.value.hint is not None
    finally:
        holder.communicate(b"quit\n")
    assert client.domains() == ()
    client.close()


def test_a_deep_folder_is_refused_before_anything_is_made() -> None:
    base = Path("/tmp") / ("deep" * 10)
    with pytest.raises(HostError, match="too deep") as caught:
        root_of(base, Path("/state/w1"), "windows-11-machine-of-mine")
    assert "bytes shorter" in (caught.value.hint or "")
    assert not base.exists()
    assert root_of(Path("/var/lib/provisioner"), Path("/s"), "a" * 40).name


def test_roots_differ_by_state_folder_and_name() -> None:
    base = Path("/var/lib/provisioner")
    roots = {root_of(base, Path(s), m) for s in ("/a", "/b") for m in ("w1", "w2")}
    assert len(roots) == 4
