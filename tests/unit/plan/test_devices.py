"""Drivers follow the domain: what a template of the user's own adds, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.media.facts import MediaFacts
from provisioner.plan.show import answer_tree
from tests.unit.plan.cases import machine
from tests.unit.plan.scene import Scene, drivers, extended

MORE = """
<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>
<input type="keyboard" bus="virtio"/>
<video><model type="virtio"/></video>
<controller type="scsi" model="virtio-scsi"/>
<disk type="file" device="disk"><target dev="sdz" bus="scsi"/></disk>
"""
ALWAYS = {"$WinPEDriver$": {"NetKVM", "vioserial", "viostor"}, "drivers": {"Balloon"}}


def with_scsi(disc: MediaFacts) -> MediaFacts:
    """The disc with one driver more."""
    stor = {path: extents for path, extents in disc.files.items() if path.startswith("viostor/")}
    more = {path.replace("viostor", "vioscsi"): extents for path, extents in stor.items()}
    return replace(disc, files={**disc.files, **more})


def folders(scene: Scene, folder: Path) -> dict[str, set[str]]:
    """The drivers on the answer disc, by what loads them."""
    found: dict[str, set[str]] = {}
    for path, _ in answer_tree(scene.plan(folder)).files():
        if path.parts[0] in ALWAYS:
            found.setdefault(path.parts[0], set()).add(path.parts[1])
    return found


def test_a_domain_of_ours_needs_four(tmp_path: Path) -> None:
    assert folders(Scene(drivers=with_scsi(drivers())), tmp_path) == ALWAYS


def test_sata_and_e1000e_need_no_driver_in_setup_but_the_channels(tmp_path: Path) -> None:
    plain = machine("disks: [{bus: sata}], networks: [{model: e1000e}]")
    found = folders(Scene(profile=plain, drivers=drivers()), tmp_path)
    assert found == ALWAYS | {"$WinPEDriver$": {"vioserial"}}


def test_devices_of_a_template_get_theirs(tmp_path: Path) -> None:
    scene = Scene(drivers=with_scsi(drivers()), templates=extended("devices", MORE))
    assert folders(scene, tmp_path) == {
        "$WinPEDriver$": ALWAYS["$WinPEDriver$"] | {"vioscsi"},
        "drivers": {"Balloon", "viogpudo", "vioinput", "viorng"},
    }
    assert "machine.disk-driver" not in {problem.rule for problem in scene.problems(tmp_path)}


@pytest.mark.parametrize("disc", [None, drivers()], ids=["no disc", "a disc without vioscsi"])
def test_a_scsi_disk_without_its_driver(disc: MediaFacts | None, tmp_path: Path) -> None:
    scene = Scene(drivers=disc, templates=extended("devices", MORE))
    assert "machine.disk-driver" in {problem.rule for problem in scene.problems(tmp_path)}
