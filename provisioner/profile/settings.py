"""What the first-logon script sets inside Windows: `windows.settings` and parts of `remote`.

What is left out stays as Windows has it.
"""

from typing import Annotated, Literal

from pydantic import Field

from provisioner.profile.base import HostPath, ProfileModel
from provisioner.profile.guest_values import (
    FeatureName,
    PublicKey,
    RegistryPath,
    WindowsPath,
)
from provisioner.profile.units import Duration, Line, Size

FirewallProfile = Literal["domain", "private", "public"]


class OpenSsh(ProfileModel):
    """OpenSSH's server, on port 22."""

    package: HostPath | None = None
    """A release of Win32-OpenSSH, .zip or .msi, taken along on the answer disc. Default: the
    capability of Windows, which is downloaded from Windows Update unless the server is there."""
    authorized_keys: tuple[PublicKey, ...] = ()
    """Public keys that open every account in Administrators."""
    passwords: bool = True
    """Accept passwords too."""
    shell: Literal["cmd", "powershell"] = "powershell"
    """What a session starts."""


class RemoteDesktop(ProfileModel):
    """How Remote Desktop behaves where `rdp` turns it on. The port stays 3389."""

    network_level_authentication: bool = True
    """Ask who it is before a session is made. Old and some foreign clients cannot."""
    clipboard: bool | None = None
    """Share the clipboard."""
    drives: bool | None = None
    """Show drives of the client."""
    single_session: bool | None = None
    """One session for each user, taken over by the next connection."""
    disconnect_idle: Duration | None = None
    """Disconnect a session in which nothing happens for so long."""
    end_disconnected: Duration | None = None
    """Log a disconnected session off after so long."""


RegistryType = Literal[
    "REG_SZ", "REG_EXPAND_SZ", "REG_MULTI_SZ", "REG_DWORD", "REG_QWORD", "REG_BINARY"
]


class RegistrySetting(ProfileModel):
    """A value in the registry."""

    key: RegistryPath
    """`HKLM\\...`, `HKCU\\...` (who logs on first) or `HKU\\Default\\...` (accounts made later)."""
    name: Annotated[Line, Field(max_length=16383)] = Line("")
    """Name of the value; empty for the key's default value."""
    type: RegistryType | None = None
    """Default: REG_DWORD for a number, REG_SZ for text, REG_MULTI_SZ for a list."""
    data: int | str | tuple[str, ...] | None = None
    """The data: a number, text, a list of texts, or hexadecimal digits for REG_BINARY."""
    remove: bool = False
    """Take the value away instead."""

    @property
    def registry_type(self) -> RegistryType:
        """The type that was given, or the one that the data has by itself."""
        if self.type is not None:
            return self.type
        match self.data:
            case int():
                return "REG_DWORD"
            case tuple():
                return "REG_MULTI_SZ"
            case _:
                return "REG_SZ"


class CopiedFile(ProfileModel):
    """A file or folder of this host that is copied into Windows, by way of the answer disc."""

    source: HostPath
    """The file, or a folder with everything in it."""
    to: WindowsPath
    """The file's or folder's path inside Windows. A file that is there is replaced."""


class OpenPort(ProfileModel):
    """A port that the firewall lets in."""

    name: Annotated[Line, Field(min_length=1, max_length=80)]
    """Shown in the firewall."""
    port: Annotated[int, Field(ge=1, le=65535)]
    """Port number."""
    protocol: Literal["tcp", "udp"] = "tcp"
    """Protocol."""
    profiles: tuple[FirewallProfile, ...] = ("domain", "private", "public")
    """Networks from which."""


class LetIn(ProfileModel):
    """What the firewall lets in besides its own groups, which `windows.firewall` opens."""

    ping: bool = False
    """Answer ping."""
    ports: tuple[OpenPort, ...] = ()
    """Ports to let in."""


class Server(ProfileModel):
    """What only servers have."""

    ie_enhanced_security: bool | None = None
    """Internet Explorer's Enhanced Security Configuration, for administrators and users."""
    server_manager_at_logon: bool | None = None
    """Open Server Manager at every logon."""
    shutdown_reason: bool | None = None
    """Ask why, before the machine is shut down."""
    ctrl_alt_del: bool | None = None
    """Want Ctrl+Alt+Del before a logon."""
    emergency_console: bool | None = None
    """Emergency Management Services with the Special Administration Console on the first serial
    port, from the next start on. What is reported there ends with it."""


