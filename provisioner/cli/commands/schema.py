"""Prints the JSON Schema of profiles, for editors that complete and check YAML."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.options import output_file

if TYPE_CHECKING:
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `schema`."""
    output_file(parser, meaning="write it there instead", suffix=".json")


def run(arguments: argparse.Namespace, session: Session) -> int:
    """The schema, the same with and without --json."""
    from provisioner.profile.schema import schema

    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if arguments.output:
        Path(arguments.output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0
