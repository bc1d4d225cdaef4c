"""Options that several commands share."""

from __future__ import annotations

import argparse


def profile_options(parser: argparse.ArgumentParser) -> None:
    """PROFILE, --set and --media."""
    parser.add_argument(
        "profile", metavar="PROFILE", help="a profile file, or the name of a shipped one"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="sets",
        help="change one key of the profile, as windows.edition=Professional",
    )
    parser.add_argument(
        "--media",
        action="append",
        default=[],
        metavar="KIND=FILE",
        help="the discs: install=Win11.iso, drivers=virtio-win.iso",
    )
    parser.add_argument("--name", help="name of the machine, in place of the profile's")


def connect_option(parser: argparse.ArgumentParser) -> None:
    """--connect."""
    parser.add_argument(
        "--connect",
        "-c",
        metavar="URI",
        help="libvirt connection, as qemu:///system; default: what this host offers",
    )


def machine_name(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """NAME."""
    parser.add_argument(
        "name", metavar="NAME", nargs="?" if optional else None, help="name of the machine"
    )
