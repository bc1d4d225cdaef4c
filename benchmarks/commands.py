"""`--help`, `check` and `plan` beside virt-install and osinfo-install-script."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator

from benchmarks.measure import Row, command, in_turn, seconds, size
from benchmarks.workshop import Workshop
from provisioner.store.known_media import RACY


def rows(workshop: Workshop) -> Iterator[Row]:
    """Times of whole processes, interpreter start included on both sides."""
    disc = workshop.disc(10**8)
    profile = str(workshop.profile("bench"))
    media = ("--media", f"install={disc}")
    wanted = {"--help": "at most a tenth", "check": "at most half", "plan": "at most two thirds"}
    plan = workshop.ours("plan", profile, *media, "--connect", "embed")
    time.sleep(RACY / 1e9)  # a disc that was written this moment is not remembered
    command(plan, environment=workshop.environment, runs=1)  # fills the caches
    taken = in_turn(
        {
            "virt-install": [
                "virt-install", "--connect", "test:///default", "--print-xml", "--dry-run",
                "--name", "x", "--memory", "4096", "--disk", "size=64", "--osinfo", "win10",
                "--cdrom", str(disc),
            ],
            "--help": workshop.ours("--help"),
            "check": workshop.ours("check", profile, *media),
            "plan": plan,
        },
        environment=workshop.environment,
    )  # fmt: skip
    virt_install = taken["virt-install"]
    for name, target in wanted.items():
        yield Row(
            what=f"provisioner {name}",
            ours=f"{seconds(taken[name].wall)}, peak {size(taken[name].peak)}",
            theirs=f"virt-install --print-xml {seconds(virt_install.wall)}, "
            f"peak {size(virt_install.peak)}",
            ratio=taken[name].wall / virt_install.wall,
            wanted=target,
        )
    script = command(
        ["osinfo-install-script", "-d", str(workshop.folder), "-c", "admin-password=Passw0rd!",
         "-c", "reg-product-key=VK7JG-NPHTM-C97JM-9MPGT-3V66T", "-p", "desktop",
         "http://microsoft.com/win/10"],
    )  # fmt: skip
    rendered = workshop.folder / "rendered"
    render = command(
        workshop.ours("render", profile, *media, "-o", str(rendered)),
        environment=workshop.environment,
        before=lambda: shutil.rmtree(rendered, ignore_errors=True),
    )
    yield Row(
        what="answer files of one machine",
        ours=f"render {seconds(render.wall)}",
        theirs=f"osinfo-install-script {seconds(script.wall)}",
        ratio=render.wall / script.wall,
    )
