"""A profile, its discs, a host and templates: sound, until a test changes one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from provisioner.answers.disc import NOTHING
from provisioner.answers.supplied import Supplied
from provisioner.errors import Place, Problem, ProfileError
from provisioner.host.secrets import FileSecretStore
from provisioner.media.facts import (
    AnswerFile,
    BootEntry,
    Edition,
    Extent,
    MediaFacts,
    Platform,
)
from provisioner.plan.checks import (
    Media,
    check_discs,
    check_hardware,
    check_secrets,
    edition_of,
)
from provisioner.plan.compile import Sources, compile_machine
from provisioner.plan.model import MachinePlan
from provisioner.plan.rules.force import forced
from provisioner.plan.rules.host import check_host
from provisioner.ports import HostFacts
from provisioner.profile.load import LoadedProfile, load_profile
from provisioner.resources import Resources, shipped_folder
from provisioner.templating import Templates
from tests.fakes.hypervisor import good_facts
from tests.golden.media import driver_disc, edition, install_disc

SOUND = """\
name: dev11
media: {install: /iso/install.iso}
windows:
  product: windows-11
  users: [{name: dev, groups: [Administrators], password: {generate: 20}}]
machine: {cpus: 2}
"""
SERVER = """\
name: srv
media: {install: /iso/install.iso}
windows:
  product: windows-server-2025
  administrator: {password: {generate: 20}}
machine: {cpus: 2}
"""
OLD_PRODUCT = "windows-10"


def boot(platform: Platform, path: str) -> BootEntry:
    """One bootable El Torito entry."""
    return BootEntry(
        platform=platform,
        platform_id=0 if platform is Platform.BIOS else 0xEF,
        bootable=True,
        media_type=0,
        load_sectors=8,
        lba=100,
        entry_offset=0x8800,
        path=path,
    )


BOTH = (
    boot(Platform.BIOS, "boot/etfsboot.com"),
    boot(Platform.UEFI, "efi/microsoft/boot/efisys.bin"),
)


def disc(*editions: Edition, **facts: Any) -> MediaFacts:
    """An install disc that starts."""
    files = {"setup.exe": (Extent(offset=2048, length=1),)}
    made = install_disc(*(editions or (edition("Professional", index=6),)))
    return replace(made, product="windows-11", boot=BOTH, files=files, **facts)


def server_disc(*, build: int = 26100, **facts: Any) -> MediaFacts:
    """A disc of one server."""
    year = {17763: 2019, 20348: 2022, 26100: 2025}[build]
    image = edition("ServerStandard", index=2, build=build, installation_type="Server")
    return replace(disc(image, **facts), product=f"windows-server-{year}")


def old_disc(build: int, name: str) -> MediaFacts:
    """A disc of a Windows older than those that profiles name."""
    image = replace(edition("Professional", build=19045), version=(6, 1, build, 0), name=name,
                    display_name=name)  # fmt: skip
    return replace(disc(image), product=OLD_PRODUCT)


def drivers(*, label: str = "virtio-win-0.1.285", without: str = "") -> MediaFacts:
    """A driver disc, without the paths that hold a text."""
    made = driver_disc()
    older = {
        path.replace("/w10/", f"/{folder}/"): extents
        for path, extents in made.files.items()
        for folder in ("w7", "w8.1")
        if "/w10/" in path
    }
    files = {path: extents for path, extents in {**made.files, **older}.items() if not without or
             without not in path}  # fmt: skip
    return replace(made, label=label, files=files, driver_version=label.rpartition("-")[2])


def answers_on(rank: int, path: str, *, problem: str = "") -> AnswerFile:
    """An answer file that a disc brings."""
    return AnswerFile(path=path, place="there", rank=rank, size=1000, passes=("windowsPE",),
                      wins=("windowsPE",), problem=problem)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything `check --host` looks at."""

    profile: str = SOUND
    install: MediaFacts = field(default_factory=disc)
    drivers: MediaFacts | None = None
    supplied: Supplied = NOTHING
    host: HostFacts = field(default_factory=good_facts)
    templates: Mapping[str, str] = field(default_factory=dict)
    """Templates of the user's own."""
    environment: Mapping[str, str] = field(
        default_factory=lambda: dict.fromkeys(("A", "KEY", "PW"), "Some Passw0rd")
    )
    """Where secrets of `{env: NAME}` come from."""
    forced: bool = False

    def problems(self, folder: Path) -> tuple[Problem, ...]:
        """What `check --host` prints."""
        try:
            loaded = self._loaded(folder)
        except ProfileError as error:
            return error.problems
        places = _places(loaded)
        return (
            *loaded.problems,
            *check_hardware(loaded.profile, self.host.cpus, places),
            *check_secrets(loaded.profile, self._secrets(folder).obstacle, places),
            *check_discs(loaded.profile, self._media, self._templates(folder), places),
            *check_host(
                loaded.profile, self.host, edition_of(loaded.profile, self.install), places
            ),
        )

    def plan(self, folder: Path) -> MachinePlan:
        """What `up` would do; ProfileError where it would not."""
        loaded = self._loaded(folder)
        sources = Sources(
            profile=loaded.profile,
            places=_places(loaded),
            media=self._media,
            host=self.host,
            templates=self._templates(folder),
            problems=(
                *loaded.problems,
                *check_secrets(loaded.profile, self._secrets(folder).obstacle, _places(loaded)),
            ),
            epoch=0,
            forced=self.forced,
        )
        return compile_machine(sources, generation=1, forwards={}, serial_log=folder / "serial")

    @property
    def _media(self) -> Media:
        return Media(install=self.install, drivers=self.drivers, supplied=self.supplied)

    def _loaded(self, folder: Path) -> LoadedProfile:
        path = folder / "machine.yaml"
        text = self.profile
        if self.drivers is not None:
            text = text.replace("install.iso}", "install.iso, drivers: /iso/virtio-win.iso}")
        path.write_text(text, encoding="utf-8")
        return load_profile(
            path,
            forgive=forced if self.forced else tuple,
            resources=Resources(shipped=shipped_folder()),
            home=folder,
            cwd=folder,
        )

    def _secrets(self, folder: Path) -> FileSecretStore:
        return FileSecretStore(
            folder / "secrets.json", environment=self.environment, home=folder, folder=folder
        )

    def _templates(self, folder: Path) -> Templates:
        if not self.templates:
            return shipped_templates()
        own = folder / "templates"
        for name, text in self.templates.items():
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            (own / name).write_text(text, encoding="utf-8")
        return Templates((own, *Resources(shipped=shipped_folder()).template_folders()))


@cache
def shipped_templates() -> Templates:
    """Ours, compiled once: that takes longer than everything else in a scene."""
    return Templates(Resources(shipped=shipped_folder()).template_folders())


def _places(loaded: LoadedProfile) -> Callable[[str], Place | None]:
    from provisioner.cli.session import places

    return places(loaded)


def extended(block: str, text: str, *, before: bool = True) -> dict[str, str]:
    """A domain template of the user's own that puts XML into a block of ours."""
    inner = f"{text}\n{{{{ super() }}}}" if before else text
    return {
        "libvirt/domain.xml.j2": '{% extends "shipped/libvirt/domain.xml.j2" %}\n'
        f"{{% block {block} %}}\n{inner}\n{{% endblock %}}\n"
    }
