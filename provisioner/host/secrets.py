"""Resolves references to secrets; keeps generated ones and the machine's HMAC key in one file.

No value ever goes into a message. `secrets.json` (0600) is the only file that may hold one.
"""

from __future__ import annotations

import fcntl
import hmac
import importlib
import importlib.util
import json
import os
import secrets
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from provisioner.errors import FailedError, HostError, ProvisionerError
from provisioner.frozen import frozen
from provisioner.host.files import os_error, private_folder, write_file
from provisioner.secret import (
    FromCommand,
    FromEnvironment,
    FromFile,
    FromKeyring,
    Generated,
    Plain,
    Secret,
    SecretRef,
)

UPPER = "ABCDEFGHJKLMNPQRSTUVWXYZ"
LOWER = "abcdefghijkmnopqrstuvwxyz"
DIGITS = "23456789"
SYMBOLS = "-_.+="
"""Nothing that XML, cmd or PowerShell reads as syntax, nothing that people mistake (0 O 1 l I).
Windows counts all of these symbols ("Password must meet complexity requirements",
https://learn.microsoft.com/previous-versions/windows/it-pro/windows-10/security/threat-protection/
security-policy-settings/password-must-meet-complexity-requirements)."""

SHORTEST = 8
LONGEST_VALUE = 64 * 1024


class FileSecretStore:
    """Implements `ports.SecretStore`.

    `path` is the machine's `secrets.json`, made when first needed. `environment`, `home` and
    `folder` (what relative paths are relative to) are given, never looked up.
    """

    def __init__(
        self,
        path: Path,
        *,
        environment: Mapping[str, str],
        home: Path,
        folder: Path,
        timeout: float = 60,
    ) -> None:
        self._path = path
        self._environment = environment
        self._home = home
        self._folder = folder
        self._timeout = timeout

    def resolve(self, name: str, reference: SecretRef) -> Secret:
        value = self._value(name, reference)
        if not value and not isinstance(reference, Plain):
            raise HostError(f"the secret {name} is empty")
        return Secret(_checked(name, value))

    def obstacle(self, name: str, reference: SecretRef) -> HostError | None:
        """Why a secret cannot be resolved here, as far as a look tells.

        No program is run, no keyring is asked, nothing is made, and nothing but a file on disk is
        read: a pipe gives its secret only once.
        """
        try:
            match reference:
                case FromFile(file=file) if not self._special(file):
                    self.resolve(name, reference)
                case FromEnvironment():
                    self.resolve(name, reference)
                case FromCommand(command=argv):
                    self._program(name, argv[0])
                case FromKeyring() if importlib.util.find_spec("keyring") is None:
                    self._program(name, "secret-tool")
        except HostError as err:
            return err
        return None

    def _special(self, file: str) -> bool:
        path = self._folder / self._expanded(file)
        return path.exists() and not path.is_file()

    def _program(self, name: str, program: str) -> None:
        """As `host/process` finds it."""
        if shutil.which(program, path=self._environment.get("PATH")) is None:
            raise HostError(
                f"the secret {name}: the program {program} is not installed",
                hint="install it, or correct its name",
            )

    def fingerprint(self, secret: Secret) -> str:
        with self._kept() as kept:
            key = bytes.fromhex(kept["key"])
        return hmac.new(key, secret.reveal().encode(), "sha256").hexdigest()

    def begin_rotation(self, name: str, *, generation: int, length: int) -> Secret:
        with self._kept() as kept:
            mine = kept.setdefault("rotated", {}).setdefault(str(generation), {})
            entry = mine.setdefault(name, {"value": make_password(max(length, SHORTEST))})
            value = str(entry["value"])
        return Secret(value)  # only now: the file is on the disk

    def end_rotation(self, name: str, *, generation: int) -> None:
        with self._kept() as kept:
            kept["rotated"][str(generation)][name]["set"] = True

    def _value(self, name: str, reference: SecretRef) -> str:
        match reference:
            case FromEnvironment(env=variable):
                return self._from_environment(name, variable)
            case FromFile(file=file):
                return self._from_file(name, file)
            case FromCommand(command=argv):
                return self._from_command(name, argv)
            case FromKeyring(keyring=entry):
                return self._from_keyring(name, entry)
            case Generated(generate=length):
                return self._generated(name, length)
            case Plain(plain=value):
                return value

    def _from_environment(self, name: str, variable: str) -> str:
        try:
            return self._environment[variable]
        except KeyError:
            raise HostError(
                f"the secret {name} is to come from the environment variable {variable},"
                " which is not set",
                hint=f"set it for this one command: read -rs {variable}; export {variable}",
            ) from None

    def _from_file(self, name: str, file: str) -> str:
        path = self._folder / self._expanded(file)
        try:
            with path.open("rb") as source:
                data = source.read(LONGEST_VALUE + 1)
        except OSError as err:
            raise HostError(
                f"the secret {name} is to come from {path}: {err.strerror}",
                hint="relative paths start at the profile's folder",
            ) from err
        return _text(name, data, str(path))

    def _output(self, argv: tuple[str, ...]) -> bytes:
        from provisioner.host.process import run

        return run(argv, timeout=self._timeout, environment=self._environment)

    def _from_command(self, name: str, argv: tuple[str, ...]) -> str:
        try:
            data = self._output(argv)
        except ProvisionerError as err:
            raise HostError(f"the secret {name}: {err.message}", hint=err.hint) from err
        return _text(name, data, argv[0])

    def _from_keyring(self, name: str, entry: str) -> str:
        service, _, user = entry.rpartition("/")
        if not service or not user:
            raise HostError(f"the secret {name}: a keyring entry is written service/user")
        if importlib.util.find_spec("keyring") is not None:
            return self._from_python_keyring(name, service, user)
        # The attributes under which python-keyring's SecretService backend files its entries.
        argv = ("secret-tool", "lookup", "service", service, "username", user)
        try:
            data = self._output(argv)
        except ProvisionerError as err:
            raise HostError(
                f"the secret {name}: the keyring has no entry {entry}, or cannot be asked",
                hint="needs secret-tool (Debian: libsecret-tools, Fedora and Arch: libsecret) and"
                " an unlocked keyring; store it with: secret-tool store --label"
                f" {service!r} service {service!r} username {user!r}",
            ) from err
        return _text(name, data, "the keyring")

    def _from_python_keyring(self, name: str, service: str, user: str) -> str:
        keyring: Any = importlib.import_module("keyring")
        try:
            value = keyring.get_password(service, user)
        except Exception as err:  # backends raise what they like; the door translates all of it
            raise HostError(
                f"the secret {name}: the keyring cannot be asked ({type(err).__name__})",
                hint="unlock the keyring of your desktop session",
            ) from err
        if value is None:
            raise HostError(
                f"the secret {name}: the keyring has no entry {service}/{user}",
                hint=f"store it with: keyring set {service} {user}",
            )
        return str(value)

    def _generated(self, name: str, length: int) -> str:
        if length < SHORTEST:
            raise HostError(
                f"the secret {name}: {length} characters are too few",
                hint=f"generate: {SHORTEST} or more",
            )
        with self._kept() as kept:
            # The length is part of the name: a profile that asks for a longer password must not
            # overwrite the one that the machine in use has.
            key = f"{name}/{length}"
            if key not in kept["generated"]:
                kept["generated"][key] = make_password(length)
            return str(kept["generated"][key])

    @contextmanager
    def _kept(self) -> Iterator[dict[str, Any]]:
        """The content of `secrets.json`, written back when it changed; one process at a time."""
        private_folder(self._path.parent)
        try:
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as err:
            raise os_error(err, f"open {self._path.parent}") from err
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            before = self._read()
            kept = json.loads(before) if before else {"version": 1, "generated": {}}
            kept.setdefault("key", secrets.token_hex(32))
            yield kept
            after = json.dumps(kept, indent=2).encode() + b"\n"
            if after != before:
                write_file(self._path, after)
        except (ValueError, KeyError, TypeError, AttributeError) as err:
            raise _damaged(self._path) from err
        finally:
            os.close(folder)

    def _read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as err:
            raise os_error(err, f"read {self._path}") from err

    def _expanded(self, file: str) -> Path:
        return self._home / file[2:] if file.startswith("~/") else Path(file)


