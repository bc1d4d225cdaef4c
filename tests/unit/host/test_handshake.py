"""Handshakes with servers that other people wrote, with ones made from the specifications, and with
everything that is not what it should be."""

from __future__ import annotations

import asyncio
import http.server
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from provisioner.errors import GuestError
from provisioner.host.handshake import NetworkHandshakes
from tests.standin.setup import offers

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def serving(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """An asyncio server in a thread of its own; its port."""
    loop = asyncio.new_event_loop()
    started: list[asyncio.Server] = []

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def start() -> None:
        started.append(await asyncio.start_server(answered, "127.0.0.1", 0, ssl=context))

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield started[0].sockets[0].getsockname()[1]
    finally:

        async def stop() -> None:
            started[0].close()
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A certificate that signs itself, as New-SelfSignedCertificate makes one."""
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=DEV11",
         "-days", "2", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def shake(service: str, port: int, *, timeout: float = 5) -> str | None:
    """None for a handshake, otherwise why there was none."""
    try:
        NetworkHandshakes().shake(service, "127.0.0.1", port, timeout=timeout)
    except GuestError as error:
        assert f"{service} at 127.0.0.1:{port}" in error.message
        return error.message.partition(str(port))[2].lstrip(": ")
    return None


def says(data: bytes, *, listen: int = 0) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if listen:
            await reader.readexactly(listen)
        writer.write(data)

    return talk


# RDP


def negotiated(kind: int, value: int) -> bytes:
    """A Connection Confirm, [MS-RDPBCGR] 2.2.1.2 and its example in 4.1.2."""
    return bytes.fromhex("03000013 0ed0 0000 1234 00") + struct.pack("<BBHI", kind, 0, 8, value)


async def rdp_server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers only the request of [MS-RDPBCGR] 4.1.1, with or without a cookie, byte for byte."""
    request = await reader.readexactly(19)
    assert request == bytes.fromhex("03000013 0ee0 0000 0000 00 01 00 0800 03000000")
    writer.write(negotiated(2, 2))


def test_rdp() -> None:
    with serving(rdp_server) as port:
        assert shake("rdp", port) is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (negotiated(2, 1), None),
        (bytes.fromhex("0300000b 06d0 0000 1234 00"), None),
        (negotiated(3, 3), "it has no certificate yet"),
        (negotiated(3, 5), "it insists on Network Level Authentication"),
        (negotiated(3, 77), "it refuses with code 77"),
        (negotiated(9, 2), "this is not RDP"),
        (negotiated(2, 0x1000), "this is not RDP"),
        (negotiated(2, 2)[:15], "it closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "this is not RDP"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "this is not RDP"),
        (b"\x03\0\xff\xff" + bytes(100), "this is not RDP"),
        (b"\x03\0\0\x13\x0e\xe0" + bytes(13), "this is not RDP"),
        (b"", "it closed the connection"),
    ],
)
def test_what_answers_at_rdp_s_port(answer: bytes, reason: str | None) -> None:
    with serving(says(answer, listen=19)) as port:
        assert shake("rdp", port) == reason