class Power(ProfileModel):
    """Power plan."""

    plan: Literal["balanced", "high-performance", "power-saver"] | None = None
    """The plan."""
    screen_off: Duration | Literal["never"] | None = None
    """Turn the screen off after so long, in whole minutes."""
    sleep: Duration | Literal["never"] | None = None
    """Sleep after so long, in whole minutes."""
    hibernation: bool | None = None
    """Keep a hibernation file, and with it fast startup."""


class PageFile(ProfileModel):
    """A page file of a given size on drive C."""

    initial: Size
    """Size at the start."""
    maximum: Size
    """Size it may grow to."""


class Features(ProfileModel):
    """Parts of Windows."""

    enable: tuple[FeatureName, ...] = ()
    """Optional features to turn on, with all they need. .NET 3.5 (NetFx3) comes from the install
    disc."""
    disable: tuple[FeatureName, ...] = ()
    """Optional features to turn off."""
    capabilities: tuple[FeatureName, ...] = ()
    """Features on demand to add; Windows Update has them."""
    roles: tuple[FeatureName, ...] = ()
    """Server roles and their features, with their management tools."""
    timeout: Duration = Duration("1 h")
    """Longest time one of them may take."""


class Desktop(ProfileModel):
    """What a user sees; for who logs on first and for every account made later."""

    file_extensions: bool | None = None
    """Show the extensions of known files."""
    hidden_files: bool | None = None
    """Show hidden files."""
    explorer_opens: Literal["this-pc", "home"] | None = None
    """What Explorer begins with."""
    dark: bool | None = None
    """Dark windows and taskbar."""
    search: Literal["hidden", "icon", "box"] | None = None
    """Search on the taskbar."""
    task_view: bool | None = None
    """The button for task view."""
    taskbar: Literal["left", "center"] | None = None
    """Where the taskbar's buttons stand in Windows 11."""
    widgets: bool | None = None
    """Widgets, of Windows 11, for everybody."""


class System(ProfileModel):
    """What a lab often wants otherwise than Windows comes."""

    long_paths: bool | None = None
    """Paths of over 260 characters, for programs that ask for them."""
    automatic_updates: bool | None = None
    """Install updates without being asked."""
    fast_startup: bool | None = None
    """Hibernate the kernel at shutdown."""
    lock_screen: bool | None = None
    """A picture before the logon screen."""
    logon_animation: bool | None = None
    """The "Hi" at a new account's first logon."""
    network_question: bool | None = None
    """Ask at a new network whether the machine may be seen there."""
    suggested_apps: bool | None = None
    """Apps that Microsoft suggests. Only Enterprise and Education obey."""
    onedrive: bool | None = None
    """OneDrive's synchronisation."""
    autoplay: bool | None = None
    """Start what an inserted disc or stick wants started."""
    elevation_prompt: bool | None = None
    """Ask administrators before a program is elevated. User Account Control itself stays on."""
    developer_mode: bool | None = None
    """Install apps from everywhere."""
    diagnostic_data: Literal["off", "required", "optional"] | None = None
    """What Windows tells Microsoft. `off` works on Enterprise, Education and servers."""
    execution_policy: Literal["Restricted", "AllSigned", "RemoteSigned", "Unrestricted"] | None = (
        None
    )
    """Which PowerShell scripts may run."""
    crash_dump: Literal["none", "small", "kernel", "complete", "automatic"] | None = None
    """What is kept of a blue screen."""
    restart_after_crash: bool | None = None
    """Restart after a blue screen."""


class Settings(ProfileModel):
    """What is set inside Windows at the first logon. What is left out stays as Windows has it."""

    files: tuple[CopiedFile, ...] = ()
    """Files and folders of this host that are copied into Windows."""
    registry: tuple[RegistrySetting, ...] = ()
    """Values in the registry. They go over those that other settings make."""
    features: Features = Features.model_construct()
    """Parts of Windows."""
    firewall: LetIn = LetIn.model_construct()
    """Ping and ports that Windows' firewall lets in."""
    server: Server = Server.model_construct()
    """What only servers have."""
    power: Power = Power.model_construct()
    """Power plan."""
    page_file: PageFile | Literal["automatic", "none"] | None = None
    """The page file; from the next start on."""
    desktop: Desktop = Desktop.model_construct()
    """What a user sees."""
    system: System = System.model_construct()
    """What a lab often wants otherwise than Windows comes."""
