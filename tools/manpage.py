"""Writes docs/man/provisioner.1 from the parser: `python -m tools.manpage`.

A test compares the file with what this makes, so that neither options nor settings are forgotten.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

from provisioner import __version__
from provisioner.cli.config import SETTINGS
from provisioner.cli.parser import EXIT_CODES, build_parser

PAGE = Path(__file__).resolve().parent.parent / "docs/man/provisioner.1"

EXAMPLES = (
    ("A profile for the ISO you have", "provisioner new Win11.iso -o dev11.yaml"),
    ("See what is wrong with it, and what it would do", "provisioner check dev11.yaml"),
    ("Make the machine, and wait until it is ready", "provisioner up dev11.yaml"),
    (
        "The same without a profile of your own",
        "provisioner up windows-11 --media install=Win11.iso",
    ),
    ("Its screen, and its password", "provisioner connect dev11"),
)

FILES = (
    ("~/.config/provisioner/config.yaml", "defaults for all machines"),
    ("~/.config/provisioner/profiles/", "your profiles; they go before shipped ones of their name"),
    ("~/.config/provisioner/templates/", "your templates; likewise"),
    ("~/.local/state/provisioner/", "what is remembered of each machine, and its passwords (0600)"),
)


def manpage() -> str:
    """The page in man(7) macros."""
    parser = build_parser()
    lines = [
        '.\\" Written by tools/manpage.py from the parser; change that, not this.',
        f'.TH PROVISIONER 1 "" "provisioner {__version__}" "User Commands"',
        ".SH NAME",
        r"provisioner \- turn a YAML profile into a Windows machine that installed itself",
        ".SH SYNOPSIS",
        ".B provisioner",
        ".I COMMAND",
        "[options]",
        ".SH DESCRIPTION",
        _text(
            "A profile says which Windows machine you want. provisioner looks at the install disc,"
            " at this host and at the profile, says what is wrong before anything boots, and makes"
            " the machine: an answer disc for Windows Setup, a libvirt domain, and a wait until"
            " Windows is ready. The install disc is only read."
        ),
        ".PP",
        _text(
            "Results go to standard output, the story to standard error. With --json every command"
            " prints one JSON object per line on standard output instead."
        ),
        ".SH COMMANDS",
    ]
    for name, command in _commands(parser):
        lines += _command(name, command)
    lines += [".SH CONFIGURATION"]
    lines += [
        _text(
            "Defaults stand in config.yaml; the command `provisioner config` shows each value and"
            " where it comes from. From weak to strong: built in, the file, an environment"
            " variable, a profile, the command line. For `colour` the file goes before NO_COLOR."
        )
    ]
    for setting in SETTINGS:
        lines += [
            ".TP",
            f".B {_escaped(setting.key)}",
            _text(f"{setting.meaning}; without it: {setting.default or setting.unset}."),
        ]
    lines += [".SH ENVIRONMENT"]
    for setting in SETTINGS:
        meaning = f"As the setting {setting.key}."
        if setting.key == "colour":
            meaning = "With any value: no colours (https://no-color.org)."
        lines += [".TP", f".B {setting.variable}", _text(meaning)]
    for variable, meaning in (
        ("SOURCE_DATE_EPOCH", "The time of everything on an answer disc, for identical bytes."),
        ("XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME", "Where the folders below lie instead."),
    ):
        lines += [".TP", f".B {variable}", _text(meaning)]
    lines += [".SH FILES"]
    for file, meaning in FILES:
        lines += [".TP", f".I {_escaped(file)}", _text(f"{meaning}.")]
    lines += [".SH EXIT STATUS"]
    for code, meaning in EXIT_CODES:
        lines += [".TP", f".B {code}", _text(f"{meaning}.")]
    lines += [".SH EXAMPLES"]
    for meaning, example in EXAMPLES:
        lines += [".TP", _text(f"{meaning}:"), f".B {_escaped(example)}"]
    lines += [
        ".SH SEE ALSO",
        ".BR virsh (1),",
        ".BR remote\\-viewer (1),",
        ".BR virt\\-install (1)",
    ]
    return "\n".join(lines) + "\n"


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _command(name: str, parser: argparse.ArgumentParser, *, summary: str = "") -> Iterator[str]:
    verbs = list(_commands(parser))
    yield f".SS {_escaped(name)}"
    yield f".B provisioner {_escaped(name)}"
    for action in _shown(parser):
        if not action.option_strings:
            yield _usage(action)
    if verbs:
        yield r"[\fIACTION\fR]" if name == "config" else r"\fIACTION\fR"
    yield ".PP"
    for number, paragraph in enumerate((parser.description or summary).strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))
    for action in _shown(parser):
        if {"--json", "--debug", "--colour"} & set(action.option_strings) and name != "check":
            continue
        yield from _argument(action)
    for verb, inner in verbs:
        yield ".TP"
        positionals = " ".join(_usage(a) for a in _shown(inner) if not a.option_strings)
        yield rf"\fB{_escaped(verb)}\fR {positionals}"
        yield _text(_help_of(parser, verb) + ".")
        if arguments := _shown(inner):
            yield ".RS"
            for action in arguments:
                yield from _argument(action)
            yield ".RE"
    if name == "check":
        yield ".PP"
        yield _text("The last three options are those of every command.")


def _shown(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Arguments and options, the ones common to all commands last."""
    actions = [
        action
        for action in parser._actions
        if action.help is not argparse.SUPPRESS
        and not isinstance(action, argparse._SubParsersAction | argparse._HelpAction)
    ]
    common = {"--json", "--debug", "--colour"}
    return sorted(actions, key=lambda action: bool(common & set(action.option_strings)))


def _usage(action: argparse.Action) -> str:
    value = rf"\fI{_escaped(_value(action))}\fR"
    return f"[{value}]" if action.nargs == "?" else value


def _argument(action: argparse.Action) -> Iterator[str]:
    yield ".TP"
    if not action.option_strings:
        yield _usage(action)
    else:
        names = ", ".join(rf"\fB{_escaped(name)}\fR" for name in action.option_strings)
        value = "" if action.nargs == 0 else rf" \fI{_escaped(_value(action))}\fR"
        yield names + value
    yield _text(f"{action.help or ''}.")


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    if action.choices is not None:
        return "|".join(str(choice) for choice in action.choices)
    return action.dest.upper()


def _help_of(parser: argparse.ArgumentParser, verb: str) -> str:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                if choice.dest == verb:
                    return choice.help or ""
    return ""


def _text(text: str) -> str:
    """A paragraph, one sentence per line as man pages have it, options and `code` in bold."""
    escaped = _escaped(text)
    escaped = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", escaped)
    escaped = re.sub(r"(?<![\w\\B])(\\-\\-[a-z\\-]+[a-z])", r"\\fB\1\\fR", escaped)
    sentences = re.split(r"(?<=[a-z)R]\.) (?=[A-Z\\])", escaped)
    lines = [
        line
        for sentence in sentences
        for line in wrap(sentence, 78, break_on_hyphens=False, break_long_words=False)
    ]
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in lines)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-").replace("…", "...")


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(manpage(), encoding="utf-8")
