"""What the shell offers when TAB is pressed: the names that exist at this moment.

Runs at every TAB: nothing heavy is imported, libvirt is not asked, and every failure is silence.
A completer is called by argcomplete with the text typed so far and what is parsed already.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

Completer = Callable[..., Iterable[str]]

DISCS = (".iso", ".wim", ".esd")


def completes(action: argparse.Action, completer: Completer) -> None:
    """Makes `completer` answer for this argument."""
    action.completer = completer  # type: ignore[attr-defined] # where argcomplete looks for it


def complete(parser: argparse.ArgumentParser) -> None:
    """Answers the shell and ends the process; returns where argcomplete is not installed."""
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser, always_complete_options=False)


def script(shell: str) -> str:
    """What makes `shell` (bash, zsh or fish) ask us; HostError where argcomplete is missing."""
    from provisioner.errors import HostError

    try:
        from argcomplete.shell_integration import shellcode
    except ImportError as err:
        raise HostError(
            "the Python package argcomplete is not installed",
            hint="pip install argcomplete, where provisioner is installed",
        ) from err
    # Without the shell's own file names where nothing fits: they are offered where a file is meant.
    return shellcode(["provisioner"], use_defaults=False, shell=shell)


def machine_names(prefix: str, **_: Any) -> list[str]:
    """The machines of this user."""
    return [store.name for store in _machines().all()]


def users_of_machine(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """The users of the machine that is named already."""
    state = _state(parsed_args)
    return state.users if state is not None else ()


def drives_of_machine(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """The CD-ROM drives of the machine that is named already.

    As remembered and not as libvirt knows them: the answer disc's, and the install disc's, which
    is the one before it (`plan.domain`).
    """
    state = _state(parsed_args)
    target = state.current.answer_drive if state is not None else None
    if not target:
        return ()
    return (target[:-1] + chr(ord(target[-1]) - 1), target)


def profiles(prefix: str, **_: Any) -> Iterator[str]:
    """Shipped and user profiles by name, and YAML files."""
    from provisioner.cli.environment import read_environment
    from provisioner.resources import Resources, shipped_folder

    yield from Resources(shipped=shipped_folder(), user=read_environment().config).profiles()
    yield from _paths(prefix, (".yaml", ".yml"))


def profile_keys(prefix: str, **_: Any) -> Iterator[str]:
    """The next keys of a profile: `windows.`, `windows.locale.`, `windows.locale.keyboard=`.

    The only completer that needs the profile's model, which takes a moment to import.
    """
    if "=" in prefix or "[" in prefix:
        return
    from provisioner.profile.fields import Form, Forms, below, keys
    from provisioner.profile.model import Profile

    head, dot, _rest = prefix.rpartition(".")
    forms: Forms = (Form(kind=Profile),)
    for part in head.split(".") if dot else ():
        forms = below(forms, part)
    for key in keys(forms):
        yield f"{head}{dot}{key}" + ("." if keys(below(forms, key)) else "=")


def media_discs(prefix: str, **_: Any) -> Iterator[str]:
    """`install=` and `drivers=`, then disc images: those of the library, and files."""
    kind, separator, file = prefix.partition("=")
    if separator:
        known = (entry.path for entry in _remembered() if entry.path.startswith(file))
        yield from (f"{kind}={path}" for path in dict.fromkeys((*known, *_paths(file, DISCS))))
    else:
        yield from ("install=", "drivers=")


def library_media(prefix: str, **_: Any) -> Iterator[str]:
    """The media of the library: ids, and file names once a letter is typed."""
    for entry in _remembered():
        yield entry.id
        if prefix:
            yield Path(entry.path).name


def connections(prefix: str, **_: Any) -> tuple[str, ...]:
    """The connections that do not leave this host."""
    return ("qemu:///system", "qemu:///session", "qemu:///embed")


def setting_keys(prefix: str, **_: Any) -> list[str]:
    """The keys of `config`."""
    from provisioner.cli.config import SETTINGS

    return [setting.key for setting in SETTINGS]


def setting_values(prefix: str, parsed_args: argparse.Namespace, **_: Any) -> Iterable[str]:
    """Values for the key that is named already."""
    from provisioner.cli.config import setting_of

    setting = setting_of(str(getattr(parsed_args, "key", "")))
    if setting is None:
        return ()
    if setting.is_file:
        return _paths(prefix, DISCS)
    return connections(prefix) if setting.key == "connect" else setting.choices


def files(*suffixes: str) -> Completer:
    """Files with one of these endings, and folders on the way to them."""
    return lambda prefix, **_: _paths(prefix, suffixes)


def folders(prefix: str, **_: Any) -> Iterator[str]:
    """Folders."""
    return _paths(prefix, None)


def _paths(prefix: str, suffixes: tuple[str, ...] | None) -> Iterator[str]:
    folder, slash, name = prefix.rpartition("/")
    shown = folder + slash
    try:
        entries = sorted(Path(shown or ".").expanduser().iterdir())
    except (OSError, RuntimeError):
        return
    for entry in entries:
        if not entry.name.startswith(name) or (entry.name.startswith(".") and not name):
            continue
        if entry.is_dir():
            yield f"{shown}{entry.name}/"
        elif suffixes is not None and entry.name.lower().endswith(suffixes):
            yield f"{shown}{entry.name}"


def _remembered() -> Any:
    from provisioner.cli.environment import read_environment
    from provisioner.errors import ProvisionerError
    from provisioner.store.library import Library, folder_of

    try:
        return Library(folder_of(read_environment().state)).entries()
    except ProvisionerError:
        return ()


def _machines() -> Any:
    from provisioner.cli.environment import read_environment
    from provisioner.store.machine import Machines

    return Machines(read_environment().state)


def _state(arguments: argparse.Namespace) -> Any:
    from provisioner.errors import ProvisionerError

    name = getattr(arguments, "name", None)
    if not name or "/" in str(name):
        return None
    try:
        return _machines().store(str(name)).load()
    except (ProvisionerError, OSError):
        return None
