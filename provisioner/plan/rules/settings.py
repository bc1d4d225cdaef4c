"""What is set inside Windows, against the Windows on the disc and the files of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from provisioner.answers import hostfiles
from provisioner.errors import Problem, Severity
from provisioner.media.facts import Edition
from provisioner.plan.rules.given import Places
from provisioner.profile.model import Profile
from provisioner.profile.settings import Server

SETTINGS = "windows.settings"
LARGE_DISC = 2 * 2**30
"""Bytes of host files from which a person should know that they are written twice."""


def check_settings(profile: Profile, edition: Edition | None, places: Places) -> Iterator[Problem]:
    """Files that are not there, and what this Windows cannot do."""
    yield from _files(profile, places)
    server = edition is not None and edition.installation_type.casefold().startswith("server")
    if edition is not None and not server:
        yield from _server_only(profile, places)
    ssh = profile.windows.remote.ssh
    # Server 2025 has it already (docs/facts/windows-setup.md §9.2).
    if ssh is not None and ssh.package is None and not (server and _build(edition) >= 26100):
        yield Problem(
            rule="windows.ssh-download",
            severity=Severity.WARNING,
            message="OpenSSH's server is downloaded from Windows Update at the first logon; "
            "without a way there the installation fails",
            place=places("windows.remote.ssh"),
            hint="take a release of Win32-OpenSSH along: windows.remote.ssh.package",
        )


def _build(edition: Edition | None) -> int:
    return edition.version[2] if edition is not None else 0


def _files(profile: Profile, places: Places) -> Iterator[Problem]:
    total = 0
    wanted: list[tuple[str, Callable[[], tuple[hostfiles.Source, ...]]]] = [
        (
            f"{SETTINGS}.files[{index}].source",
            partial(hostfiles.found, Path(copied.source), str(copied.to)),
        )
        for index, copied in enumerate(profile.windows.settings.files)
    ]
    ssh = profile.windows.remote.ssh
    if ssh is not None and ssh.package is not None:
        package = Path(ssh.package)
        wanted.append(("windows.remote.ssh.package", lambda: (hostfiles.one(package),)))
    for key, look in wanted:
        try:
            total += sum(source.size for source in look())
        except hostfiles.HostFileError as error:
            yield Problem(
                rule="windows.host-file",
                message=error.message,
                place=places(key),
                hint=error.hint,
            )
    if total > LARGE_DISC:
        yield Problem(
            rule="windows.large-files",
            severity=Severity.NOTE,
            message=f"{total / 2**30:.1f} GiB of files travel on the answer disc",
            place=places(f"{SETTINGS}.files"),
            hint="they are written to the disc and read back before the machine starts; a step "
            "can fetch large ones from the network",
        )


def _server_only(profile: Profile, places: Places) -> Iterator[Problem]:
    settings = profile.windows.settings
    if settings.features.roles:
        yield Problem(
            rule="windows.server-only",
            message=f"{settings.features.roles[0]} is a server's role, and a client is installed",
            place=places(f"{SETTINGS}.features.roles"),
            hint="clients have optional features: windows.settings.features.enable",
        )
    for key, field in Server.model_fields.items():
        if getattr(settings.server, key) != field.default:
            yield Problem(
                rule="windows.server-only",
                severity=Severity.WARNING,
                message=f"'{key}' is a server's, and a client is installed",
                place=places(f"{SETTINGS}.server.{key}"),
                hint="leave it out",
            )
