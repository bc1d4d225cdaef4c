"""The Windows that an answer file is meant for: what `--windows` names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from provisioner.frozen import frozen

WINDOWS_10 = 10240
WINDOWS_11 = 22000
CONX = 26100
"""24H2 and Server 2025: the new Setup (windows-setup.md §3.10)."""


@frozen
class Target:
    """One Windows. `build` is the newest build of that name."""

    name: str
    build: int
    server: bool = False


_CLIENTS = {"7": 7601, "8": 9200, "8.1": 9600, "10": 19045, "11": 22631}
_RELEASES = {"11-24H2": 26100, "11-25H2": 26200}
_SERVERS = {
    "2008-r2": 7601,
    "2012": 9200,
    "2012-r2": 9600,
    "2016": 14393,
    "2019": 17763,
    "2022": 20348,
    "2025": 26100,
}

TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        **{
            name: Target(name=f"Windows {name.replace('-', ' ')}", build=build)
            for name, build in {**_CLIENTS, **_RELEASES}.items()
        },
        **{
            f"server-{year}": Target(
                name=f"Windows Server {year.upper().replace('-', ' ')}", build=build, server=True
            )
            for year, build in _SERVERS.items()
        },
    }
)
"""By the names that `--windows` takes."""


def target(name: str) -> Target | None:
    """`11-24H2`, `windows-11`, `Server-2025` ...; None where there is no such Windows."""
    wanted = name.lower().removeprefix("windows-")
    return next((found for key, found in TARGETS.items() if key.lower() == wanted), None)
