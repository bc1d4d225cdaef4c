"""Real handshakes with the ways in, from the host: an open port alone proves nothing."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Mapping

from acceptance.trials import Verdict

PATIENCE = 20.0
RDP_REQUEST = bytes.fromhex("030000130ee000000000000100080003000000")
"""TPKT, X.224 Connection Request, RDP Negotiation Request for TLS and CredSSP ([MS-RDPBCGR]
2.2.1.1)."""
WSMAN_REQUEST = (
    "POST /wsman HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/soap+xml;charset=UTF-8\r\n"
    "Content-Length: 0\r\nConnection: close\r\n\r\n"
)


def rdp(host: str, port: int) -> str:
    """What the server chose; OSError where it does not speak RDP."""
    with socket.create_connection((host, port), timeout=PATIENCE) as stream:
        stream.sendall(RDP_REQUEST)
        answer = stream.recv(64)
    # TPKT version 3, and an X.224 Connection Confirm in its sixth byte.
    if len(answer) < 7 or answer[0] != 3 or answer[5] & 0xF0 != 0xD0:
        raise OSError(f"no X.224 Connection Confirm: {answer[:20].hex()}")
    return "X.224 Connection Confirm"


def winrm(host: str, port: int) -> str:
    """The status line of /wsman over TLS; 401 is what a listener says to nobody in particular."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the machine signed it itself
    with (
        socket.create_connection((host, port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname=None) as stream,
    ):
        stream.sendall(WSMAN_REQUEST.format(host=host).encode("ascii"))
        line = stream.recv(256).split(b"\r\n", 1)[0].decode("ascii", "replace")
    if " 401" not in line and " 200" not in line:
        raise OSError(f"not WinRM: {line!r}")
    return line


WAYS: Mapping[str, tuple[str, Callable[[str, int], str]]] = {
    "L8": ("winrm", winrm),
    "L9": ("rdp", rdp),
}
"""Claims that a handshake settles, the service and how it is asked."""


def verdicts(services: Mapping[str, Mapping[str, object]]) -> Mapping[str, Verdict]:
    """`services` as `connect --as json` tells them."""
    found = {}
    for claim, (service, ask) in WAYS.items():
        place = services.get(service)
        if place is None:
            continue
        try:
            told = ask(str(place["host"]), int(str(place["port"])))
            found[claim] = Verdict(holds=True, evidence=told)
        except OSError as err:  # ssl.SSLError is one
            found[claim] = Verdict(holds=False, evidence=f"{service}: {err}")
    return found