def test_the_stand_in_s_services() -> None:
    """Two sides, each written from the specification."""
    for name, talk in (("rdp", offers.rdp), ("ssh", offers.ssh)):
        listener = socket.create_server(("127.0.0.1", 0))

        def once(talk: Callable[[socket.socket], None], listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with connection:
                talk(connection)

        thread = threading.Thread(target=once, args=(talk, listener))
        thread.start()
        assert shake(name, listener.getsockname()[1]) is None
        thread.join(10)
        listener.close()


# SSH


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """OpenSSH's server, with a key of its own, on loopback."""
    folder = tmp_path_factory.mktemp("sshd")
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    assert program, "apt-get install openssh-server"
    Path("/run/sshd").mkdir(exist_ok=True)
    options = [f"HostKey={folder / 'key'}", f"ListenAddress=127.0.0.1:{port}", "PidFile=none"]
    process = subprocess.Popen(
        [program, "-D", "-e", "-f", "/dev/null", *(f"-o{option}" for option in options)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while shake("ssh", port) and time.monotonic() < deadline:
        time.sleep(0.1)
    yield port
    process.terminate()
    process.wait(10)


def test_openssh(sshd: int) -> None:
    assert shake("ssh", sshd) is None
    assert shake("rdp", sshd) == "this is not RDP"
    assert shake("winrm", sshd) == "speaks no TLS"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"welcome\r\nto this host\r\nSSH-2.0-x\r\n", None),
        (b"SSH-1.99-Cisco-1.25\n", None),
        (b"SSH-1.5-old\r\n", "this is not SSH"),
        (b"220 ftp.example ready\r\n", "this is not SSH"),
        (b"SSH-2.0-without-an-end", "this is not SSH"),
        (b"x" * 300_000, "this is not SSH"),
    ],
)
def test_what_answers_at_ssh_s_port(answer: bytes, reason: str | None) -> None:
    with serving(says(answer)) as port:
        assert shake("ssh", port) == reason


# WinRM

IDENTIFIED = """<s:Envelope xml:lang="en-US" xmlns:s="http://www.w3.org/2003/05/soap-envelope">\
<s:Header/><s:Body><wsmid:IdentifyResponse \
xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">\
<wsmid:ProtocolVersion>http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd</wsmid:ProtocolVersion>\
<wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor></wsmid:IdentifyResponse>\
</s:Body></s:Envelope>"""


class WsMan(http.server.BaseHTTPRequestHandler):
    """Answers Identify as WS-Management has it (DSP0226 §11), and nothing else."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        good = (
            self.path == "/wsman"
            and self.headers.get_content_type() == "application/soap+xml"
            and self.headers["WSMANIDENTIFY"] == "unauthenticated"
            and b"identity/1/wsmanidentity.xsd" in body
            and b":Identify/>" in body
        )
        answer = IDENTIFIED.encode() if good else b"no"
        self.send_response(200 if good else 500)
        self.send_header("Content-Type", "application/soap+xml;charset=UTF-8")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        return


def test_winrm(certified: ssl.SSLContext) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), WsMan)
    server.daemon_threads = True
    server.socket = certified.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        assert shake("winrm", server.server_address[1]) is None
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


DENIED = b"HTTP/1.1 401 \r\nServer: Microsoft-HTTPAPI/2.0\r\nContent-Length: 0\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (DENIED + b'WWW-Authenticate: Basic realm="WSMAN"\r\n\r\n', None),
        (
            DENIED + b"WWW-Authenticate: Negotiate\r\n\r\n",
            "this is not WS-Management: HTTP status 401",
        ),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "this is not WS-Management: HTTP status 404"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html/>", "this is not WS-Management: HTTP status 200"),
        (b"SSH-2.0-OpenSSH\r\n", "this is not HTTPS"),
        (b"\xff" * 200_000, "this is not HTTPS"),
    ],
)  # fmt: skip
def test_what_answers_at_winrm_s_port(
    certified: ssl.SSLContext, answer: bytes, reason: str | None
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"</s:Envelope>")
        writer.write(answer)

    with serving(talk, certified) as port:
        assert shake("winrm", port) == reason


# time, and nobody


@pytest.mark.parametrize("service", ["rdp", "winrm", "ssh"])
def test_nobody_there(service: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert shake(service, free.getsockname()[1]) == "nobody listens"


@pytest.mark.parametrize("service", ["rdp", "winrm", "ssh"])
def test_silence_and_drips_end_at_the_time_limit(service: str) -> None:
    drop = {"rdp": b"\3\0\1\xff", "winrm": b"\x16\3\3\4", "ssh": b"x"}[service]

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(100):
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.05)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    for talk in (silent, drips):
        with serving(talk) as port:
            began = time.monotonic()
            assert shake(service, port, timeout=0.5) is not None
            assert time.monotonic() - began < 2