@frozen
class KeptSecret:
    """A generated password as a person may need it.

    `previous` is what opened the account before it was rotated; `pending` says that the change was
    begun and nobody saw its end, so that either may be right.
    """

    value: Secret
    previous: Secret | None = None
    pending: bool = False


def kept_secret(
    path: Path, name: str, *, length: int | None = None, generation: int = 0
) -> KeptSecret | None:
    """A generated password that a machine's `secrets.json` keeps, None where there is none.

    Of several lengths, made when the profile changed, the last made unless `length` says which.
    What was rotated in this `generation` of the machine goes before.
    """
    try:
        kept = json.loads(path.read_bytes())
        generated = kept["generated"]
        rotated = kept.get("rotated", {}).get(str(generation), {}).get(name)
        found = [
            Secret(str(value))
            for key, value in generated.items()
            if key == f"{name}/{length}" or (length is None and key.rpartition("/")[0] == name)
        ]
        first = found[-1] if found else None
        if rotated is not None:
            value = Secret(str(rotated["value"]))
            return KeptSecret(value=value, previous=first, pending=not rotated.get("set"))
    except FileNotFoundError:
        return None
    except OSError as err:
        raise os_error(err, f"read {path}") from err
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise _damaged(path) from err
    return KeptSecret(value=first) if first is not None else None


def secret_slot(user: str) -> str:
    """The name under which a user's generated password is kept."""
    return "administrator" if user.casefold() == "administrator" else f"users.{user}"


def make_password(length: int, *, choose: Callable[[str], str] = secrets.choice) -> str:
    """Begins with a letter and holds all four classes that Windows counts."""
    while True:
        characters = [choose(UPPER + LOWER)]
        characters += [choose(UPPER + LOWER + DIGITS + SYMBOLS) for _ in range(length - 1)]
        if all(any(c in group for c in characters) for group in (UPPER, LOWER, DIGITS, SYMBOLS)):
            return "".join(characters)


def _damaged(path: Path) -> FailedError:
    return FailedError(
        f"{path} is damaged",
        hint="restore it from a backup; without it the generated passwords are lost",
    )


def _text(name: str, data: bytes, origin: str) -> str:
    if len(data) > LONGEST_VALUE:
        raise HostError(f"the secret {name}: {origin} gives more than {LONGEST_VALUE} bytes")
    try:
        text: str | None = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None  # raised below, outside: the exception holds the bytes and would be its context
    if text is None:
        raise HostError(f"the secret {name}: {origin} does not give UTF-8 text")
    return text.removesuffix("\n").removesuffix("\r")


def _checked(name: str, value: str) -> str:
    for position, character in enumerate(value, start=1):
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise HostError(
                f"the secret {name} has a control character (U+{ord(character):04X}) at position"
                f" {position}, which nobody could type at a logon screen",
                hint="a file may end in one line break; more than that is part of the secret",
            )
    return value
