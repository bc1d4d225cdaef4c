"""Shows and changes the defaults for all machines, and says where each value comes from.

From weak to strong: built in, the file, an environment variable, a profile, the command line.
The file is ~/.config/provisioner/config.yaml; `set` keeps its comments.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioner.cli.completion import completes, setting_keys, setting_values
from provisioner.cli.options import common_options, connect_option, media_option

if TYPE_CHECKING:
    from provisioner.cli.config import Setting, Value
    from provisioner.cli.session import Session


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `config`."""
    connect_option(parser)
    media_option(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    show = actions.add_parser("get", help="print one value")
    change = actions.add_parser("set", help="write one value into the file")
    remove = actions.add_parser("unset", help="take one value out of the file")
    for action in (show, change, remove):
        key = action.add_argument("key", metavar="KEY", help="as `provisioner config` lists them")
        completes(key, setting_keys)
        common_options(action, inner=True)
    value = change.add_argument("value", metavar="VALUE", help="the new default")
    completes(value, setting_values)


def run(arguments: argparse.Namespace, session: Session) -> int:
    """Prints all settings or one; or changes the file."""
    console, config = session.console, session.config
    if arguments.action is None:
        rows = []
        for value in config.values.values():
            rows.append((value.setting.key, _shown(value), value.origin))
            console.event("setting", _members(value))
        console.table(rows)
        if not config.file.exists():
            console.say(f"{config.file} is not there yet; `provisioner config set KEY VALUE`")
        return 0
    setting = _known(arguments.key)
    if arguments.action == "get":
        value = config[setting.key]
        if value.text is not None:
            console.result(value.text)
        else:
            console.say(f"{setting.key} is not set: {setting.unset}")
        console.event("setting", _members(value))
        return 0
    text = _checked(setting, arguments.value, session) if arguments.action == "set" else None
    _write(config.file, setting, text)
    after = _after(session, setting)
    console.event("setting", _members(after))
    if after.source == "environment":
        console.warn(f"{after.origin} is set and goes before the file")
    else:
        console.say(f"{setting.key}: {_shown(after)} ({after.origin})")
    return 0


def _known(key: str) -> Setting:
    from provisioner.cli.config import known_keys, near_key, setting_of
    from provisioner.errors import UsageError

    setting = setting_of(key)
    if setting is None:
        raise UsageError(f"unknown setting '{key}'", hint=near_key(key) or f"known: {known_keys()}")
    return setting


def _checked(setting: Setting, text: str, session: Session) -> str:
    """The text to write: paths absolute, since they were given relative to another folder."""
    from provisioner.cli.config import bad_choice
    from provisioner.errors import ProfileError, UsageError

    if not text or not text.isprintable():
        raise UsageError(f"'{setting.key}' wants a text in one line")
    if problem := bad_choice(setting, text, place=None):
        raise ProfileError([problem])
    if setting.key == "connect":
        from provisioner.host.connect import parse_uri

        parse_uri(text, uid=session.environment.uid, reason="")
    if not setting.is_file:
        return text
    given = Path(text)
    if text.startswith("~/"):
        path = session.environment.home / text[2:]
    else:
        path = session.environment.cwd / given
        text = str(path)
    if not path.is_file():
        session.console.warn(f"there is no file {path} yet")
    return text


def _write(file: Path, setting: Setting, text: str | None) -> None:
    from provisioner.cli.config_file import changed
    from provisioner.errors import FailedError, Place
    from provisioner.host.files import private_folder, write_file

    # Behind a symbolic link, as people who keep their dot files elsewhere have it.
    target = file.resolve()
    before = target.read_text(encoding="utf-8-sig") if target.exists() else ""
    try:
        after = changed(before, tuple(setting.key.split(".")), text)
    except FailedError as err:
        raise FailedError(err.message, hint=err.hint, place=Place(file=str(file))) from err
    if after != before:
        private_folder(target.parent)
        mode = target.stat().st_mode & 0o777 if target.exists() else 0o644
        write_file(target, after.encode(), mode=mode)


def _after(session: Session, setting: Setting) -> Value:
    from provisioner.cli.config import read_config

    return read_config(session.environment)[setting.key]


def _shown(value: Value) -> str:
    return value.text if value.text is not None else f"({value.setting.unset})"


def _members(value: Value) -> dict[str, Any]:
    place = value.place
    return {
        "key": value.setting.key,
        "value": value.text,
        "source": value.source.value,
        "where": str(place) if place is not None else None,
        "meaning": value.setting.meaning,
    }
