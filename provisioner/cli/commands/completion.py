"""Prints what makes TAB complete commands, options and the names of machines and profiles.

bash: put `eval "$(provisioner completion bash)"` into ~/.bashrc.

zsh: put `eval "$(provisioner completion zsh)"` into ~/.zshrc, after compinit.

fish: `provisioner completion fish > ~/.config/fish/completions/provisioner.fish`
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from provisioner.cli.completion import script

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `completion`."""
    parser.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "fish"),
                        help="bash, zsh or fish")  # fmt: skip


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints the script."""
    text = script(arguments.shell)
    session.console.result(text.rstrip())
    session.console.event("completion", {"shell": arguments.shell, "script": text})
    return 0
