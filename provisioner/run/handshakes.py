"""Ready means that the chosen services shake hands: an open port is not enough."""

from __future__ import annotations

from provisioner.errors import GuestError
from provisioner.guest import steps
from provisioner.plan.model import MachinePlan
from provisioner.plan.steps import ReadyWhen, Service, ShakeHands, WaitReady, hands
from provisioner.ports import DomainState
from provisioner.run.waiting import Guest, moment

PATIENCE = 60.0
"""Seconds that the services get at least, however late the guest was ready."""

ONE_TRY = 10.0
"""Seconds for one conversation: TLS of an emulated guest takes some."""

PAUSE = 2.0
LOOPBACK = "127.0.0.1"
_SIGNS: dict[ReadyWhen, str] = {
    "agent": "the agent answers",
    "serial": "the guest says so",
    "power-off": "it turned itself off",
}


def shake_hands(step: ShakeHands, guest: Guest) -> None:
    """Returns when each service has answered; GuestError with the reason where one does not."""
    world = guest.world
    deadline = world.clock.monotonic() + max(PATIENCE, step.within - guest.elapsed())
    waiting = list(step.services)
    while True:
        reason = _first_reason(step.name, waiting, guest)
        if not waiting:
            break
        record = world.hypervisor.domain(step.name)
        if record is None or record.state in (DomainState.OFF, DomainState.CRASHED):
            raise GuestError(f"{step.name} turned itself off before {hands(waiting)}")
        if world.clock.monotonic() > deadline:
            raise GuestError(
                f"{step.name} is set up, but no hands were shaken: {reason}",
                hint="see whether the service and its firewall rule are on; `machine.ready.probes: "
                "[]` does without",
            )
        world.clock.sleep(PAUSE)
    world.console.event(
        "handshakes", {"name": step.name, "services": [service.name for service in step.services]}
    )


def say_ready(plan: MachinePlan, guest: Guest) -> None:
    """`ready: the agent answers, RDP and WinRM shake hands, 3 of 3 steps exited 0`."""
    told = []
    for step in plan.steps:
        if isinstance(step, WaitReady):
            told.append(_SIGNS[step.when])
        elif isinstance(step, ShakeHands):
            told.append(hands(step.services))
    if counted := steps.summary(guest.listener.heard.about_steps):
        told.append(counted)
    guest.world.console.say(moment(guest, f"ready: {', '.join(told)}"))


def _first_reason(name: str, waiting: list[Service], guest: Guest) -> str:
    """Tries each service, takes those that answer out of the list; why the others do not."""
    reasons = []
    for service in tuple(waiting):
        try:
            _shake(name, service, guest)
        except GuestError as err:
            reasons.append(err.message)
        else:
            waiting.remove(service)
    return reasons[0] if reasons else ""


def _shake(name: str, service: Service, guest: Guest) -> None:
    """One service, at the loopback port or at whichever address of the guest answers."""
    shake = guest.world.handshakes.shake
    if service.host_port:
        shake(service.name, LOOPBACK, service.host_port, timeout=ONE_TRY)
        return
    failure = GuestError(f"{service.name}: the guest has no address yet")
    for address in guest.world.hypervisor.addresses(name):
        if address.startswith("fe80:"):
            continue  # link-local: means nothing without an interface
        try:
            shake(service.name, address, service.guest_port, timeout=ONE_TRY)
        except GuestError as err:
            failure = err
        else:
            return
    raise failure
