"""What commands share: loads profiles, looks at media, opens the hypervisor of a machine."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from provisioner.cli.config import Config, Source
from provisioner.cli.console import TerminalConsole
from provisioner.cli.environment import Environment
from provisioner.cli.options import media_files
from provisioner.errors import FailedError, Place, ProvisionerError, UsageError
from provisioner.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from provisioner.answers.disc import AnswerDisc
    from provisioner.errors import Problem
    from provisioner.host.connect import Where
    from provisioner.host.doctor import Finding
    from provisioner.host.secrets import FileSecretStore, KeptSecret
    from provisioner.plan.checks import Media
    from provisioner.plan.model import MachinePlan
    from provisioner.ports import Hypervisor
    from provisioner.profile.load import LoadedProfile
    from provisioner.resources import Resources
    from provisioner.run.world import World
    from provisioner.secret import SecretRef, SecretSlot
    from provisioner.store.machine import Machines, MachineStore
    from provisioner.templating import Templates

DEFAULT_EPOCH = 315_532_800
"""1980-01-01, when SOURCE_DATE_EPOCH is not set: the oldest time every file system can hold."""


@frozen
class MachineRun:
    """A machine's world, and the function that makes its plans."""

    name: str
    world: World
    compile_plan: Callable[[int, Mapping[str, int]], MachinePlan]


