"""A plan: immutable, printable, with a digest, and without a secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from provisioner.errors import Problem
from provisioner.frozen import frozen
from provisioner.plan.steps import Step
from provisioner.secret import SecretRef


@frozen
class ForwardedPort:
    """A port of the guest that a loopback port leads to; `host_port` 0 means not chosen yet."""

    service: str
    guest_port: int
    host_port: int = 0


@frozen
class MachinePlan:
    """Everything `up` will do.

    `headline` and `facts` are the summary shown before the steps; `intent` is what the digest is
    taken over, flattened to `dotted.path -> text`, so that two plans can be compared in words.
    """

    name: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    secrets: Mapping[str, SecretRef]
    """References by slot name, each once."""
    intent: Mapping[str, str]
    problems: tuple[Problem, ...]
    """Warnings and notes; errors never become a plan."""
    files: tuple[str, ...]
    """Names of the files the plan makes in the machine's storage."""
    answer_drive: str
    answer_file: str
    forwards: tuple[ForwardedPort, ...]
    users: tuple[str, ...]
    """Accounts a person can log on with."""
    not_started: str = ""
    """Why `up` refuses to carry it out, though it can be looked at; usually empty."""

    @property
    def digest(self) -> str:
        """SHA-256 of `intent`, hexadecimal: same wish, same media, same templates, same digest."""
        return digest(self.intent)


def digest(intent: Mapping[str, str]) -> str:
    """SHA-256 of a flattened intent, hexadecimal."""
    text = json.dumps(dict(intent), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    """What differs between two intents, one line each, in path order.

    Differing files and domain XML are only named where no key of the profile explains them: then
    the templates or this version of provisioner have changed.
    """
    lines, consequences = [], []
    for path in sorted(old.keys() | new.keys()):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        if path.startswith("file."):
            consequences.append(f"answer disc: {path.removeprefix('file.')} differs")
        elif path == "domain":
            consequences.append("the domain XML differs")
        elif path.startswith("secret."):
            lines.append(f"{path.removeprefix('secret.')}: another value")
        elif path.endswith(".fingerprint"):
            lines.append(f"{path.removesuffix('.fingerprint')}: another disc")
        elif before is None:
            lines.append(f"{path}: {after} (was not there)")
        elif after is None:
            lines.append(f"{path}: removed (was {before})")
        else:
            lines.append(f"{path}: {after} (was {before})")
    return tuple(lines or consequences)
