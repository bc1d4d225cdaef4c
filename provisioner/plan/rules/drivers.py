"""The driver disc: is it one, has it what this machine needs, and will that Windows load it?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.answers.drivers import WITH_AGENT
from provisioner.errors import MediaError, Problem, Severity
from provisioner.media.facts import Edition, MediaFacts, MediaKind
from provisioner.media.virtio import DRIVERS, guest_tools, os_folders, select, version
from provisioner.plan.rules.given import Media, Places
from provisioner.profile.model import Profile

SIGNATURES = (
    # First build, last build, newest version whose signatures that Windows accepts, why (§8.5).
    (7600, 7601, (0, 1, 173), "newer ones are signed with SHA-2 only"),
    (9200, 9600, (0, 1, 215), "newer ones are only test-signed for it"),
)


def check_drivers(
    profile: Profile, media: Media, edition: Edition | None, places: Places
) -> Iterator[Problem]:
    """Everything wrong between the machine, the Windows and the driver disc."""
    disc = media.drivers
    if disc is None:
        return
    if disc.kind is not MediaKind.VIRTIO_DRIVERS:
        yield Problem(
            rule="media.not-drivers",
            message=f"{disc.path.name} is not a virtio-win driver disc but "
            f"{disc.kind.value.replace('-', ' ')}",
            place=places("media.drivers"),
            hint="give the virtio-win ISO of your distribution",
        )
        return
    if edition is None:
        return
    yield from _missing(profile, disc, edition, places)
    yield from _signatures(disc, edition, places)
    yield from _age(disc, edition, places)


def _missing(
    profile: Profile, disc: MediaFacts, edition: Edition, places: Places
) -> Iterator[Problem]:
    machine = profile.machine
    needed = []
    if any(disk.bus in (None, "virtio") for disk in machine.disks):
        needed.append("virtio-blk")
    if any(network.model in (None, "virtio") for network in machine.networks):
        needed.append("virtio-net")
    if edition.architecture in WITH_AGENT:
        needed.append("virtio-serial")
    for device in needed:
        try:
            select(
                disc,
                [device],
                build=edition.version[2],
                server=_is_server(edition),
                architecture=edition.architecture,
            )
        except MediaError as error:
            yield Problem(
                rule="media.driver-missing",
                message=error.message,
                place=places("media.drivers"),
                hint=error.hint,
            )
    has_agent = guest_tools(disc, architecture=edition.architecture).agent is not None
    if edition.architecture in WITH_AGENT and not has_agent:
        yield Problem(
            rule="media.agent-missing",
            message=f"{disc.path.name} has no guest agent for {edition.architecture}",
            place=places("media.drivers"),
            hint="take a complete virtio-win.iso",
        )


def _signatures(disc: MediaFacts, edition: Edition, places: Places) -> Iterator[Problem]:
    number = _version(disc)
    for first, last, newest, why in SIGNATURES:
        if number is not None and first <= edition.version[2] <= last and number > newest:
            yield Problem(
                rule="media.driver-signature",
                message=f"{edition.display_name or edition.name} refuses the drivers of "
                f"virtio-win {_dotted(number)}: {why}",
                place=places("media.drivers"),
                hint=f"take virtio-win {_dotted(newest)} or older",
            )


def _age(disc: MediaFacts, edition: Edition, places: Places) -> Iterator[Problem]:
    """The disc has no folder of this Windows' own: it was made before that Windows was."""
    folders = os_folders(edition.version[2], server=_is_server(edition))
    there = {
        parts[1].casefold()
        for path in disc.files
        if len(parts := path.split("/")) == 4 and parts[0] in DRIVERS.values()
    }
    if not folders or folders[0].casefold() in there:
        return
    if not any(folder.casefold() in there for folder in folders):
        return  # then the drivers are missing, which is told
    number = _version(disc)
    yield Problem(
        rule="media.driver-age",
        severity=Severity.WARNING,
        message=f"{disc.path.name}{f' ({_dotted(number)})' if number else ''} is older than "
        f"{edition.display_name or edition.name}: it has no folder {folders[0]}",
        place=places("media.drivers"),
        hint="Setup of 24H2 and Server 2025 has stopped at a missing-driver page with old "
        "drivers; take a newer virtio-win.iso",
    )


def _version(disc: MediaFacts) -> tuple[int, ...] | None:
    text = version(disc)
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", text) if text else None
    return tuple(int(part) for part in numbers[0].split(".")[:3]) if numbers else None


def _dotted(number: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in number)


def _is_server(edition: Edition) -> bool:
    return edition.installation_type.casefold().startswith("server")
