"""The parser: every command in one line, and the options of those that are asked for.

Imported before anything else, also to show the help, so it imports next to nothing itself.
"""

from __future__ import annotations

import argparse
import importlib
import re
from typing import Any, NoReturn

from provisioner import __version__

COMMANDS = {
    "new": "write a profile by answering a few questions",
    "inspect": "tell what an ISO, a stick image or a WIM file holds",
    "library": "remember discs by what is on them",
    "iso": "make, read, compare and write disc images",
    "usb": "write and prove sticks for physical machines",
    "check": "find mistakes in a profile before anything boots",
    "lint": "check answer files as Windows Setup would read them",
    "plan": "show what `up` would do, step by step",
    "render": "write the answer files into a folder",
    "build": "write the answer disc and the boot overlay into a folder",
    "up": "make the machine and wait until it is ready",
    "watch": "watch a machine install itself",
    "down": "shut a machine down and keep everything",
    "delete": "remove a machine with its disks",
    "status": "show how a machine is doing",
    "autopsy": "find out why an installation failed or stands still",
    "list": "list machines, or profiles",
    "connect": "open a machine's screen, Remote Desktop or SSH, or write down how",
    "audit": "look whether an installation has left secrets behind",
    "screenshot": "save a picture of a machine's display",
    "console": "open a machine's serial port",
    "drive": "attach or eject a disc of a machine",
    "secret": "print the generated password of a user",
    "config": "show or change the defaults for all machines",
    "schema": "print the JSON Schema of profiles",
    "doctor": "see whether this host can run machines",
    "completion": "print the completion script of a shell",
}
"""Each command, a module of `cli.commands`, and what it does, in the order of the help."""

EXIT_CODES = (
    (0, "done"),
    (1, "a bug in provisioner"),
    (2, "usage or profile"),
    (3, "host or media not ready"),
    (4, "failed while doing"),
    (5, "refused for safety"),
    (6, "the guest failed or stalled"),
    (130, "interrupted"),
    (141, "nobody reads the output any more"),
)
EPILOG = "exit codes: " + ", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES)


class Parser(argparse.ArgumentParser):
    """Raises UsageError instead of leaving the process, so that `--json` covers usage as well."""

    asked: str | None = None
    """The command whose words the whole line's parser could not place."""

    def __init__(self, **options: Any) -> None:
        # An abbreviation that works today is another option tomorrow.
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        from provisioner.errors import UsageError

        wrong = re.search(r"invalid choice: (.+?) \(choose from (.+)\)", message)
        hint = f"see `{self.asked or self.prog} --help`"
        if wrong is not None:
            from difflib import get_close_matches

            known = re.findall(r"[\w-]+", wrong[2])
            near = get_close_matches(wrong[1].strip("'\""), known, n=1)
            message = message[: wrong.end(1)]
            hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(known)}"
        raise UsageError(message, hint=hint)


def build_parser(asked: str | None = None) -> argparse.ArgumentParser:
    """All commands with their options, or only what one command line needs (each takes its time).

    `asked` is its first word: that command alone, or where it is none the commands' names.
    """
    parser = Parser(
        prog="provisioner",
        description="Turns a YAML profile into a Windows machine that installed itself.",
        epilog=EPILOG,
    )
    if asked in COMMANDS:
        parser.asked = f"provisioner {asked}"
    parser.add_argument("--version", action="version", version=f"provisioner {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in (asked,) if asked in COMMANDS else COMMANDS:
        if asked not in (None, name):
            commands.add_parser(name, help=COMMANDS[name])
            continue
        from provisioner.cli.options import common_options

        module = importlib.import_module(f"provisioner.cli.commands.{name}")
        sub = commands.add_parser(name, help=COMMANDS[name], description=module.__doc__)
        common_options(sub)
        module.configure(sub)
        sub.set_defaults(run=module.run)
    return parser