class Session:
    """One command's view of this host. Closes what it opened."""

    def __init__(self, environment: Environment, console: TerminalConsole, config: Config) -> None:
        self.environment = environment
        self.console = console
        self.config = config
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    @cached_property
    def resources(self) -> Resources:
        """Shipped and user profiles and templates."""
        from provisioner.resources import Resources, shipped_folder

        return Resources(shipped=shipped_folder(), user=self.environment.config)

    @cached_property
    def templates(self) -> Templates:
        """The one template environment."""
        from provisioner.host.files import ours_alone
        from provisioner.templating import Templates

        cache = self.environment.cache / "templates"  # compiled templates are code
        return Templates(
            self.resources.template_folders(), cache=cache if ours_alone(cache) else None
        )

    @cached_property
    def machines(self) -> Machines:
        """What is remembered of this user's machines."""
        from provisioner.store.machine import Machines

        return Machines(self.environment.state)

    @property
    def epoch(self) -> int:
        """The time of everything on an answer disc."""
        epoch = self.environment.epoch
        return DEFAULT_EPOCH if epoch is None else epoch

    def store(self, name: str) -> MachineStore:
        """What is remembered of one machine; UsageError for what cannot be a machine's name."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise UsageError(f"{name!r} is not the name of a machine")
        return self.machines.store(name)

    def machine_names(self) -> list[str]:
        """Names of the machines that are remembered."""
        return [store.name for store in self.machines.all()]

    def load(self, arguments: argparse.Namespace) -> LoadedProfile:
        """The profile of the command line, checked by its own rules."""
        from provisioner.plan.rules.force import forced
        from provisioner.profile.load import load_profile

        sets = list(arguments.sets)
        if arguments.name:
            sets.append(f"name={arguments.name}")
        return load_profile(
            arguments.profile,
            sets=sets,
            media=media_files(arguments.media),
            defaults=self.config.below_profiles(),
            forgive=forced if getattr(arguments, "force", False) else tuple,
            resources=self.resources,
            home=self.environment.home,
            cwd=self.environment.cwd,
        )

    def media(self, loaded: LoadedProfile) -> Media:
        """Looks at the profile's discs."""
        from provisioner.cli.media import look
        from provisioner.store.known_media import KnownMedia

        return look(
            loaded,
            KnownMedia(self.environment.cache / "media").inspect,
            library=self.environment.state,
        )

    def answer_disc(self, loaded: LoadedProfile) -> AnswerDisc:
        """The answer disc of a profile; needs no libvirt."""
        from provisioner.answers.disc import compose
        from provisioner.cli.supplied import require_sound
        from provisioner.errors import ProfileError, Severity
        from provisioner.media.editions import resolve_edition
        from provisioner.plan.checks import check_media

        media = self.media(loaded)
        problems = tuple(check_media(loaded.profile, media, places(loaded)))
        if any(problem.severity is Severity.ERROR for problem in problems):
            raise ProfileError(problems)
        edition = resolve_edition(media.install, loaded.profile.windows.edition)
        disc = compose(
            loaded.profile,
            media.install,
            edition,
            media.drivers,
            templates=self.templates,
            supplied=media.supplied,
        )
        require_sound(disc, loaded.profile, edition)
        return disc

    def reveal(self, name: str) -> Callable[[SecretSlot], str]:
        """Fills the secret slots of a machine that need not exist; makes what is generated."""
        from provisioner.quoting import ENCODINGS

        secrets = self._secrets(name)
        store = self.machines.store(name)
        store.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        store.promised_note.touch(mode=0o600)
        return lambda slot: ENCODINGS[slot.encoding](
            secrets.resolve(slot.name, slot.reference).reveal()
        )

    def unread_secrets(self, loaded: LoadedProfile) -> tuple[Problem, ...]:
        """Findings about secrets that could not be read here; nothing is made or run."""
        from provisioner.plan.checks import check_secrets
        from provisioner.secret import Generated

        def obstacle(name: str, reference: SecretRef) -> ProvisionerError | None:
            if isinstance(reference, Generated):
                return None  # most profiles have no other, and then nothing that reads is imported
            return self._secrets(loaded.profile.name).obstacle(name, reference)

        return tuple(check_secrets(loaded.profile, obstacle, places(loaded)))

    def generated_secret(self, name: str, user: str) -> KeptSecret:
        """A generated password of a machine; FailedError where there is none."""
        from provisioner.host.secrets import kept_secret, secret_slot
        from provisioner.store.machine import no_machine

        store = self.store(name)
        state = store.load()
        number = state.current.number if state is not None else 0
        found = kept_secret(store.secrets_file, secret_slot(user), generation=number)
        if found is None and state is None:
            raise no_machine(name)
        if found is None:
            raise FailedError(
                f"{name} keeps no generated password for {user}",
                hint="only `{generate: N}` passwords are kept; others are where the profile says",
            )
        return found

    def hypervisor(self, name: str, uri: str | None, *, pool: str | None = None) -> Hypervisor:
        """The connection of one machine: as given, as it was made with, or what the host offers."""
        from provisioner.host.connect import connect, default_embed_base
        from provisioner.host.probe import probe_kvm

        environment, store = self.environment, self.machines.store(name)
        if pool is None and (state := store.load()) is not None:
            pool = state.current.intent.get("machine.pool")
            pool = None if pool == "default" else pool
        opened = connect(
            self.where(name, uri),
            machine=name,
            folder=store.folder,
            cache=environment.cache,
            embed_base=self._embed_base(default_embed_base),
            probe=lambda: probe_kvm(environment.cache),
            pool=pool,
        )
        self._open.callback(self._close, opened, store)
        return opened

    def _close(self, opened: Hypervisor, store: MachineStore) -> None:
        """Closes a connection; an embed root that was opened only to look around goes again."""
        from provisioner.host.keeper_client import KeptHypervisor

        try:
            if isinstance(opened, KeptHypervisor) and not store.exists():
                opened.remove_unused_root()
        except ProvisionerError:
            pass  # another terminal is just making this machine
        finally:
            opened.close()

    def where(self, name: str | None, uri: str | None) -> Where:
        """The connection to use; a machine that exists stays where it is."""
        from provisioner.host.connect import choose

        state = self.machines.store(name).load() if name else None
        setting = self.config["connect"]
        variable = setting.text if setting.source is Source.ENVIRONMENT else None
        return choose(
            explicit=uri or (state.uri if state else None) or (None if variable else setting.text),
            environment=variable,
            uid=self.environment.uid,
        )

    def world(
        self, name: str, uri: str | None, *, pool: str | None = None, ahead: bool = False
    ) -> World:
        """All ports of one machine. With `ahead` libvirt is being opened when this returns."""
        store = self.store(name)
        hypervisor = self.hypervisor(name, uri, pool=pool)
        if ahead:
            self._open_ahead(hypervisor, name)
        from provisioner.host.clock import SystemClock
        from provisioner.host.handshake import NetworkHandshakes
        from provisioner.host.serial import FileSerialLog
        from provisioner.run.world import World

        return World(
            hypervisor=hypervisor,
            clock=SystemClock(),
            secrets=self._secrets(name),
            serial=FileSerialLog(store.serial_log),
            handshakes=NetworkHandshakes(),
            console=self.console,
            store=store,
            patience=self.environment.stall_after,
        )

    def machine_run(
        self, arguments: argparse.Namespace, *, connect_ahead: bool = False
    ) -> MachineRun:
        """Loads and looks at everything a plan is made from.

        With `connect_ahead` libvirt is opened while the discs are looked at, which saves `up` the
        wait; `plan` often needs no connection at all.
        """
        loaded = self.load(arguments)
        if loaded.profile.metal is not None:
            raise UsageError(
                f"{loaded.profile.name} describes a physical PC (`metal`); no virtual machine is "
                "made of it",
                hint="`check` looks at it; `render --reveal` writes its answer files, for the top "
                "of an install stick, and `build` writes them as a disc",
            )
        name, machine = loaded.profile.name, loaded.profile.machine
        uri = arguments.connect or machine.connect
        world = self.world(name, uri, pool=machine.pool, ahead=connect_ahead)
        from provisioner.plan.compile import Sources, compile_machine
        from provisioner.ports import Mode

        media = self.media(loaded)
        host = world.hypervisor.facts()
        if host.mode is Mode.SYSTEM:
            self.require_reachable(world, media.install.path)
        sources = Sources(
            profile=loaded.profile,
            places=places(loaded),
            media=media,
            host=host,
            templates=self.templates,
            problems=(*loaded.problems, *self.unread_secrets(loaded)),
            epoch=self.epoch,
            forced=getattr(arguments, "force", False),
        )

        log = world.store.serial_log

        @cache  # `up` asks for the same plan up to four times
        def compiled(number: int, ports: tuple[tuple[str, int], ...]) -> MachinePlan:
            return compile_machine(sources, generation=number, forwards=dict(ports), serial_log=log)

        def compile_plan(generation: int, forwards: Mapping[str, int]) -> MachinePlan:
            return compiled(generation, tuple(sorted(forwards.items())))

        return MachineRun(name=name, world=world, compile_plan=compile_plan)

    def _open_ahead(self, hypervisor: Hypervisor, name: str) -> None:
        """Opens the connection in another thread, which is waited for before it is closed.

        Otherwise a command that fails at once would leave the embed root that is still being made.
        """
        from threading import Thread

        ahead = Thread(target=_knock, args=(hypervisor, name), daemon=True)
        ahead.start()
        self._open.callback(ahead.join)

    def require_reachable(self, world: World, image: Path) -> None:
        """HostError, with the setfacl lines, where QEMU's user cannot read an image."""
        from provisioner.host.reach import require_readable

        user = world.hypervisor.facts().qemu_user
        if user is not None:
            require_readable(image, uid=user[0], gid=user[1])

    def free_ports(self, count: int) -> tuple[int, ...]:
        """Loopback ports that nobody listens on and no machine of ours has been given."""
        from provisioner.host.loopback import free_loopback_ports

        return free_loopback_ports(count, taken=self.machines.ports())

    def forget(self, world: World) -> None:
        """Removes what libvirt's embedded driver kept for a machine that is gone."""
        from provisioner.host.keeper_client import KeptHypervisor

        if isinstance(world.hypervisor, KeptHypervisor):
            world.hypervisor.remove_root()

    def examine(self, uri: str | None) -> tuple[Finding, ...]:
        """What `doctor` finds."""
        from provisioner.host.doctor import examine

        return examine(
            where=self.where(None, uri),
            environment=self.environment.variables,
            state=self.environment.state,
            cache=self.environment.cache,
            uid=self.environment.uid,
        )

    def _secrets(self, name: str) -> FileSecretStore:
        from provisioner.host.secrets import FileSecretStore

        return FileSecretStore(
            self.machines.store(name).secrets_file,
            environment=self.environment.variables,
            home=self.environment.home,
            folder=self.environment.cwd,
        )

    def _embed_base(self, default: Callable[..., Path]) -> Path:
        given = self.environment.variables.get("PROVISIONER_EMBED_BASE")
        if given:
            return Path(given)
        return default(uid=self.environment.uid, home=self.environment.home)


def _knock(hypervisor: Hypervisor, name: str) -> None:
    with suppress(ProvisionerError):  # the first real call meets it again, and tells
        hypervisor.domain(name)


def places(loaded: LoadedProfile) -> Callable[[str], Place | None]:
    """Looks up places by dotted path: `machine.disks[0].bus`."""
    from provisioner.profile.places import path_of

    def find(path: str) -> Place | None:
        return loaded.places.value(*path_of(path))

    return find
