"""Ways into a machine as texts to paste or to write into files. Pure; no password unless given.

.rdp: Microsoft, "Supported RDP properties". SSH: ssh_config(5). Ansible: "Windows Remote
Management" and "Using Ansible and Windows" of its documentation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, Literal

from provisioner.frozen import frozen

Form = Literal["rdp", "ssh", "ansible", "json"]
FORMS: tuple[Form, ...] = ("rdp", "ssh", "ansible", "json")
PORTS: Mapping[str, int] = MappingProxyType({"rdp": 3389, "winrm": 5986, "ssh": 22})


@frozen
class Access:
    """Where a machine's services are reached, and by whom.

    `services` maps each that the profile turned on to host and port. `password` is set only where
    somebody asked for it; `lookup` is the command that prints it, where it is a generated one.
    """

    name: str
    services: Mapping[str, tuple[str, int]]
    users: tuple[str, ...]
    shell: Literal["cmd", "powershell"] = "powershell"
    lookup: str | None = None
    password: str | None = field(default=None, repr=False)


def rdp_file(access: Access) -> str:
    """An .rdp file, for Windows' own client, FreeRDP, Remmina and others. It asks for the
    password."""
    host, port = access.services["rdp"]
    lines = [
        f"full address:s:{_bracketed(host)}:{port}",
        *([f"username:s:{access.users[0]}"] if access.users else []),
        "prompt for credentials:i:1",
        # 2: warn about the certificate, which the machine signed itself.
        "authentication level:i:2",
        "enablecredsspsupport:i:1",
        "redirectclipboard:i:1",
    ]
    return "".join(line + "\r\n" for line in lines)


def ssh_entry(access: Access) -> str:
    """A block for ~/.ssh/config. The alias keeps apart machines that had the same port in turn."""
    host, port = access.services["ssh"]
    lines = [
        f"Host {access.name}",
        f"  HostName {host}",
        f"  Port {port}",
        *([f"  User {_ssh_word(access.users[0])}"] if access.users else []),
        f"  HostKeyAlias provisioner-{access.name}",
    ]
    return "\n".join(lines) + "\n"


def ansible_inventory(access: Access) -> str:
    """An inventory in YAML with this one host: by WinRM where it is on, otherwise by SSH."""
    service = "winrm" if "winrm" in access.services else "ssh"
    host, port = access.services[service]
    variables: dict[str, Any] = {"ansible_host": host, "ansible_port": port}
    if access.users:
        variables["ansible_user"] = access.users[0]
    if service == "winrm":
        variables |= {
            "ansible_connection": "winrm",
            "ansible_winrm_scheme": "https",
            "ansible_winrm_transport": "ntlm",
            "ansible_winrm_server_cert_validation": "ignore",
        }
    else:
        variables |= {"ansible_connection": "ssh", "ansible_shell_type": access.shell}
    if access.password is not None:
        # `!unsafe` keeps Jinja from reading a password.
        secret = f"!unsafe {_yaml(access.password)}"
    elif access.lookup is not None:
        secret = _yaml("{{ lookup('ansible.builtin.pipe', '" + access.lookup + "') }}")
    else:
        secret = None
    lines = [f"      {key}: {_yaml(value)}" for key, value in variables.items()]
    if secret is not None:
        lines.append(f"      ansible_password: {secret}")
    return "\n".join(["all:", "  hosts:", f"    {_yaml(access.name)}:", *lines]) + "\n"


def as_members(access: Access) -> dict[str, Any]:
    """The same for programs."""
    members: dict[str, Any] = {
        "name": access.name,
        "users": list(access.users),
        "services": {
            service: {"host": host, "port": port}
            for service, (host, port) in access.services.items()
        },
    }
    if access.password is not None:
        members["password"] = access.password
    return members


def needs(form: Form) -> tuple[str, ...]:
    """Services of which one has to be there for this form."""
    return {"rdp": ("rdp",), "ssh": ("ssh",), "ansible": ("winrm", "ssh"), "json": ()}[form]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _ssh_word(text: str) -> str:
    return f'"{text}"' if any(character.isspace() for character in text) else text


def _yaml(value: object) -> str:
    """JSON's strings and numbers are YAML's."""
    return json.dumps(value, ensure_ascii=True)
