"""Options that several commands share."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from provisioner.cli.completion import (
    completes,
    connections,
    files,
    machine_names,
    media_discs,
    profile_keys,
    profiles,
)
from provisioner.errors import UsageError


def common_options(parser: argparse.ArgumentParser, *, inner: bool = False) -> None:
    """--json, --debug and --colour; not shown again for the `inner` verbs of a command."""
    hidden = argparse.SUPPRESS
    parser.add_argument(
        "--json",
        action="store_true",
        default=hidden if inner else False,
        help=hidden if inner else "print one JSON object per line on standard output",
    )
    parser.add_argument(
        "--debug",
        action="store_true",
        default=hidden if inner else False,
        help=hidden if inner else "show the traceback of a failure",
    )
    parser.add_argument(
        "--colour",
        "--color",
        choices=("auto", "always", "never"),
        default=hidden if inner else None,
        help=hidden if inner else "colours on the terminal; default: auto",
    )


def verbs_of(parser: argparse.ArgumentParser, command: str, verbs: Sequence[str]) -> None:
    """One parser for each verb; that of `iso create` is made by `cli/commands/iso_create.py`."""
    group = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in verbs:
        module = importlib.import_module(f"provisioner.cli.commands.{command}_{name}")
        verb = group.add_parser(name, help=module.HELP, description=module.__doc__)
        module.configure(verb)
        common_options(verb, inner=True)
        verb.set_defaults(run_verb=module.run)


def profile_options(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """PROFILE, --set and --media."""
    profile = parser.add_argument(
        "profile",
        metavar="PROFILE",
        nargs="?" if optional else None,
        help="a profile file, or the name of a shipped one",
    )
    completes(profile, profiles)
    set_option(parser)
    media_option(parser)
    parser.add_argument("--name", help="name of the machine, in place of the profile's")


def set_option(parser: argparse.ArgumentParser) -> None:
    """--set."""
    change = parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="sets",
        help="change one key of the profile, as windows.edition=Professional",
    )
    completes(change, profile_keys)


def media_option(parser: argparse.ArgumentParser) -> None:
    """--media."""
    media = parser.add_argument(
        "--media",
        action="append",
        default=[],
        metavar="KIND=FILE",
        help="the discs: install=Win11.iso, drivers=virtio-win.iso",
    )
    completes(media, media_discs)


def media_files(options: Sequence[str]) -> dict[str, str]:
    """What `--media` options say: files by kind."""
    media = {}
    for option in options:
        kind, separator, file = option.partition("=")
        if not separator or not file:
            raise UsageError(f"--media {option}: give it as KIND=FILE")
        media[kind] = file
    return media


def connect_option(parser: argparse.ArgumentParser) -> None:
    """--connect."""
    connect = parser.add_argument(
        "--connect",
        "-c",
        metavar="URI",
        help="libvirt connection, as qemu:///system; default: what this host offers",
    )
    completes(connect, connections)


def machine_name(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """NAME."""
    name = parser.add_argument(
        "name", metavar="NAME", nargs="?" if optional else None, help="name of the machine"
    )
    completes(name, machine_names)


def output_file(parser: argparse.ArgumentParser, *, meaning: str, suffix: str) -> None:
    """-o FILE."""
    output = parser.add_argument("-o", "--output", metavar="FILE", help=meaning)
    completes(output, files(suffix))
