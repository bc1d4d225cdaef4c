"""1, 10 and 50 machines planned and defined at once on one connection."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.measure import Row, seconds, size
from benchmarks.workshop import Workshop

COUNTS = (1, 10, 50)


def rows(workshop: Workshop) -> Iterator[Row]:
    """A process of its own for each count, because memory peaks do not go down again."""
    for count in COUNTS:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.many", str(workshop.folder), str(count),
             str(workshop.disc(10**8))],
            env={**os.environ, **workshop.environment},
            check=True,
            capture_output=True,
            text=True,
        )  # fmt: skip
        taken, peak = done.stdout.split()
        yield Row(
            what=f"{count} machine{'s' if count > 1 else ''} planned, disc written, defined",
            ours=f"{seconds(float(taken))}, {seconds(float(taken) / count)} each, "
            f"peak {size(int(peak))}",
            theirs="",
        )


def define(folder: str, count: int, disc: str) -> None:
    """Plans, writes and defines `count` machines on libvirt's test driver; prints time and peak."""
    import resource
    import time
    from pathlib import Path

    from provisioner.host.connect import connect, parse_uri
    from provisioner.host.probe import probe_kvm
    from provisioner.image.iso import write_iso
    from provisioner.media.inspect import inspect
    from provisioner.plan.checks import Media
    from provisioner.plan.compile import Sources, compile_machine
    from provisioner.plan.show import domain_xml
    from provisioner.plan.steps import WriteAnswerDisc
    from provisioner.profile.load import load_profile
    from provisioner.quoting import ENCODINGS
    from provisioner.resources import Resources, shipped_folder
    from provisioner.templating import Templates

    base = Path(folder)
    resources = Resources(shipped=shipped_folder())
    templates = Templates(resources.template_folders())
    media = Media(install=inspect(Path(disc)), drivers=None)
    hypervisor = connect(
        parse_uri("embed", uid=os.getuid(), reason="bench"),
        machine="many",
        folder=base / "many",
        cache=base / "cache",
        embed_base=base / "e",
        probe=lambda: probe_kvm(base / "cache"),
    )
    host = hypervisor.facts()
    begun = time.perf_counter()
    for number in range(count):
        loaded = load_profile(
            base / "bench.yaml",
            sets=[f"name=many{number}", f"windows.computer_name=MANY{number}"],
            resources=resources,
            home=base,
            cwd=base,
        )
        plan = compile_machine(
            Sources(
                profile=loaded.profile,
                places=lambda key: None,
                media=media,
                host=host,
                templates=templates,
                epoch=315_532_800,
            ),
            generation=1,
            forwards={},
            serial_log=base / "serial.log",
        )
        step = plan.steps[0]
        assert isinstance(step, WriteAnswerDisc)
        write_iso(
            step.tree,
            base / f"many{number}.iso",
            label=step.label,
            epoch=step.epoch,
            reveal=lambda slot: ENCODINGS[slot.encoding]("Passw0rd!"),
        )
        hypervisor.define(domain_xml(plan))
    taken = time.perf_counter() - begun
    for number in range(count):
        hypervisor.undefine(f"many{number}")
    hypervisor.close()
    print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


if __name__ == "__main__":
    define(sys.argv[1], int(sys.argv[2]), sys.argv[3])
