"""A secret store without files: the same reference gives the same value, every time."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

from provisioner.errors import HostError
from provisioner.secret import Generated, Plain, Secret, SecretRef, describe


class FakeSecretStore:
    """`values` come first, then literals and made-up passwords; anything else is missing."""

    def __init__(self, values: Mapping[str, str] | None = None, *, key: bytes = b"key") -> None:
        self.values = dict(values or {})
        self.resolved: list[str] = []
        self._key = key
        self.rotated: dict[tuple[str, int], str] = {}
        self.ended: set[tuple[str, int]] = set()

    def resolve(self, name: str, reference: SecretRef) -> Secret:
        self.resolved.append(name)
        if name in self.values:
            return Secret(self.values[name])
        match reference:
            case Plain(plain=value):
                return Secret(value)
            case Generated(generate=length):
                digest = hashlib.sha256(name.encode()).hexdigest()
                return Secret(("Aa1-" + digest * 4)[:length])
            case _:
                raise HostError(
                    f"the secret {name} has no value: {describe(reference)}",
                    hint="give the fake a value under that name",
                )

    def begin_rotation(self, name: str, *, generation: int, length: int) -> Secret:
        value = self.rotated.setdefault((name, generation), f"{generation}-rotated-{name}"[:length])
        return Secret(value)

    def end_rotation(self, name: str, *, generation: int) -> None:
        self.ended.add((name, generation))

    def fingerprint(self, secret: Secret) -> str:
        return hmac.new(self._key, secret.reveal().encode(), hashlib.sha256).hexdigest()
