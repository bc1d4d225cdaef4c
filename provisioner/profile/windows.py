"""The `windows:` part of a profile: what Setup is told and what runs at the first logon."""

from typing import Annotated, Literal

from pydantic import Field

from provisioner.profile.base import HostPath, ProfileModel
from provisioner.profile.network import Dns, Firewall, Join
from provisioner.profile.secrets import SecretValue
from provisioner.profile.settings import OpenSsh, RemoteDesktop, Settings
from provisioner.profile.steps import Step
from provisioner.profile.units import (
    ComputerName,
    GroupName,
    Keyboard,
    LanguageTag,
    Line,
    Size,
    TimeZone,
    UserName,
)

Product = Literal[
    "windows-7",
    "windows-8.1",
    "windows-10",
    "windows-11",
    "windows-server-2008-r2",
    "windows-server-2012-r2",
    "windows-server-2016",
    "windows-server-2019",
    "windows-server-2022",
    "windows-server-2025",
]


class Locale(ProfileModel):
    """Languages, formats, keyboard and time zone."""

    setup: LanguageTag | None = None
    """Language of Setup itself; must be on the media. Default: the media's own."""
    language: LanguageTag | None = None
    """Display language of the installed Windows. Default: the media's own."""
    fallback: LanguageTag | None = None
    """The language for what is not translated into `language`; must be in the image too."""
    format: LanguageTag | None = None
    """Dates, numbers and currency (user locale). Default: `language`."""
    system: LanguageTag | None = None
    """Locale for programs that do not know Unicode (system locale). Default: `language`."""
    keyboard: tuple[Keyboard, ...] | Keyboard | None = None
    """Keyboard layouts, the first is the default: a language tag or an id such as `0407:00000407`.
    Default: that of `format`."""
    layered_driver: Annotated[int, Field(ge=1, le=6)] | None = None
    """Kind of keyboard in Setup, in Microsoft's numbers: 1 for 101 or 102 keys, 2 to 5 for Korean
    ones, 6 for a Japanese one with 106 or 109 keys."""
    timezone: TimeZone = TimeZone("UTC")
    """A Windows time-zone id (`W. Europe Standard Time`) or an IANA name (`Europe/Berlin`)."""


class Administrator(ProfileModel):
    """The built-in Administrator account."""

    password: SecretValue | None = None
    """Its password. On clients the account stays disabled unless `enabled` is true."""
    enabled: bool | None = None
    """Default: true on servers, false on clients."""
    rotate: bool = False
    """Give it a new generated password by the guest agent as soon as the machine is ready, so that
    the one on the answer disc opens nothing. Needs a `{generate: N}` password."""


class User(ProfileModel):
    """A local account that Setup creates."""

    name: UserName
    """Logon name, at most 20 characters."""
    display_name: Annotated[Line, Field(max_length=256)] | None = None
    """Full name."""
    description: Annotated[Line, Field(max_length=256)] | None = None
    """A note shown by account tools."""
    groups: tuple[GroupName, ...] = (GroupName("Users"),)
    """Local groups, by their English names."""
    password: SecretValue
    """The password."""
    rotate: bool = False
    """Give it a new generated password by the guest agent as soon as the machine is ready. Needs
    a `{generate: N}` password."""


class Autologon(ProfileModel):
    """Log a user on by itself after the installation."""

    user: UserName
    """One of `users`, or Administrator."""
    times: Annotated[int, Field(ge=1, le=999)] = 1
    """How many logons; the defect of Windows that adds one to LogonCount is taken care of."""


