"""Services that shake hands as the test says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from provisioner.errors import GuestError


@dataclass
class FakeHandshakes:
    """`answers` maps (host, port) to the service there, or to a function that tells it when asked;
    nobody listens elsewhere."""

    answers: dict[tuple[str, int], str | Callable[[], str | None]] = field(default_factory=dict)
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def shake(self, service: str, host: str, port: int, *, timeout: float) -> None:
        assert timeout > 0
        self.asked.append((service, host, port))
        found = self.answers.get((host, port))
        there = found() if callable(found) else found
        if there is None:
            raise GuestError(f"{service} at {host}:{port}: nobody listens")
        if there != service:
            raise GuestError(f"{service} at {host}:{port}: this is not {service.upper()}")
