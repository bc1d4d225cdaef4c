"""`connect --as`: texts that other programs read, and never a password that nobody asked for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from provisioner.cli.access import Access, ansible_inventory, rdp_file, ssh_entry
from provisioner.errors import FailedError, ProvisionerError, RefusedError, UsageError
from provisioner.host.secrets import FileSecretStore
from provisioner.secret import Generated
from provisioner.store.machine import Forward
from tests.unit.cli.test_connect import RDP, SSH, Desk

WINRM = Forward(service="winrm", guest_port=5986, host_port=20002)
HERE = {"rdp": ("127.0.0.1", 20001), "winrm": ("127.0.0.1", 20002), "ssh": ("127.0.0.1", 20003)}


def access(**changes: Any) -> Access:
    return Access(**{"name": "dev", "services": HERE, "users": ("jane",), **changes})


def read_yaml(text: str) -> Any:
    """With `!unsafe` read as Ansible does: the text as it is."""

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!unsafe", lambda loader, node: ("unsafe", node.value))
    return yaml.load(text, Loader)


def test_an_rdp_file() -> None:
    text = rdp_file(access(services={"rdp": ("fd00::5", 3389)}, users=("jane doe",)))
    assert text.endswith("\r\n") and text.count("\n") == text.count("\r\n")
    settings = dict(line.split(":", 1) for line in text.splitlines())
    assert settings["full address"] == "s:[fd00::5]:3389"
    assert settings["username"] == "s:jane doe"
    assert "password" not in text


def test_ssh_reads_its_entry(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(ssh_entry(access(users=("jane doe",))))
    argv = ["ssh", "-G", "-F", str(file), "dev"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    settings = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    assert (settings["hostname"], settings["port"]) == ("127.0.0.1", "20003")
    assert (settings["user"], settings["hostkeyalias"]) == ("jane doe", "provisioner-dev")


def test_an_inventory_by_winrm() -> None:
    text = ansible_inventory(access(lookup="provisioner secret dev jane"))
    variables = read_yaml(text)["all"]["hosts"]["dev"]
    assert variables["ansible_port"] == 20002
    assert variables["ansible_winrm_scheme"] == "https"
    assert (
        "lookup('ansible.builtin.pipe', 'provisioner secret dev jane')"
        in (variables["ansible_password"])
    )


def test_an_inventory_by_ssh_with_its_password() -> None:
    services = {"ssh": ("10.0.0.5", 22)}
    text = ansible_inventory(access(services=services, shell="cmd", password="a{{ \"b'#"))
    variables = read_yaml(text)["all"]["hosts"]["dev"]
    assert (variables["ansible_connection"], variables["ansible_shell_type"]) == ("ssh", "cmd")
    assert variables["ansible_password"] == ("unsafe", "a{{ \"b'#")
    assert "a{{" not in repr(access(password="a{{"))


# The command.


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    remember(made)
    return made


def remember(desk: Desk, *, forwards: tuple[Forward, ...] = (RDP, WINRM, SSH), **on: Any) -> None:
    desk.remember(forwards=forwards)
    state = desk.store.load()
    assert state is not None
    from dataclasses import replace

    intent = {
        "windows.remote.rdp": str(on.get("rdp", True)),
        "windows.remote.winrm": on.get("winrm", "https"),
        **({"windows.remote.ssh.shell": "cmd"} if on.get("ssh", True) else {}),
    }
    desk.store.save(replace(state, current=replace(state.current, intent=intent)))


def keep_password(desk: Desk) -> str:
    store = FileSecretStore(
        desk.store.secrets_file, environment={}, home=desk.folder, folder=desk.folder
    )
    return store.resolve("users.jane", Generated(generate=20)).reveal()


def test_printed(desk: Desk) -> None:
    desk.run("--as", "ssh")
    assert desk.out.getvalue().startswith("Host dev\n  HostName 127.0.0.1\n  Port 20003\n")


def test_json(desk: Desk) -> None:
    keep_password(desk)
    desk.run("--as", "json")
    members = json.loads(desk.out.getvalue())
    assert members == {
        "name": "dev",
        "users": ["jane"],
        "services": {name: {"host": host, "port": port} for name, (host, port) in HERE.items()},
    }


def test_a_password_only_where_it_is_asked_for(desk: Desk) -> None:
    password = keep_password(desk)
    for form in ("rdp", "ssh", "ansible", "json"):
        desk.run("--as", form)
    assert password not in desk.out.getvalue() + desk.err.getvalue()
    assert "provisioner secret dev jane" in desk.out.getvalue()
    desk.run("--as", "ansible", "--with-password")
    assert password in desk.out.getvalue()


def test_a_file_of_ones_own(desk: Desk) -> None:
    desk.run("--as", "rdp", "-o", "dev.rdp")
    path = desk.folder / "dev.rdp"
    assert path.read_bytes().startswith(b"full address:s:127.0.0.1:20001\r\n")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(RefusedError, match="exists"):
        desk.run("--as", "rdp", "-o", "dev.rdp")


@pytest.mark.parametrize(
    ("argv", "on", "error", "says"),
    [
        (("--as", "rdp"), {"rdp": False}, FailedError, "turns on none of windows.remote.rdp"),
        (("--as", "ansible"), {"winrm": "default", "ssh": False}, FailedError, "winrm or"),
        (("--as", "ssh", "--with-password"), {}, UsageError, "no password goes into"),
        (("--as", "json", "--with-password"), {}, FailedError, "is not kept here"),
        (("-o", "x"), {}, UsageError, "belong to --as"),
    ],
)
def test_refused(
    argv: tuple[str, ...], on: dict[str, Any], error: type[ProvisionerError], says: str, desk: Desk
) -> None:
    remember(desk, **on)
    with pytest.raises(error, match=says):
        desk.run(*argv)


def test_no_address_is_known(desk: Desk) -> None:
    remember(desk, forwards=())
    with pytest.raises(FailedError, match="no address of dev is known"):
        desk.run("--as", "rdp")
    desk.hypervisor.guest("dev").addresses = ("192.168.122.9",)
    desk.run("--as", "ansible")
    assert '"192.168.122.9"' in desk.out.getvalue()
