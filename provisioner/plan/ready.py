"""Which services have to shake hands before a machine counts as ready, and where."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from provisioner.plan.domain import SERVICES
from provisioner.plan.model import ForwardedPort
from provisioner.plan.steps import ReadyWhen, Service
from provisioner.ports import HostFacts
from provisioner.profile.model import Profile


def services_of(
    profile: Profile, host: HostFacts, when: ReadyWhen, ports: Sequence[ForwardedPort]
) -> tuple[Service, ...]:
    """The profile's choice, or what it switches on, if this host can reach the machine at all."""
    remote = profile.windows.remote
    wanted: tuple[str, ...] | None = profile.machine.ready.probes
    if wanted is None:
        switched = {"rdp": remote.rdp, "winrm": remote.winrm is not None}
        elsewhere = bool(urlsplit(host.uri).hostname)
        reached = bool(profile.machine.networks) and not elsewhere and when != "power-off"
        wanted = tuple(name for name, on in switched.items() if on and reached)
    known = dict(SERVICES)
    forwarded = {port.service: port.host_port for port in ports}
    return tuple(
        Service(name=name, guest_port=known[name], host_port=forwarded.get(name, 0))
        for name in dict.fromkeys(wanted)
    )
