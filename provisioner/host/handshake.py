"""Speaks the beginning of RDP, WinRM and SSH: an open port proves nothing, a right answer does.

What answers may be anything, also an enemy: it is given a time limit, and little of it is read.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Callable, Mapping

from provisioner.errors import GuestError

LONGEST = 65536
"""Bytes of an answer that are looked at."""

IDENTIFY = b"""<?xml version="1.0" encoding="utf-8"?>
<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" \
xmlns:i="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">\
<s:Header/><s:Body><i:Identify/></s:Body></s:Envelope>"""
"""DSP0226, "WS-Management", clause 11: asks what this is, without logging on."""

_RDP_FAILURES: Mapping[int, str] = {
    1: "it insists on TLS",
    2: "it refuses TLS",
    3: "it has no certificate yet",
    4: "it finds our request inconsistent",
    5: "it insists on Network Level Authentication",
    6: "it insists on TLS with a client certificate",
}
"""RDP_NEG_FAILURE, [MS-RDPBCGR] 2.2.1.2.2."""


class _Line:
    """A TCP connection with one time limit for everything that is said on it."""

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self.socket: socket.socket = socket.create_connection((host, port), timeout=timeout)

    def send(self, data: bytes) -> None:
        self._hurry()
        self.socket.sendall(data)

    def some(self) -> bytes:
        """What comes next; empty at its end."""
        self._hurry()
        return self.socket.recv(4096)

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            self._hurry()
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise _Wrong("it closed the connection")
            data += piece
        return data

    def encrypt(self) -> None:
        """TLS with whatever certificate there is: a new machine signs its own."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._hurry()
        self.socket = context.wrap_socket(self.socket)

    def _hurry(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.socket.settimeout(left)


class _Wrong(Exception):
    """The answer is not that of the service; the message says what it was."""


class NetworkHandshakes:
    """The port `Handshakes` on a real network."""

    def shake(self, service: str, host: str, port: int, *, timeout: float) -> None:
        """GuestError with the reason where the service does not answer as it should."""
        line: _Line | None = None
        try:
            line = _Line(host, port, timeout)
            SPEAKERS[service](line)
        except _Wrong as wrong:
            raise GuestError(f"{service} at {host}:{port}: {wrong}") from wrong
        except TimeoutError as err:
            raise GuestError(f"{service} at {host}:{port} does not answer") from err
        except ssl.SSLError as err:
            raise GuestError(f"{service} at {host}:{port} speaks no TLS") from err
        except OSError as err:
            why = "nobody listens" if isinstance(err, ConnectionRefusedError) else err.strerror
            raise GuestError(f"{service} at {host}:{port}: {why or 'no connection'}") from err
        finally:
            if line is not None:
                line.socket.close()


def _rdp(line: _Line) -> None:
    """X.224 Connection Request and Confirm with security negotiation: TLS or CredSSP
    ([MS-RDPBCGR] 2.2.1.1, 2.2.1.2)."""
    negotiation = struct.pack("<BBHI", 1, 0, 8, 3)
    request = struct.pack(">BBHHB", 6 + len(negotiation), 0xE0, 0, 0, 0) + negotiation
    line.send(struct.pack(">BBH", 3, 0, 4 + len(request)) + request)
    version, _, length = struct.unpack(">BBH", line.exactly(4))
    if version != 3 or not 11 <= length <= 512:
        raise _Wrong("this is not RDP")
    confirm = line.exactly(length - 4)
    if confirm[1] & 0xF0 != 0xD0:
        raise _Wrong("this is not RDP")
    if length < 19:
        return  # a server without negotiation: RDP's own security
    kind, _, _, value = struct.unpack_from("<BBHI", confirm, 7)
    if kind == 3:
        raise _Wrong(_RDP_FAILURES.get(value, f"it refuses with code {value}"))
    if kind != 2 or value not in (0, 1, 2, 8):
        raise _Wrong("this is not RDP")


def _winrm(line: _Line) -> None:
    """WS-Management's Identify over HTTPS; 401 is an answer too where it names WSMAN's realm."""
    line.encrypt()
    head = (
        "POST /wsman HTTP/1.1",
        "Host: provisioner",
        "Content-Type: application/soap+xml;charset=UTF-8",
        "WSMANIDENTIFY: unauthenticated",
        f"Content-Length: {len(IDENTIFY)}",
        "Connection: close",
    )
    line.send("\r\n".join(head).encode("ascii") + b"\r\n\r\n" + IDENTIFY)
    answer = b""
    while len(answer) < LONGEST and b"IdentifyResponse>" not in answer:
        piece = line.some()
        if not piece:
            break
        answer += piece
    status = answer.partition(b"\r\n")[0].split(b" ")
    if len(status) < 2 or not status[0].startswith(b"HTTP/1."):
        raise _Wrong("this is not HTTPS")
    if status[1] == b"401" and b'realm="wsman"' in answer.lower():
        return
    if status[1] != b"200" or b"wsmanidentity.xsd" not in answer:
        code = status[1].decode("ascii", "replace")[:10]
        raise _Wrong(f"this is not WS-Management: HTTP status {code}")
    if b"IdentifyResponse" not in answer:
        raise _Wrong("this is not WS-Management: it does not identify itself")


def _ssh(line: _Line) -> None:
    """Identification strings are exchanged (RFC 4253 §4.2); lines may stand before the server's."""
    heard = b""
    while len(heard) < LONGEST:
        *lines, _ = heard.split(b"\n")
        for text in lines:
            if text.startswith((b"SSH-2.0-", b"SSH-1.99-")):
                line.send(b"SSH-2.0-provisioner\r\n")
                return
        piece = line.some()
        if not piece:
            break
        heard += piece
    raise _Wrong("this is not SSH")


SPEAKERS: Mapping[str, Callable[[_Line], None]] = {"rdp": _rdp, "winrm": _winrm, "ssh": _ssh}
