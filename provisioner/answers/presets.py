"""`windows.settings` and Remote Desktop's behaviour as registry values.

Names and meanings are Microsoft's: Policy CSP reference and the administrative templates for
`Policies`, the product's own settings otherwise. None was tried on a Windows (docs/unproven.md).
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.answers.registry import Data, Entry
from provisioner.profile.settings import (
    Desktop,
    PageFile,
    RegistrySetting,
    RegistryType,
    RemoteDesktop,
    Server,
    Settings,
    System,
)
from provisioner.profile.units import Duration

CURRENT = "SOFTWARE\\Microsoft\\Windows\\CurrentVersion"
POLICIES = "SOFTWARE\\Policies\\Microsoft\\Windows"
SYSTEM_POLICIES = f"{CURRENT}\\Policies\\System"
CONTROL = "SYSTEM\\CurrentControlSet\\Control"
TERMINAL_POLICIES = "SOFTWARE\\Policies\\Microsoft\\Windows NT\\Terminal Services"
ACTIVE_SETUP = "SOFTWARE\\Microsoft\\Active Setup\\Installed Components"
ENHANCED_SECURITY = (
    "{A509B1A7-37EF-4b3f-8CFC-4F3A74704073}",
    "{A509B1A8-37EF-4b3f-8CFC-4F3A74704073}",
)
"""For administrators, and for users."""
USERS = ("HKCU", "HKU\\Default")
"""Who logs on first has a profile already; everybody later gets a copy of the default one."""
AUTOMATIC_PAGE_FILE = "?:\\pagefile.sys"
_DUMPS = {"none": 0, "complete": 1, "kernel": 2, "small": 3, "automatic": 7}
_DIAGNOSTICS = {"off": 0, "required": 1, "optional": 3}
_SEARCH = {"hidden": 0, "icon": 1, "box": 2}


def entries(settings: Settings, desktop: RemoteDesktop, *, shell: str | None) -> tuple[Entry, ...]:
    """Everything that is a registry value, the profile's own ones last.

    `shell` is what OpenSSH starts, None without it.
    """
    found = [
        *_desktop(settings.desktop),
        *_system(settings.system),
        *_server(settings.server),
        *_page_file(settings.page_file),
        *_remote_desktop(desktop),
    ]
    if shell is not None:
        found.append(_machine("SOFTWARE\\OpenSSH", "DefaultShell", shell))
    return (*found, *map(_own, settings.registry))


def _machine(path: str, name: str, data: Data, type_: RegistryType | None = None) -> Entry:
    return Entry(root="HKLM", path=path, name=name, type=type_ or _type(data), data=data)


def _type(data: Data) -> RegistryType:
    return "REG_DWORD" if isinstance(data, int) else "REG_SZ"


def _users(path: str, name: str, data: Data) -> Iterator[Entry]:
    for root in USERS:
        yield Entry(root=root, path=path, name=name, type=_type(data), data=data)


def _desktop(desktop: Desktop) -> Iterator[Entry]:
    advanced = f"{CURRENT}\\Explorer\\Advanced"
    if desktop.file_extensions is not None:
        yield from _users(advanced, "HideFileExt", int(not desktop.file_extensions))
    if desktop.hidden_files is not None:
        yield from _users(advanced, "Hidden", 1 if desktop.hidden_files else 2)
    if desktop.explorer_opens is not None:
        yield from _users(advanced, "LaunchTo", 1 if desktop.explorer_opens == "this-pc" else 2)
    if desktop.dark is not None:
        for name in ("AppsUseLightTheme", "SystemUsesLightTheme"):
            yield from _users(f"{CURRENT}\\Themes\\Personalize", name, int(not desktop.dark))
    if desktop.search is not None:
        yield from _users(f"{CURRENT}\\Search", "SearchboxTaskbarMode", _SEARCH[desktop.search])
    if desktop.task_view is not None:
        yield from _users(advanced, "ShowTaskViewButton", int(desktop.task_view))
    if desktop.taskbar is not None:
        yield from _users(advanced, "TaskbarAl", int(desktop.taskbar == "center"))
    if desktop.widgets is not None:
        dsh = "SOFTWARE\\Policies\\Microsoft\\Dsh"
        yield _machine(dsh, "AllowNewsAndInterests", int(desktop.widgets))


def _system(system: System) -> Iterator[Entry]:
    numbers: tuple[tuple[bool | None, str, str, int, int], ...] = (
        (system.long_paths, f"{CONTROL}\\FileSystem", "LongPathsEnabled", 1, 0),
        (system.automatic_updates, f"{POLICIES}\\WindowsUpdate\\AU", "NoAutoUpdate", 0, 1),
        (system.fast_startup, f"{CONTROL}\\Session Manager\\Power", "HiberbootEnabled", 1, 0),
        (system.lock_screen, f"{POLICIES}\\Personalization", "NoLockScreen", 0, 1),
        (system.logon_animation, SYSTEM_POLICIES, "EnableFirstLogonAnimation", 1, 0),
        (
            system.suggested_apps,
            f"{POLICIES}\\CloudContent",
            "DisableWindowsConsumerFeatures",
            0,
            1,
        ),
        (system.onedrive, f"{POLICIES}\\OneDrive", "DisableFileSyncNGSC", 0, 1),
        (system.autoplay, f"{CURRENT}\\Policies\\Explorer", "NoDriveTypeAutoRun", 0x91, 0xFF),
        (system.elevation_prompt, SYSTEM_POLICIES, "ConsentPromptBehaviorAdmin", 5, 0),
        (
            system.developer_mode,
            f"{CURRENT}\\AppModelUnlock",
            "AllowDevelopmentWithoutDevLicense",
            1,
            0,
        ),
        (system.restart_after_crash, f"{CONTROL}\\CrashControl", "AutoReboot", 1, 0),
    )
    for wanted, path, name, on, off in numbers:
        if wanted is not None:
            yield _machine(path, name, on if wanted else off)
    if system.network_question is False:
        # The key itself is the switch (docs/facts/windows-setup.md §4.5).
        yield Entry(root="HKLM", path=f"{CONTROL}\\Network\\NewNetworkWindowOff", type=None)
    if system.diagnostic_data is not None:
        level = _DIAGNOSTICS[system.diagnostic_data]
        yield _machine(f"{POLICIES}\\DataCollection", "AllowTelemetry", level)
    if system.execution_policy is not None:
        shell = "SOFTWARE\\Microsoft\\PowerShell\\1\\ShellIds\\Microsoft.PowerShell"
        yield _machine(shell, "ExecutionPolicy", system.execution_policy)
    if system.crash_dump is not None:
        dump = _DUMPS[system.crash_dump]
        yield _machine(f"{CONTROL}\\CrashControl", "CrashDumpEnabled", dump)


def _server(server: Server) -> Iterator[Entry]:
    if server.ie_enhanced_security is not None:
        for component in ENHANCED_SECURITY:
            path = f"{ACTIVE_SETUP}\\{component}"
            yield _machine(path, "IsInstalled", int(server.ie_enhanced_security))
    if server.server_manager_at_logon is not None:
        quiet = int(not server.server_manager_at_logon)
        path = "SOFTWARE\\Microsoft\\ServerManager"
        yield _machine(path, "DoNotOpenServerManagerAtLogon", quiet)
    if server.shutdown_reason is not None:
        path = "SOFTWARE\\Policies\\Microsoft\\Windows NT\\Reliability"
        for name in ("ShutdownReasonOn", "ShutdownReasonUI"):
            yield _machine(path, name, int(server.shutdown_reason))
    if server.ctrl_alt_del is not None:
        yield _machine(SYSTEM_POLICIES, "DisableCAD", int(not server.ctrl_alt_del))


def _page_file(page_file: PageFile | str | None) -> Iterator[Entry]:
    match page_file:
        case None:
            return
        case PageFile(initial=initial, maximum=maximum):
            sizes = (-(-size.bytes // 2**20) for size in (initial, maximum))
            files: tuple[str, ...] = (f"C:\\pagefile.sys {' '.join(map(str, sizes))}",)
        case "automatic":
            files = (AUTOMATIC_PAGE_FILE,)
        case _:
            files = ()
    path = f"{CONTROL}\\Session Manager\\Memory Management"
    yield _machine(path, "PagingFiles", files, "REG_MULTI_SZ")


def _remote_desktop(desktop: RemoteDesktop) -> Iterator[Entry]:
    """Group Policy, "Remote Desktop Services"; network level authentication is Setup's own."""
    numbers = (
        ("fDisableClip", None if desktop.clipboard is None else int(not desktop.clipboard)),
        ("fDisableCdm", None if desktop.drives is None else int(not desktop.drives)),
        (
            "fSingleSessionPerUser",
            None if desktop.single_session is None else int(desktop.single_session),
        ),
        ("MaxIdleTime", _milliseconds(desktop.disconnect_idle)),
        ("MaxDisconnectionTime", _milliseconds(desktop.end_disconnected)),
    )
    for name, number in numbers:
        if number is not None:
            yield _machine(TERMINAL_POLICIES, name, number)
    if not desktop.network_level_authentication:
        # The answer file turns it on together with Remote Desktop; this comes later.
        path = f"{CONTROL}\\Terminal Server\\WinStations\\RDP-Tcp"
        yield _machine(path, "UserAuthentication", 0)


def _milliseconds(duration: Duration | None) -> int | None:
    return None if duration is None else duration.seconds * 1000


def _own(value: RegistrySetting) -> Entry:
    """One of the profile's own values; `profile.settings_rules` has seen that type and data fit."""
    data: Data | None = value.data
    kind = value.registry_type
    if kind == "REG_BINARY" and isinstance(data, str):
        data = bytes.fromhex(data)
    return Entry(
        root=value.key.root,
        path=value.key.path,
        name=value.name,
        type=kind,
        data=None if value.remove else data,
    )
