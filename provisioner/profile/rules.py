"""What one key cannot know alone: rules across the keys of a profile.

What media and host have to say comes later, in `plan`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from provisioner.errors import Severity
from provisioner.profile import disk_rules, hardware, network_rules, settings_rules, step_rules
from provisioner.profile.fields import Path
from provisioner.profile.model import Profile
from provisioner.profile.places import Finding
from provisioner.profile.units import ComputerName, ProductKeyFormat
from provisioner.profile.values import BadValue, did_you_mean
from provisioner.secret import Generated, Plain

ADMINISTRATOR = "Administrator"


def computer_name(profile: Profile) -> ComputerName:
    """The name Windows gets: the one that was given, or the machine's in capitals.

    A loaded profile always has one; BadValue only for a profile that was never checked.
    """
    if profile.windows.computer_name is not None:
        return profile.windows.computer_name
    return ComputerName(profile.name.upper().replace("_", "-").replace(".", "-"))


def is_administrator(user: str) -> bool:
    """Whether this logon name is the built-in Administrator's."""
    return user.lower() == ADMINISTRATOR.lower()


def check(profile: Profile, *, unread: frozenset[Path] = frozenset()) -> Iterator[Finding]:
    """All findings. `unread` are paths whose values were refused and stand at their defaults."""
    for find, reads in RULES.items():
        if not any(_touch(path, one) for path in unread for one in reads):
            yield from find(profile)


def _touch(path: Path, reads: str) -> bool:
    wanted = tuple(reads.split("."))
    names = tuple(part for part in path if isinstance(part, str))
    return all(one == other for one, other in zip(wanted, names, strict=False))


def _computer_name(profile: Profile) -> Iterator[Finding]:
    if profile.windows.answer_file is not None:
        return
    given = profile.windows.computer_name is not None
    path: Path = ("windows", "computer_name") if given else ("name",)
    try:
        name = computer_name(profile)
    except BadValue as bad:
        yield Finding(
            path=path,
            message=f"{bad.message}; it was made from 'name'",
            rule="windows.computer-name",
            hint=f"add windows.computer_name; {bad.hint}",
        )
        return
    accounts = [ADMINISTRATOR, *(user.name for user in profile.windows.users)]
    for account in accounts:
        if account.lower() == name.lower():
            yield Finding(
                path=path,
                message=f"computer name '{name}' is also the name of an account",
                rule="windows.computer-name",
                hint="Windows refuses that; "
                + ("rename one of them" if given else "add windows.computer_name"),
            )


def _users(profile: Profile) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, user in enumerate(profile.windows.users):
        path: Path = ("windows", "users", index, "name")
        if is_administrator(user.name):
            yield Finding(
                path=path,
                message="Administrator exists already and cannot be created",
                rule="windows.administrator",
                hint="use windows.administrator: {enabled: true, password: ...}",
            )
        elif user.name.lower() in seen:
            yield Finding(
                path=path,
                message=f"user '{user.name}' appears twice",
                rule="windows.duplicate-user",
                hint="names are compared without regard to capitals",
            )
        seen.add(user.name.lower())


def _autologon_user(profile: Profile) -> Iterator[Finding]:
    windows = profile.windows
    if windows.autologon is None or is_administrator(windows.autologon.user):
        return
    user = windows.autologon.user
    if user.lower() not in {known.name.lower() for known in windows.users}:
        names = [ADMINISTRATOR, *(known.name for known in windows.users)]
        yield Finding(
            path=("windows", "autologon", "user"),
            message=f"autologon user '{user}' is not among the users",
            rule="windows.autologon-user",
            hint=did_you_mean(user, names) or f"known: {', '.join(names)}",
        )


def _autologon_administrator(profile: Profile) -> Iterator[Finding]:
    windows = profile.windows
    if windows.autologon is None or not is_administrator(windows.autologon.user):
        return
    path: Path = ("windows", "autologon", "user")
    if windows.administrator.password is None:
        yield Finding(
            path=path,
            message="autologon as Administrator needs a password",
            rule="windows.autologon-password",
            hint="add windows.administrator.password: {generate: 20}",
        )
    if windows.administrator.enabled is False:
        yield Finding(
            path=path,
            message="autologon as Administrator, which is switched off",
            rule="windows.autologon-user",
            hint="remove windows.administrator.enabled, or log on somebody else",
        )


def _somebody_can_log_on(profile: Profile) -> Iterator[Finding]:
    windows = profile.windows
    own = windows.answer_file is not None
    if not own and not windows.users and windows.administrator.password is None:
        yield Finding(
            path=("windows",),
            message="nobody could log on: no users, and Administrator has no password",
            rule="windows.no-account",
            hint="add windows.users, or windows.administrator.password: {generate: 20}",
            on_key=True,
        )


def _recovery(profile: Profile) -> Iterator[Finding]:
    recovery, disk = profile.windows.recovery, profile.machine.disks[0].size
    laid_out = profile.machine.disks[0].partitions is not None
    if profile.metal is None and not laid_out and recovery is not None and recovery >= disk:
        yield Finding(
            path=("windows", "recovery"),
            message=f"a recovery partition of {recovery} does not fit on a disk of {disk}",
            rule="machine.disk-size",
            hint="make machine.disks[0].size larger",
        )


