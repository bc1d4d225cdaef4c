"""What every `Handshakes` does: the fake, and the one on a real network."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from provisioner.errors import GuestError
from provisioner.host.handshake import NetworkHandshakes
from provisioner.ports import Handshakes
from tests.fakes.handshakes import FakeHandshakes
from tests.standin.setup.offers import OFFERS

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Place:
    """An implementation, and where its services are: `rdp`, `ssh`, and a port without any."""

    handshakes: Handshakes
    ports: dict[str, int]


@contextlib.contextmanager
def on_the_network() -> Iterator[Place]:
    listeners = {name: socket.create_server((HOST, 0)) for name in OFFERS}
    ports = {name: listener.getsockname()[1] for name, listener in listeners.items()}

    def serve(name: str, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError, ValueError):
                    connection.settimeout(5)
                    OFFERS[name][1](connection)

    threads = [threading.Thread(target=serve, args=pair) for pair in listeners.items()]
    for thread in threads:
        thread.start()
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        yield Place(NetworkHandshakes(), {**ports, "nobody": unused.getsockname()[1]})
    for listener in listeners.values():
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join(10)


@pytest.fixture(params=["fake", "network"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "fake":
        answers = {(HOST, 3389): "rdp", (HOST, 22): "ssh"}
        yield Place(FakeHandshakes(dict(answers)), {"rdp": 3389, "ssh": 22, "nobody": 1})
    else:
        with on_the_network() as place:
            yield place


@pytest.mark.parametrize("service", ["rdp", "ssh"])
def test_the_service_answers(place: Place, service: str) -> None:
    for _ in range(2):
        place.handshakes.shake(service, HOST, place.ports[service], timeout=5)


@pytest.mark.parametrize(
    ("service", "there", "words"),
    [
        ("rdp", "ssh", "this is not RDP"),
        ("rdp", "nobody", "nobody listens"),
        ("winrm", "nobody", "nobody listens"),
        ("ssh", "nobody", "nobody listens"),
    ],
)
def test_something_else_or_nobody(place: Place, service: str, there: str, words: str) -> None:
    port = place.ports[there]
    with pytest.raises(GuestError) as caught:
        place.handshakes.shake(service, HOST, port, timeout=5)
    assert caught.value.message == f"{service} at {HOST}:{port}: {words}"
