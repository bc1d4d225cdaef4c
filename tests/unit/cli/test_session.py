"""What a session closes, and in which order."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any, cast

from provisioner.cli.session import Session


def test_a_connection_under_way_is_there_before_anything_is_closed() -> None:
    """A command that fails at once must still see, and remove, the embed root being made."""
    begun, happened = threading.Event(), list[str]()

    def domain(_name: str) -> None:
        begun.set()
        time.sleep(0.2)
        happened.append("connected")

    hypervisor = cast(Any, SimpleNamespace(domain=domain))
    with Session(cast(Any, None), cast(Any, None), cast(Any, None)) as session:
        session._open.callback(happened.append, "closed")
        session._open_ahead(hypervisor, "m1")
        assert begun.wait(5)
    assert happened == ["connected", "closed"]