class Oem(ProfileModel):
    """What System Properties say about the computer and who helps with it."""

    manufacturer: Annotated[Line, Field(min_length=1, max_length=256)] | None = None
    """Maker of the computer. Windows marks this and the others but two as deprecated since 10
    1709, and shows them."""
    model: Annotated[Line, Field(min_length=1, max_length=256)] | None = None
    """Model of the computer."""
    support_hours: Annotated[Line, Field(min_length=1, max_length=256)] | None = None
    """When somebody helps."""
    support_phone: Annotated[Line, Field(min_length=1, max_length=256)] | None = None
    """Where to call."""
    support_provider: Annotated[Line, Field(min_length=1, max_length=256)] | None = None
    """Who helps; since Windows 10 1709."""
    support_url: Annotated[Line, Field(min_length=1, max_length=2083)] | None = None
    """Where to read."""
    logo: HostPath | None = None
    """A Windows bitmap of 120 by 120 pixels. It goes on the answer disc and from there to
    System32."""


class Remote(ProfileModel):
    """Ways in from the network."""

    rdp: bool = False
    """Remote Desktop with Network Level Authentication, and its firewall group."""
    desktop: RemoteDesktop = RemoteDesktop.model_construct()
    """How Remote Desktop behaves."""
    winrm: Literal["https"] | None = None
    """Windows Remote Management on port 5986 with a self-signed certificate."""
    ssh: OpenSsh | None = None
    """OpenSSH's server."""


class Windows(ProfileModel):
    """The Windows that shall be installed."""

    product: Product
    """Which Windows; compared with what is on the disc."""
    architecture: Literal["amd64", "arm64"] = "amd64"
    """Processor architecture of Windows. `arm64` is unproven: `plan`, `render` and `build` work,
    `up` does not start such a machine."""
    answer_file: HostPath | None = None
    """An answer file of your own that is used as it is. Of the other keys here only `product`,
    `architecture`, `edition` and `hardware_checks` (what your file does about them) then matter,
    and `machine.ready.when` has to be given."""
    edition: str | Annotated[int, Field(ge=1)] | None = None
    """Edition id, name or index, resolved against the disc. May be left out when it holds one."""
    computer_name: ComputerName | None = None
    """Default: `name` in capitals. Like that it is not inherited through `extends`."""
    owner: Annotated[Line, Field(min_length=1, max_length=63)] = Line("provisioner")
    """Registered owner."""
    organization: Annotated[Line, Field(min_length=1, max_length=63)] | None = None
    """Registered organization."""
    product_key: SecretValue | None = None
    """A product key for activation. Default: a generic one where this edition and medium need
    it."""
    oem: Oem = Oem.model_construct()
    """What System Properties say about the computer."""
    locale: Locale = Locale.model_construct()
    """Languages, formats, keyboard and time zone."""
    administrator: Administrator = Administrator.model_construct()
    """The built-in Administrator account."""
    users: tuple[User, ...] = ()
    """Local accounts."""
    autologon: Autologon | None = None
    """Log a user on by itself."""
    remote: Remote = Remote.model_construct()
    """Ways in from the network."""
    join: Join = Join.model_construct()
    """The workgroup or domain the computer becomes a member of."""
    dns: Dns = Dns.model_construct()
    """DNS of the whole computer; servers are told for each interface."""
    firewall: Firewall = Firewall.model_construct()
    """Groups of firewall rules."""
    install_by: Literal["setup", "apply"] = "setup"
    """Who puts the image on the disk: Windows Setup, or a script of ours that Setup starts in
    Windows PE and never comes back from: diskpart, DISM and bcdboot (unproven)."""
    hardware_checks: Literal["satisfy", "bypass"] = "satisfy"
    """Windows 11's TPM, Secure Boot and memory checks: met by the machine, or switched off."""
    device_encryption: bool | None = None
    """Let Windows encrypt the disk by itself. Default: false, so that images stay readable; a
    physical PC does what Windows does by itself."""
    recovery: Size | None = Size("1 GiB")
    """Size of the recovery partition; null for none. On a physical PC Setup decides that, and on a
    disk with `partitions` they do."""
    recovery_place: Literal["behind", "first"] = "behind"
    """Where it lies: `behind` Windows, where updates can enlarge it, or `first` on the disk, where
    Windows can grow when the disk does."""
    settings: Settings = Settings.model_construct()
    """What is set inside Windows at the first logon."""
    steps: tuple[Step, ...] = ()
    """What runs at the first logon, in this order; the first failure stops."""
