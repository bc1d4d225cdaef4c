"""Services the guest offers to the network: just enough of RDP and SSH for a handshake.

RDP: X.224 Connection Confirm with the negotiation response ([MS-RDPBCGR] 2.2.1.2). SSH: the
identification string (RFC 4253 §4.2). Written from these documents; nobody can log on.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Sequence

NEGOTIATE, RESPONSE, NEGOTIATION_FAILURE = 1, 2, 3
TLS, CREDSSP = 1, 2
NEEDS_CREDSSP = 5
"""HYBRID_REQUIRED_BY_SERVER: Network Level Authentication is asked for."""


def start(names: Sequence[str]) -> None:
    """Starts each in a thread that lives as long as the guest."""
    for name in names:
        if name:
            port, talk = OFFERS[name]
            listener = socket.create_server(("", port))
            threading.Thread(target=_serve, args=(listener, talk), daemon=True).start()


def rdp(connection: socket.socket) -> None:
    """Answers a connection request as a server that insists on Network Level Authentication."""
    head = _exactly(connection, 4)
    version, _, length = struct.unpack(">BBH", head)
    body = _exactly(connection, length - 4)
    if version != 3 or body[1] & 0xF0 != 0xE0:
        return
    wanted = 0
    if len(body) >= 15 and body[-8] == NEGOTIATE:
        (wanted,) = struct.unpack("<I", body[-4:])
    if wanted & CREDSSP:
        negotiation = struct.pack("<BBHI", RESPONSE, 0, 8, CREDSSP)
    else:
        negotiation = struct.pack("<BBHI", NEGOTIATION_FAILURE, 0, 8, NEEDS_CREDSSP)
    confirm = struct.pack(">BBHHB", 6 + len(negotiation), 0xD0, 0, 0x1234, 0) + negotiation
    connection.sendall(struct.pack(">BBH", 3, 0, 4 + len(confirm)) + confirm)


def ssh(connection: socket.socket) -> None:
    """Says who it is, and listens to who is there."""
    connection.sendall(b"SSH-2.0-StandIn_1\r\n")
    connection.recv(255)


OFFERS: dict[str, tuple[int, Callable[[socket.socket], None]]] = {
    "rdp": (3389, rdp),
    "ssh": (22, ssh),
}


def _serve(listener: socket.socket, talk: Callable[[socket.socket], None]) -> None:
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            try:
                talk(connection)
            except (OSError, ValueError, IndexError, struct.error):
                continue


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ValueError("the connection ended")
        data += piece
    return data
