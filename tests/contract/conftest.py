"""The hosts on which the contract of `ports.Hypervisor` is tried."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioner.host.embed import keep_capabilities, prepare_root
from provisioner.host.keeper_client import KeptHypervisor, remove_root
from provisioner.host.libvirt import LibvirtHypervisor
from provisioner.ports import Accelerator, Hypervisor, Mode
from tests.contract.domains import FOREIGN, foreign_xml
from tests.fakes.hypervisor import FakeHypervisor

DIRECT = "PROVISIONER_TEST_DIRECT_EMBED"
"""Set in the process of its own that libvirt wants for an embed root opened directly."""

NODE = """<node><cpu><mhz>3000</mhz><model>x</model><active>4</active><nodes>1</nodes>
<sockets>1</sockets><cores>4</cores><threads>1</threads></cpu><memory>16777216</memory>
<domain type='test'><name>{foreign}</name><memory>8192</memory><os><type>hvm</type></os></domain>
</node>"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`direct` runs in the process that test_direct_embed starts, and only there."""
    if DIRECT in os.environ:
        return
    direct = [item for item in items if re.search(r"[\[-]direct[\]-]", item.name)]
    config.hook.pytest_deselected(items=direct)
    items[:] = [item for item in items if item not in direct]


@dataclass(frozen=True, kw_only=True)
class Host:
    """A hypervisor on which a foreign domain is defined, and how it differs from the others."""

    kind: str
    hypervisor: Hypervisor
    folder: Path

    @property
    def real(self) -> bool:
        """Whether libvirt itself judges the XML."""
        return self.kind != "fake"

    @property
    def devices_change(self) -> bool:
        """The test driver has no device changes and no agent: `docs/facts/libvirt.md` §2."""
        return self.kind != "test"


def no_kvm() -> Accelerator:
    return Accelerator(kvm=False, reason="tests run in software")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What libvirt knows about QEMU, shared by all roots: found out once."""
    return tmp_path_factory.mktemp("capabilities")


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Short, for UNIX sockets; pytest's own folders are too deep."""
    folder = Path(tempfile.mkdtemp(prefix="pc"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def define_foreign(root: Path) -> None:
    """As somebody else would: with virsh, in a process that lets go of the root at once."""
    with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
        file.write(foreign_xml())
        file.flush()
        subprocess.run(
            ("virsh", "-q", "-c", f"qemu:///embed?root={root}", "define", file.name),
            check=True,
            capture_output=True,
            timeout=60,
        )


def discard(hypervisor: Hypervisor) -> None:
    """Ends every machine of ours that a test left, and its files."""
    for record in hypervisor.domains():
        if record.ownership is not None:
            hypervisor.destroy(record.name)
            hypervisor.undefine(record.name)
    for name in hypervisor.stored_files():
        hypervisor.delete_file(name)


@pytest.fixture(scope="session")
def root(cache: Path) -> Iterator[Path]:
    """One embed root for all tests, with somebody else's domain in it."""
    given = os.environ.get(DIRECT)
    folder = Path(given or tempfile.mkdtemp(prefix="pc"))
    folder.chmod(0o755)
    root = folder / "r"
    prepare_root(root, uid=os.getuid(), cache=cache)
    define_foreign(root)
    keep_capabilities(root, cache)
    yield root
    if not given:
        remove_root(root)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def direct(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LibvirtHypervisor]:
    """One connection: after some 16 in one process libvirt 9.0 says "Too many drivers"."""
    opened = LibvirtHypervisor(
        f"qemu:///embed?root={root}",
        mode=Mode.EMBED,
        machine="w1",
        folder=tmp_path_factory.mktemp("files"),
        probe=no_kvm,
    )
    yield opened
    opened.close()


@pytest.fixture(
    params=[
        "fake",
        "test",
        pytest.param("kept", marks=pytest.mark.integration),
        pytest.param("direct", marks=pytest.mark.integration),
    ]
)
def host(request: pytest.FixtureRequest, short_folder: Path, cache: Path) -> Iterator[Host]:
    kind = str(request.param)
    files = short_folder / "files"
    hypervisor: Hypervisor
    match kind:
        case "fake":
            hypervisor = FakeHypervisor()
            hypervisor.add_foreign(foreign_xml())
        case "test":
            node = short_folder / "node.xml"
            node.write_text(NODE.format(foreign=FOREIGN))
            hypervisor = LibvirtHypervisor(
                f"test://{node}", mode=Mode.TEST, machine="w1", folder=files, probe=no_kvm
            )
        case "direct":
            hypervisor = request.getfixturevalue("direct")
        case _:
            root = request.getfixturevalue("root")
            hypervisor = KeptHypervisor(root, folder=files, cache=cache, probe=no_kvm)
    with ExitStack() as cleanup:
        if kind != "direct":
            cleanup.callback(hypervisor.close)
        cleanup.callback(discard, hypervisor)
        yield Host(kind=kind, hypervisor=hypervisor, folder=short_folder)
