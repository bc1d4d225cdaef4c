"""What a person sets once for all their machines, and which source of a setting wins.

From weak to strong: built in, `config.yaml`, environment variable, profile, command line. The
profile is not looked at here: `below_profiles` gives what goes under it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from provisioner.cli.environment import Environment
from provisioner.cli.options import media_files
from provisioner.errors import Place, Problem, ProfileError
from provisioner.frozen import frozen

if TYPE_CHECKING:
    from provisioner.profile.layers import Layer
    from provisioner.profile.yamlfile import Node

FILE_NAME = "config.yaml"


class Source(StrEnum):
    """Where a value came from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    COMMAND_LINE = "command-line"


@frozen
class Setting:
    """One thing that can be set. `unset` says what happens where nobody sets it."""

    key: str
    meaning: str
    unset: str
    variable: str
    default: str | None = None
    choices: tuple[str, ...] = ()
    profile_key: str | None = None
    """The key of a profile that this is the default of."""
    is_file: bool = False


SETTINGS = (
    Setting(
        key="connect",
        meaning="libvirt connection of new machines, as qemu:///system",
        unset="what this host offers",
        variable="LIBVIRT_DEFAULT_URI",
    ),
    Setting(
        key="media.install",
        meaning="install disc of profiles that name none",
        unset="none",
        variable="PROVISIONER_MEDIA_INSTALL",
        profile_key="media.install",
        is_file=True,
    ),
    Setting(
        key="media.drivers",
        meaning="driver disc (virtio-win) of profiles that name none",
        unset="none",
        variable="PROVISIONER_MEDIA_DRIVERS",
        profile_key="media.drivers",
        is_file=True,
    ),
    Setting(
        key="pool",
        meaning="storage pool of new machines on a system daemon",
        unset="`default` where it is active",
        variable="PROVISIONER_POOL",
        profile_key="machine.pool",
    ),
    Setting(
        key="colour",
        meaning="colours on the terminal",
        unset="where a person is looking",
        variable="NO_COLOR",
        default="auto",
        choices=("auto", "always", "never"),
    ),
)


@frozen
class Value:
    """What a setting is, and where that comes from."""

    setting: Setting
    text: str | None
    source: Source
    place: Place | None = None
    """The line of the file, or the name of the variable."""

    @property
    def origin(self) -> str:
        """For people: `default`, `~/.config/…/config.yaml:3:10`, `NO_COLOR`, `command line`."""
        return str(self.place) if self.place is not None else self.source.replace("-", " ")


@frozen
class Config:
    """The settings of one command."""

    file: Path
    cwd: Path
    values: Mapping[str, Value]
    """By key, in the order of `SETTINGS`."""

    def __getitem__(self, key: str) -> Value:
        return self.values[key]

    @property
    def colour(self) -> bool | None:
        """Colours always, never, or (None) where a person is looking."""
        return {"always": True, "never": False}.get(self["colour"].text or "auto")

    def below_profiles(self) -> tuple[Layer, ...]:
        """What applies where a profile says nothing. The command line is not among it."""
        return tuple(self._layers())

    def _layers(self) -> Iterator[Layer]:
        for value in self.values.values():
            below = value.source in (Source.FILE, Source.ENVIRONMENT)
            if not below or value.place is None or value.setting.profile_key is None:
                continue
            # Imported here: a command without settings or without a profile needs no YAML.
            from provisioner.profile.layers import Layer
            from provisioner.profile.yamlfile import Entry, Node

            node = Node(value=value.text, place=value.place)
            for key in reversed(value.setting.profile_key.split(".")):
                node = Node(value={key: Entry(place=value.place, node=node)}, place=value.place)
            # Paths in the file start at its folder, in a variable where the command was given.
            start = self.file if value.source is Source.FILE else self.cwd / value.setting.variable
            yield Layer(path=start, shown=value.place.file, root=node)


