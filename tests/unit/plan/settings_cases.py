"""A failing and a passing case for every rule about what is set inside Windows."""

from __future__ import annotations

from tests.golden.settings_profiles import FILES
from tests.unit.plan.scene import SERVER, SOUND, Scene, server_disc


def _windows(text: str, *, base: str = SOUND) -> str:
    return base.replace("machine:", f"  {text}\nmachine:")


def _files(source: object) -> Scene:
    return Scene(profile=_windows(f"settings: {{files: [{{source: {source}, to: 'C:\\Tools'}}]}}"))


MISSING_FILE = _files(FILES / "nowhere")
FILE_THERE = _files(FILES / "tools")
ROLE_ON_A_CLIENT = Scene(profile=_windows("settings: {features: {roles: [Web-Server]}}"))
ROLE_ON_A_SERVER = Scene(
    profile=_windows("settings: {features: {roles: [Web-Server]}}", base=SERVER),
    install=server_disc(),
)
CONSOLE_ON_A_CLIENT = Scene(profile=_windows("settings: {server: {emergency_console: true}}"))
SSH_FROM_WINDOWS_UPDATE = Scene(profile=_windows("remote: {ssh: {}}"))
SSH_FROM_A_PACKAGE = Scene(
    profile=_windows(f"remote: {{ssh: {{package: {FILES / 'OpenSSH-Win64.zip'}}}}}")
)
SSH_IN_THE_SERVER = Scene(profile=_windows("remote: {ssh: {}}", base=SERVER), install=server_disc())
