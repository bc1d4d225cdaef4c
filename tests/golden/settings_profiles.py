"""Profiles that set everything inside Windows: `windows.settings` and the ways in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

FILES = Path(__file__).parent / "files"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMb1kL1WZPZu7Uj0RPbpqL8vJt3bWJ1Zp0sT7Qd7pGQ2 jane@desk"

SERVER: dict[str, Any] = {
    "files": [
        {"source": str(FILES / "tools"), "to": "C:/Tools"},
        {"source": str(FILES / "settings.ini"), "to": "%ProgramData%\\Example\\settings.ini"},
    ],
    "registry": [
        {"key": "HKEY_LOCAL_MACHINE\\SOFTWARE\\Example", "data": "the default value"},
        {"key": "HKLM\\SOFTWARE\\Example", "name": "Count", "data": 42},
        {"key": "HKLM\\SOFTWARE\\Example", "name": "Big", "type": "REG_QWORD", "data": 2**40},
        {"key": "HKLM\\SOFTWARE\\Example", "name": "List", "data": ["one", "zwei ü", "三"]},
        {"key": "HKLM\\SOFTWARE\\Example", "name": 'a "quoted\\ name', "data": 'a\nb "c" \\d ü'},
        {
            "key": "HKLM\\SOFTWARE\\Example",
            "name": "Place",
            "type": "REG_EXPAND_SZ",
            "data": "%SystemRoot%\\x",
        },
        {
            "key": "HKLM\\SOFTWARE\\Example",
            "name": "Bytes",
            "type": "REG_BINARY",
            "data": "00 ff 0a",
        },
        {"key": "HKLM\\SOFTWARE\\Example", "name": "Gone", "remove": True},
        {"key": "HKCU\\Software\\Example", "name": "Mine", "data": "who logs on first"},
        {"key": "HKU\\Default\\Software\\Example", "name": "Theirs", "data": 1},
    ],
    "features": {
        "enable": ["NetFx3"],
        "disable": ["SMB1Protocol"],
        "capabilities": ["Tools.Graphics.DirectX~~~~0.0.1.0"],
        "roles": ["Web-Server", "RSAT-AD-PowerShell"],
        "timeout": "45 min",
    },
    "firewall": {
        "ping": True,
        "ports": [
            {"name": "Bob's service", "port": 8080},
            {"name": "logs", "port": 514, "protocol": "udp", "profiles": ["domain", "private"]},
        ],
    },
    "server": {
        "ie_enhanced_security": False,
        "server_manager_at_logon": False,
        "shutdown_reason": False,
        "ctrl_alt_del": False,
        "emergency_console": True,
    },
    "power": {
        "plan": "high-performance",
        "screen_off": "never",
        "sleep": "2 h",
        "hibernation": False,
    },
    "page_file": {"initial": "1 GiB", "maximum": "4 GiB"},
}

CLIENT: dict[str, Any] = {
    "desktop": {
        "file_extensions": True,
        "hidden_files": True,
        "explorer_opens": "this-pc",
        "dark": True,
        "search": "hidden",
        "task_view": False,
        "taskbar": "left",
        "widgets": False,
    },
    "system": {
        "long_paths": True,
        "automatic_updates": False,
        "fast_startup": False,
        "lock_screen": False,
        "logon_animation": False,
        "network_question": False,
        "suggested_apps": False,
        "onedrive": False,
        "autoplay": False,
        "elevation_prompt": False,
        "developer_mode": True,
        "diagnostic_data": "required",
        "execution_policy": "RemoteSigned",
        "crash_dump": "small",
        "restart_after_crash": False,
    },
    "page_file": "none",
}

REMOTE: dict[str, Any] = {
    "rdp": True,
    "desktop": {
        "network_level_authentication": False,
        "clipboard": False,
        "drives": False,
        "single_session": False,
        "disconnect_idle": "1 h",
        "end_disconnected": "8 h",
    },
    "winrm": "https",
    "ssh": {
        "package": str(FILES / "OpenSSH-Win64.zip"),
        "authorized_keys": [KEY],
        "passwords": False,
        "shell": "cmd",
    },
}
