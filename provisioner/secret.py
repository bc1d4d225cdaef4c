"""References to secrets, slots for them in rendered text, and values that never print themselves.

This module never reads a secret; `host/secrets.py` does.
"""

from __future__ import annotations

from dataclasses import field
from typing import final

from provisioner.frozen import frozen


@frozen
class FromEnvironment:
    """The value of an environment variable, read when the plan is executed."""

    env: str


@frozen
class FromFile:
    """The contents of a file, without one trailing line break."""

    file: str


@frozen
class FromCommand:
    """What a command writes to standard output, without one trailing line break. No shell."""

    command: tuple[str, ...]


@frozen
class FromKeyring:
    """An entry of the desktop's keyring, as `service/user`."""

    keyring: str


@frozen
class Generated:
    """A random password of this many characters, made once per machine and kept in its state."""

    generate: int


@frozen
class Plain:
    """A literal in the profile: allowed, noted by `check`, never shown."""

    plain: str = field(repr=False)


SecretRef = FromEnvironment | FromFile | FromCommand | FromKeyring | Generated | Plain


def describe(reference: SecretRef) -> str:
    """The reference in words, for plans and digests; never the value."""
    match reference:
        case FromEnvironment(env=name):
            return f"environment variable {name}"
        case FromFile(file=path):
            return f"file {path}"
        case FromCommand(command=argv):
            return f"command {argv[0]}"
        case FromKeyring(keyring=entry):
            return f"keyring {entry}"
        case Generated(generate=length):
            return f"generated, {length} characters"
        case Plain():
            return "literal in the profile"


@frozen
class SecretSlot:
    """A hole in rendered text, filled only by a writer.

    `name` says whose secret it is (`administrator`, `users.dev`, `product-key`); it is the key
    under which the value is resolved. `encoding` names the function of `quoting.ENCODINGS` that
    turns the value into the characters of that place.
    """

    name: str
    reference: SecretRef
    encoding: str

    def masked(self) -> str:
        """What plans and redacted renderings show instead of the value; XML stays well-formed."""
        text = f"[secret {self.name}: {describe(self.reference)}]"
        return text.translate({ord(character): "_" for character in "<>&"})


@final
class Secret:
    """A resolved secret. `str`, `repr`, formatting and pickling do not show it; `reveal` does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Only writers and `provisioner secret` call this."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(********)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not serialised")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))
