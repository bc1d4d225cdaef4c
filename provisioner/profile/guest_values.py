"""Small types for what is set inside Windows: registry keys, paths of the guest, public keys.

Built from the text a person wrote, like those of `units`; BadValue, with a hint, for other text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from provisioner.profile.values import BadValue, TextValue

_ROOTS: Mapping[str, str] = MappingProxyType(
    {
        "HKLM": "HKLM",
        "HKEY_LOCAL_MACHINE": "HKLM",
        "HKCU": "HKCU",
        "HKEY_CURRENT_USER": "HKCU",
        "HKU\\DEFAULT": "HKU\\Default",
        "HKEY_USERS\\DEFAULT": "HKU\\Default",
    }
)


def _any_case(text: str) -> str:
    """As a pattern for editors, whose expressions know no flags within."""
    return "".join(
        f"[{letter.upper()}{letter.lower()}]" if letter.isalpha() else re.escape(letter)
        for letter in text
    )


LONGEST_KEY_NAME = 255
"""Characters of one key's name (Microsoft, "Registry element size limits")."""


class RegistryPath(TextValue):
    """A registry key: `HKLM\\...`, `HKCU\\...` (who logs on first) or `HKU\\Default\\...`.

    `HKU\\Default` is the profile from which every new account gets its own.
    """

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": f"^({'|'.join(map(_any_case, _ROOTS))})" + r"\\[^\x00-\x1f\x7f]+$",
        "examples": ["HKLM\\SOFTWARE\\Example", "HKU\\Default\\Software\\Example"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        rule = "windows.registry-key"
        root, rest = _split(text)
        if root is None:
            raise BadValue(
                f"'{text[:80]}' begins with no registry root of ours",
                rule=rule,
                hint="HKLM\\..., HKCU\\... (who logs on first) or HKU\\Default\\... (every account "
                "that is made later)",
            )
        names = rest.split("\\")
        if any(not name for name in names) or re.search(r"[\x00-\x1f\x7f]", text):
            raise BadValue(
                f"'{text[:80]}' is no key",
                rule=rule,
                hint="names between single backslashes, none at the end, no control characters",
            )
        if any(len(name) > LONGEST_KEY_NAME for name in names):
            raise BadValue(f"a key's name has at most {LONGEST_KEY_NAME} characters", rule=rule)
        return f"{root}\\{rest}"

    @property
    def root(self) -> str:
        """`HKLM`, `HKCU` or `HKU\\Default`."""
        return _split(self)[0] or ""

    @property
    def path(self) -> str:
        """What stands behind the root."""
        return _split(self)[1]


def _split(text: str) -> tuple[str | None, str]:
    for spelling, root in _ROOTS.items():
        if text.upper().startswith(spelling + "\\"):
            return root, text[len(spelling) + 1 :]
    return None, ""


class WindowsPath(TextValue):
    """An absolute path inside Windows: `C:\\Tools` or `%ProgramData%\\Tools`."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r"^([A-Za-z]:|%[A-Za-z()0-9_]+%)[\\/][^\x00-\x1f\x7f<>:\"|?*]+$",
        "examples": ["C:\\Tools", "%ProgramData%\\Tools\\settings.json"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        rule = "windows.path"
        path = text.replace("/", "\\").rstrip("\\")
        found = re.fullmatch(r"([A-Za-z]:|%[A-Za-z()0-9_]+%)((?:\\[^\\]+)+)", path)
        if found is None:
            raise BadValue(
                f"'{text[:80]}' is no absolute path of Windows",
                rule=rule,
                hint="begin with a drive or a variable: C:\\Tools, %ProgramData%\\Tools",
            )
        if bad := sorted(set(re.findall(r'[\x00-\x1f\x7f<>:"|?*%]', found[2]))):
            shown = " ".join(character if character.isprintable() else "?" for character in bad)
            raise BadValue(f"'{text[:80]}' holds what no file name may: {shown}", rule=rule)
        for name in found[2].split("\\"):
            if name in (".", "..") or name.endswith((" ", ".")):
                raise BadValue(
                    f"'{text[:80]}': Windows changes the name '{name}'",
                    rule=rule,
                    hint="no name is . or .., or ends in a space or a full stop",
                )
        return path


class FeatureName(TextValue):
    """Name of an optional feature, a server role or a capability, as DISM lists it."""

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$",
        "examples": ["NetFx3", "Web-Server", "OpenSSH.Client~~~~0.0.1.0"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}", text):
            raise BadValue(
                f"'{text[:80]}' cannot be a feature",
                rule="windows.feature-name",
                hint="the name that `dism /online /get-features` or Get-WindowsFeature shows",
            )
        return text


class PublicKey(TextValue):
    """One line of an OpenSSH public key file. The text is never quoted: it might be a private one.

    Types: OpenSSH, sshd(8), AUTHORIZED_KEYS FILE FORMAT.
    """

    __slots__ = ()
    json_schema: ClassVar = {
        "pattern": r"^(ssh-|ecdsa-sha2-|sk-)[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}( [ -~]*)?$",
        "examples": ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI... jane@desk"],
    }

    @classmethod
    def checked(cls, text: str) -> str:
        line = text.strip()
        if not re.fullmatch(
            r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)"
            r"|sk-ssh-ed25519@openssh\.com|sk-ecdsa-sha2-nistp256@openssh\.com)"
            r" [A-Za-z0-9+/]{20,}={0,3}(?: [ -~]*)?",
            line,
        ):
            raise BadValue(
                "this is not an OpenSSH public key",
                rule="windows.public-key",
                hint="one line of a file such as ~/.ssh/id_ed25519.pub, in ASCII",
            )
        return line