def read_config(environment: Environment, given: Mapping[str, str] | None = None) -> Config:
    """The settings; `given` are those of the command line, by key.

    ProfileError, with a place for each problem, where the file is wrong.
    """
    file = environment.config / FILE_NAME
    written = _written(file)
    values = {}
    for setting in SETTINGS:
        key = setting.key
        variable = environment.variables.get(setting.variable)
        if setting.key == "colour":
            # https://no-color.org: any value counts, and what the user has configured for one
            # program goes before it.
            variable = "never" if variable and key not in written else None
        if given and key in given:
            value = Value(setting=setting, text=given[key], source=Source.COMMAND_LINE)
        elif variable:
            place = Place(file=setting.variable)
            value = Value(setting=setting, text=variable, source=Source.ENVIRONMENT, place=place)
        elif key in written:
            text, place = written[key]
            value = Value(setting=setting, text=text, source=Source.FILE, place=place)
        else:
            value = Value(setting=setting, text=setting.default, source=Source.DEFAULT)
        values[key] = value
    return Config(file=file, cwd=environment.cwd, values=values)


def given_settings(arguments: argparse.Namespace) -> Mapping[str, str]:
    """The settings that a command line holds, by key."""
    given = {
        "connect": getattr(arguments, "connect", None),
        "colour": getattr(arguments, "colour", None),
    }
    media = media_files(getattr(arguments, "media", None) or ())
    known = {setting.key for setting in SETTINGS}
    given |= {f"media.{kind}": file for kind, file in media.items() if f"media.{kind}" in known}
    return {key: value for key, value in given.items() if value is not None}


def setting_of(key: str) -> Setting | None:
    """The setting of this key."""
    return next((setting for setting in SETTINGS if setting.key == key), None)


def near_key(key: str) -> str | None:
    """A hint that names the key somebody probably meant."""
    from difflib import get_close_matches

    spellings = {s.key: s.key for s in SETTINGS} | {s.key.split(".")[-1]: s.key for s in SETTINGS}
    spellings |= {"color": "colour", "uri": "connect", "iso": "media.install"}
    near = get_close_matches(key.lower(), spellings, n=1, cutoff=0.6)
    if not near:
        near = get_close_matches(key.lower().split(".")[-1], spellings, n=1, cutoff=0.6)
    return f"did you mean '{spellings[near[0]]}'?" if near else None


def known_keys() -> str:
    """All keys, for messages."""
    return ", ".join(setting.key for setting in SETTINGS)


def _written(file: Path) -> Mapping[str, tuple[str, Place]]:
    """Texts and places by key, as the file has them."""
    if not file.exists():
        return {}
    from provisioner.cli.config_file import read_settings

    found: dict[str, tuple[str, Place]] = {}
    settings, problems = read_settings(file)
    wrong: list[Problem] = list(problems)
    for path, key_place, node in settings:
        problem = _checked(".".join(path), key_place, node)
        if problem is not None:
            wrong.append(problem)
        elif isinstance(node.value, str):
            found[".".join(path)] = (node.value, node.place)
    if wrong:
        raise ProfileError(wrong)
    return found


def _checked(key: str, key_place: Place, node: Node) -> Problem | None:
    setting = setting_of(key)
    if setting is None:
        return Problem(
            message=f"unknown setting '{key}'",
            rule="config.unknown-key",
            place=key_place,
            hint=near_key(key) or f"known here: {known_keys()}",
        )
    if not isinstance(node.value, str) or not node.value:
        return Problem(
            message=f"'{key}' wants a text",
            rule="config.type",
            place=node.place,
            hint=f"{setting.key}: {setting.meaning}",
        )
    return bad_choice(setting, node.value, place=node.place)


def bad_choice(setting: Setting, text: str, *, place: Place | None) -> Problem | None:
    """What is wrong with a value that has to be one of a few."""
    if not setting.choices or text in setting.choices:
        return None
    return Problem(
        message=f"'{text}' is not possible for '{setting.key}'",
        rule="config.value",
        place=place,
        hint=f"one of {', '.join(setting.choices)}",
    )
