"""Opens a machine's screen: its display, Remote Desktop or SSH; or tells other programs how.

At a terminal the program is started; elsewhere, or with --print, its command line is printed.
--as prints an .rdp file, an entry for ~/.ssh/config, an Ansible inventory or JSON instead.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from typing import TYPE_CHECKING, NoReturn

from provisioner.cli.access import FORMS
from provisioner.cli.completion import completes, files
from provisioner.cli.options import connect_option, machine_name

if TYPE_CHECKING:
    from provisioner.cli.clients import Command, Way
    from provisioner.cli.session import Session
    from provisioner.run.world import World
    from provisioner.store.machine import MachineState


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `connect`."""
    machine_name(parser)
    connect_option(parser)
    parser.add_argument(
        "--with",
        dest="way",
        choices=("viewer", "rdp", "ssh"),
        help="default: rdp where Windows offers it and can be reached, otherwise viewer",
    )
    parser.add_argument(
        "--print", action="store_true", help="print the command line instead of running it"
    )
    parser.add_argument(
        "--as",
        dest="form",
        choices=FORMS,
        help="print an .rdp file, an SSH client entry, an Ansible inventory, or JSON",
    )
    output = parser.add_argument(
        "-o", "--output", metavar="FILE", help="with --as: write it to a new file instead"
    )
    completes(output, files())
    parser.add_argument(
        "--with-password",
        action="store_true",
        help="with --as ansible or json: put the password in, too",
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints the command line, or becomes the program."""
    from provisioner.cli.clients import PACKAGES
    from provisioner.cli.environment import is_terminal
    from provisioner.cli.written import KEYS, offered
    from provisioner.errors import FailedError, HostError, UsageError
    from provisioner.ports import DomainState
    from provisioner.store.machine import no_machine

    name, console = arguments.name, session.console
    if arguments.form is None and (arguments.output or arguments.with_password):
        raise UsageError("--output and --with-password belong to --as")
    world = session.world(name, arguments.connect)
    state = world.store.load()
    record = world.hypervisor.domain(name)
    if state is None or record is None or record.ownership is None:
        raise no_machine(name)
    if record.state is not DomainState.RUNNING:
        raise FailedError(
            f"{name} is {record.state.value}", hint=f"`provisioner up {state.profile}` starts it"
        )
    if arguments.form is not None:
        from provisioner.cli.written import write_down

        write_down(arguments, session, world, state)
        return 0
    address = _address(world, state, "rdp")
    way = arguments.way or _best(state, reachable=address is not None)
    command = _command(session, world, state, way)
    user = state.users[0] if state.users else None
    console.event(
        "connect",
        {
            "name": name,
            "with": way,
            "command": list(command.argv),
            "installed": command.installed,
            "user": user,
        },
    )
    if way in KEYS and way not in offered(state):
        console.warn(f"the profile does not turn this on ({KEYS[way]})")
    if user and way != "viewer":
        console.say(f"password of {user}: {_password(session, name, user)}")
    here = is_terminal(sys.stdin) and is_terminal(sys.stdout) and not console.as_json
    if arguments.print or not here:
        console.result(shlex.join(command.argv))
        return 0
    if not command.installed:
        console.result(shlex.join(command.argv))
        raise HostError(f"the program {command.argv[0]} is not installed", hint=PACKAGES[way])
    variables = session.environment.variables
    if command.graphical and not (variables.get("DISPLAY") or variables.get("WAYLAND_DISPLAY")):
        console.result(shlex.join(command.argv))
        raise HostError(
            "there is no desktop here to open a window on",
            hint="run it on your own computer, through a tunnel to this host's loopback port:"
            " ssh -L PORT:127.0.0.1:PORT HOST",
        )
    console.say(shlex.join(command.argv))
    session.__exit__(None, None, None)
    return _become(command.argv)


def _become(argv: tuple[str, ...]) -> NoReturn:
    from provisioner.errors import HostError

    sys.stdout.flush()
    try:
        os.execvp(argv[0], argv)
    except OSError as err:
        raise HostError(f"cannot run {argv[0]}: {err.strerror}") from err


def _best(state: MachineState, *, reachable: bool) -> Way:
    from provisioner.store.machine import Phase

    offered = state.current.intent.get("windows.remote.rdp") == "True"
    return "rdp" if offered and reachable and state.phase is Phase.READY else "viewer"


def _command(session: Session, world: World, state: MachineState, way: Way) -> Command:
    from provisioner.cli import clients
    from provisioner.errors import FailedError

    path = session.environment.variables.get("PATH")

    def find(program: str) -> bool:
        return shutil.which(program, path=path) is not None

    name = world.store.name
    if way == "viewer":
        uri = world.hypervisor.display(name)
        if uri is None:
            raise FailedError(
                f"{name} has no display",
                hint="its profile says `graphics: null`; try --with rdp",
            )
        return clients.viewer(uri, find)
    found = _address(world, state, way)
    if found is None:
        raise FailedError(
            f"no address of {name} is known",
            hint="the guest agent tells it, or libvirt's network; --with viewer works without",
        )
    host, port = found
    user = state.users[0] if state.users else None
    if way == "rdp":
        return clients.rdp(host, port, user=user, find=find)
    return clients.ssh(host, port, user=user, machine=name, find=find)


def _address(world: World, state: MachineState, way: Way) -> tuple[str, int] | None:
    """Where the service is reached."""
    from provisioner.cli.written import addresses

    return addresses(world, state).get(way)


def _password(session: Session, name: str, user: str) -> str:
    from provisioner.errors import ProvisionerError

    try:
        session.generated_secret(name, user)
    except ProvisionerError:
        return "where the profile says"
    return f"provisioner secret {name} {user}"