def _remote(profile: Profile) -> Iterator[Finding]:
    remote = profile.windows.remote
    if (remote.rdp or remote.winrm or remote.ssh) and not profile.machine.networks:
        yield Finding(
            path=("windows", "remote"),
            message="remote access without a network interface",
            rule="windows.remote",
            severity=Severity.WARNING,
            hint="add one to machine.networks",
            on_key=True,
        )


def _literals(profile: Profile) -> Iterator[Finding]:
    windows = profile.windows
    secrets: list[tuple[Path, object]] = [
        (("windows", "product_key"), windows.product_key),
        (("windows", "administrator", "password"), windows.administrator.password),
        (("windows", "join", "password"), windows.join.password),
        (("windows", "join", "blob"), windows.join.blob),
        *(
            (("windows", "users", index, "password"), user.password)
            for index, user in enumerate(windows.users)
        ),
    ]
    for path, secret in secrets:
        if isinstance(secret, Plain):
            yield Finding(
                path=path,
                message="this secret stands in the file in clear",
                rule="profile.plain-secret",
                severity=Severity.NOTE,
                hint="{env: NAME}, {file: PATH}, {keyring: SERVICE/USER} or {generate: 20} "
                "keep it out",
            )


def _product_key(profile: Profile) -> Iterator[Finding]:
    key = profile.windows.product_key
    if isinstance(key, Plain):
        try:
            ProductKeyFormat(key.plain)
        except BadValue as bad:
            yield Finding(
                path=("windows", "product_key"), message=bad.message, rule=bad.rule, hint=bad.hint
            )
    elif isinstance(key, Generated):
        yield Finding(
            path=("windows", "product_key"),
            message="a product key cannot be made up",
            rule="windows.product-key",
            hint="leave the key out: a generic one is used where the edition needs it",
        )


RULES: Mapping[Callable[[Profile], Iterator[Finding]], tuple[str, ...]] = {
    _computer_name: ("name", "windows.computer_name", "windows.users.name"),
    _users: ("windows.users.name",),
    _autologon_user: ("windows.autologon.user", "windows.users.name"),
    _autologon_administrator: ("windows.autologon.user", "windows.administrator"),
    _somebody_can_log_on: (
        "windows.users",
        "windows.administrator.password",
        "windows.answer_file",
    ),
    hardware.machine_or_metal: ("machine", "metal"),
    hardware.metal_drivers: ("metal", "media.drivers"),
    hardware.metal_disk: ("metal.disk", "metal.wipe", "metal.answers"),
    hardware.ready: ("machine.ready.when", "media.drivers", "windows.architecture"),
    hardware.probes: (
        "machine.ready.when",
        "machine.ready.probes",
        "machine.networks",
        "windows.remote",
    ),
    step_rules.exit_codes: ("windows.steps.exit_codes", "windows.steps.reboot"),
    hardware.virtio_disks: ("machine.disks.bus", "media.drivers", "windows.architecture"),
    hardware.virtio_networks: ("machine.networks.model", "media.drivers", "windows.architecture"),
    hardware.arm64: (
        "windows.architecture",
        "metal.firmware",
        "machine.firmware",
        "machine.disks.bus",
        "machine.networks.model",
    ),
    hardware.hardware_checks: (
        "windows.product",
        "windows.hardware_checks",
        "metal.firmware",
        "machine.firmware",
        "machine.tpm",
    ),
    hardware.bypass_elsewhere: ("windows.product", "windows.hardware_checks"),
    hardware.memory: ("machine.memory",),
    disk_rules.partitions: (
        "machine.firmware",
        "machine.disks.size",
        "machine.disks.partitions",
        "metal.firmware",
        "metal.disk",
    ),
    disk_rules.metal_disk: ("metal.disk",),
    disk_rules.apply: (
        "windows.install_by",
        "windows.answer_file",
        "machine.disks.partitions",
        "metal.disk",
    ),
    _recovery: ("machine.disks.size", "windows.recovery"),
    hardware.addresses: ("machine.networks.mac",),
    network_rules.static_addresses: (
        "machine.networks.addresses",
        "machine.networks.gateways",
        "metal.networks.addresses",
        "metal.networks.gateways",
    ),
    network_rules.static_without_network: (
        "machine.networks.addresses",
        "machine.networks.network",
        "metal",
    ),
    network_rules.metal_cards: ("metal.networks.mac",),
    network_rules.join: ("windows.join", "machine.networks", "metal"),
    network_rules.join_password: ("windows.join",),
    network_rules.firewall: ("windows.firewall", "windows.remote.rdp"),
    _remote: ("windows.remote", "machine.networks"),
    _literals: (
        "windows.product_key",
        "windows.administrator.password",
        "windows.users.password",
        "windows.join",
    ),
    _product_key: ("windows.product_key",),
    settings_rules.registry: ("windows.settings.registry",),
    settings_rules.files: ("windows.settings.files",),
    settings_rules.page_file: ("windows.settings.page_file", "machine.disks.size"),
    settings_rules.power: ("windows.settings.power",),
    settings_rules.remote_desktop: ("windows.remote",),
    settings_rules.ssh_package: ("windows.remote.ssh",),
    settings_rules.rotation: (
        "windows.administrator",
        "windows.users",
        "windows.autologon",
        "media.drivers",
        "machine.ready.when",
        "metal",
    ),
}
"""Every check and the paths it reads. It is left out when one of them could not be read."""
