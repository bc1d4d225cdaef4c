"""What sudo does, as far as the helper goes: `usb_bridge SOCKET ...` joins its own standard streams
with a socket, behind which root has started the helper. Needs nothing but Python's library."""

import os
import socket
import sys
import threading


def pump(source: int, target: int) -> None:
    """Until one side ends."""
    while data := os.read(source, 1 << 16):
        while data:
            data = data[os.write(target, data) :]


if __name__ == "__main__":
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(sys.argv[1])
    back = threading.Thread(target=pump, args=(connection.fileno(), 1))
    back.start()
    pump(0, connection.fileno())
    connection.shutdown(socket.SHUT_WR)
    back.join()
