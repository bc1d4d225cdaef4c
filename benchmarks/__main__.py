"""`python -m benchmarks [NAME...]`: prints the table. `make bench` calls this."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import (
    commands,
    discs,
    inspecting,
    iso,
    linting,
    main_job,
    many,
    usb,
    usb_device,
    watching,
)
from benchmarks.measure import Row
from benchmarks.workshop import Workshop, opened

ALL: dict[str, Callable[[Workshop], Iterator[Row]]] = {
    "commands": commands.rows,
    "discs": discs.rows,
    "many": many.rows,
    "inspecting": inspecting.rows,
    "linting": linting.rows,
    "iso": iso.rows,
    "usb-device": usb_device.rows,
    "usb": usb.rows,
    "main-job": main_job.rows,
    "watching": watching.rows,
}


def main(names: list[str]) -> int:
    """Runs the named benchmarks, or all."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    standin = Path("build/standin/install.iso")
    if not standin.exists():
        print("build/standin/install.iso is missing; `make standin` builds it", file=sys.stderr)
        return 3
    with opened(standin.resolve()) as workshop:
        for name in names or ALL:
            print(f"\n{name}: ours beside theirs, median of 5; a ratio below 1 is in our favour")
            for row in ALL[name](workshop):
                ratio = f"{row.ratio:8.3f}" if row.ratio is not None else " " * 8
                print(f"{ratio}  {row.what}: {row.ours}", flush=True)
                if row.theirs:
                    print(f"          beside {row.theirs}")
                if row.wanted:
                    print(f"          wanted: {row.wanted}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
