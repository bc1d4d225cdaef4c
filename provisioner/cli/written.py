"""`connect --as`: looks a machine's ways in up, and prints them or writes them to a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.access import (
    PORTS,
    Access,
    Form,
    ansible_inventory,
    as_members,
    needs,
    rdp_file,
    ssh_entry,
)
from provisioner.errors import FailedError, ProvisionerError, RefusedError, UsageError

if TYPE_CHECKING:
    from provisioner.cli.session import Session
    from provisioner.run.world import World
    from provisioner.store.machine import MachineState

KEYS = {
    "rdp": "windows.remote.rdp",
    "winrm": "windows.remote.winrm",
    "ssh": "windows.remote.ssh",
}


def write_down(
    arguments: argparse.Namespace, session: Session, world: World, state: MachineState
) -> None:
    """Prints one form, or writes it to a new file that only its owner reads."""
    form: Form = arguments.form
    if arguments.with_password and form not in ("ansible", "json"):
        raise UsageError(f"no password goes into --as {form}", hint="leave --with-password out")
    access = _access(session, world, state, form, with_password=arguments.with_password)
    if form == "json":
        text = json.dumps(as_members(access), indent=2, ensure_ascii=False) + "\n"
    else:
        make = {"rdp": rdp_file, "ssh": ssh_entry, "ansible": ansible_inventory}[form]
        text = make(access)
    session.console.event("access", {"form": form, "text": text, **as_members(access)})
    if arguments.output is None:
        session.console.result(text.replace("\r\n", "\n").removesuffix("\n"))
        return
    from provisioner.host.files import write_file

    # Windows' own client writes UTF-16; it takes ASCII as well, but not every UTF-8.
    wide = form == "rdp" and not text.isascii()
    path = session.environment.cwd / Path(arguments.output)
    if path.exists():
        raise RefusedError(
            f"{path} exists; it is not replaced",
            hint="name a new file, or add the text to yours: provisioner connect ... --as ... >>",
        )
    write_file(path, text.encode("utf-16" if wide else "utf-8"))
    session.console.say(f"written: {path}")


def addresses(world: World, state: MachineState) -> Mapping[str, tuple[str, int]]:
    """Every service's host and port: a loopback forward, otherwise the guest's own address."""
    found = {f.service: ("127.0.0.1", f.host_port) for f in state.current.forwards}
    if set(PORTS) <= set(found):
        return found
    try:
        own = world.hypervisor.addresses(world.store.name)
    except ProvisionerError:
        own = ()
    if own:
        found = {service: (own[0], port) for service, port in PORTS.items()} | found
    return found


def offered(state: MachineState) -> frozenset[str]:
    """Services that the profile turned on."""
    intent = state.current.intent
    on = {
        "rdp": intent.get(KEYS["rdp"]) == "True",
        "winrm": intent.get(KEYS["winrm"], "default") != "default",
        "ssh": any(key.startswith(KEYS["ssh"] + ".") for key in intent),
    }
    return frozenset(service for service, is_on in on.items() if is_on)


def _access(
    session: Session, world: World, state: MachineState, form: Form, *, with_password: bool
) -> Access:
    name = world.store.name
    on = offered(state)
    wanted = needs(form)
    if wanted and not on & set(wanted):
        keys = " or ".join(KEYS[service] for service in wanted)
        raise FailedError(
            f"the profile of {name} turns on none of {keys}",
            hint="add it to the profile and make the machine anew: provisioner up --replace",
        )
    services = {
        service: place for service, place in addresses(world, state).items() if service in on
    }
    if wanted and not services.keys() & set(wanted):
        raise FailedError(
            f"no address of {name} is known",
            hint="the guest agent tells it, or libvirt's network",
        )
    user = state.users[0] if state.users else ""
    try:
        password = session.generated_secret(name, user).value if user else None
    except FailedError:
        password = None
    if with_password and password is None:
        raise FailedError(
            f"the password of {user or 'its user'} is not kept here",
            hint="only `{generate: N}` passwords are; others are where the profile says",
        )
    shell = state.current.intent.get("windows.remote.ssh.shell")
    return Access(
        name=name,
        services=services,
        users=state.users,
        shell="cmd" if shell == "cmd" else "powershell",
        lookup=f"provisioner secret {name} {user}" if password and _plain(user) else None,
        password=password.reveal() if with_password and password else None,
    )


def _plain(user: str) -> bool:
    """Whether a name can stand in a command line, in quotes of Jinja and YAML, as it is."""
    return all(character.isalnum() or character in "-_." for character in user)
