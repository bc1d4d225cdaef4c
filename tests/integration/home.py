"""One person's folders, and the real command line run in them as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.places import HOST, REPOSITORY, Place
from tests.integration.processes import processes_mentioning
from tests.standin.build import Media

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 240.0
"""Seconds after which something that should have happened counts as never happening."""

Event = Mapping[str, Any]

DIRECT = """\
{{% extends "shipped/libvirt/domain.xml.j2" %}}
{{% block os %}}
  <os>
    <type arch="x86_64" machine="q35">hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
{{% endblock %}}
"""
"""A user's own domain template: the ten-second guest in place of the discs' boot loaders."""

PROFILE = """\
kind: machine
name: m1
media:
  install: {install}
  drivers: {drivers}
windows:
  product: windows-11
  edition: Professional
  hardware_checks: bypass
  users:
    - name: dev
      groups: [Administrators]
      password: {{generate: 20}}
machine:
  cpus: 2
  memory: 512 MiB
  firmware: uefi
  ready: {{within: 10 min}}
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    """A command that ended."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """What `--json` printed."""
        return [json.loads(line) for line in self.out.splitlines()]

    def event(self, name: str) -> dict[str, Any]:
        """The last event of that name."""
        found = [event for event in self.events if event["event"] == name]
        assert found, f"no event {name!r} in:\n{self}"
        return found[-1]

    def __str__(self) -> str:
        return f"$ provisioner {' '.join(self.argv)}\n{self.out}{self.err}[exit code {self.code}]"


class Running:
    """A command that runs with `--json`; its events can be awaited and signals sent."""

    def __init__(self, process: subprocess.Popen[str], argv: tuple[str, ...]) -> None:
        self.process = process
        self._argv = argv
        self._lines: list[str] = []
        self._errors: list[str] = []
        self._more = threading.Condition()
        self._ended = False
        self._readers = [
            threading.Thread(target=self._read, args=(process.stdout, self._lines)),
            threading.Thread(target=self._read, args=(process.stderr, self._errors)),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, matches: Callable[[Event], bool], *, timeout: float = PATIENCE) -> Event:
        """The first event that matches, now or later."""
        deadline = time.monotonic() + timeout
        seen = 0
        with self._more:
            while True:
                for line in self._lines[seen:]:
                    seen += 1
                    event = json.loads(line)
                    if matches(event):
                        return dict(event)
                if self._ended or not self._more.wait(deadline - time.monotonic()):
                    raise AssertionError("the event never came:\n" + "".join(self._all()))

    def wait_for_step(self, text: str) -> Event:
        """The beginning of the step whose description has `text` in it."""
        return self.wait_for(
            # A step of the guest has a name, one of the plan a text.
            lambda event: event["event"] == "step" and text in event.get("text", "")
        )

    def signal(self, number: signal.Signals) -> None:
        """To the process and what it started, as a terminal would do."""
        # It may have ended in the meantime.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def finish(self, *, timeout: float = PATIENCE) -> Done:
        """Waits for its end."""
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired as err:
            self.signal(signal.SIGKILL)
            raise AssertionError(f"{self._argv} does not end:\n{''.join(self._all())}") from err
        for reader in self._readers:
            reader.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return Done(argv=self._argv, code=code, out="".join(self._lines), err="".join(self._errors))

    def _all(self) -> Sequence[str]:
        return [*self._lines, *self._errors]

    def _read(self, stream: Any, into: list[str]) -> None:
        for line in stream:
            with self._more:
                into.append(line)
                self._more.notify_all()
        with self._more:
            self._ended = into is self._lines or self._ended
            self._more.notify_all()


@dataclass
class Home:
    """Folders below a short one: guests' UNIX sockets lie in them (docs/facts/libvirt.md §3.5)."""

    folder: Path
    media: Media
    place: Place = HOST
    cache: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.folder / "h"
        self.state = self.folder / "s" / "provisioner"
        self.config = self.folder / "h" / ".config" / "provisioner"
        self.embed = self.folder / "e"
        self.temporary = self.folder / "t"
        self.work = self.folder / "w"
        self.templates = self.config / "templates" / "libvirt"
        for path in (self.folder / "s", self.folder / "c", self.temporary, self.work):
            path.mkdir(exist_ok=True)
            os.chown(path, self.place.uid, self.place.gid)
        for path in (self.home, self.home / ".config", self.config):
            path.mkdir(exist_ok=True)
            os.chown(path, self.place.uid, self.place.gid)
        self.templates.mkdir(parents=True, exist_ok=True)

    @property
    def variables(self) -> dict[str, str]:
        """Everything the command line's process finds in its environment."""
        return {
            "PATH": PATH,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.temporary),
            "XDG_STATE_HOME": str(self.folder / "s"),
            "XDG_CACHE_HOME": str(self.cache or self.folder / "c"),
            "PROVISIONER_EMBED_BASE": str(self.embed),
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.environment,
        }

    def argv(self, *arguments: str) -> list[str]:
        """The whole command, from entering the place on."""
        return self._there(sys.executable, "-m", "provisioner", *arguments)

    def virsh(self, *arguments: str) -> str:
        """What virsh says to the same person."""
        assert self.place.uri is not None, "an embed root takes one process at a time"
        done = subprocess.run(
            self._there("virsh", "-q", "-c", self.place.uri, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"virsh {arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def _there(self, *argv: str) -> list[str]:
        assignments = [f"{name}={value}" for name, value in self.variables.items()]
        return [*self.place.enter, "env", "-i", "-C", str(self.work), *assignments, *argv]

    def run(
        self,
        *arguments: str,
        expect: int | None = 0,
        timeout: float = PATIENCE,
        stdin: str | None = None,
    ) -> Done:
        """Runs a command to its end; `expect` is the exit code it must have."""
        began = time.monotonic()
        ended = subprocess.run(
            self.argv(*arguments),
            input=stdin or "",
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        done = Done(argv=arguments, code=ended.returncode, out=ended.stdout, err=ended.stderr)
        print(f"{done} after {time.monotonic() - began:.1f} s")  # pytest shows it on a failure
        assert expect is None or done.code == expect, f"expected exit code {expect}:\n{done}"
        return done

    def json(self, *arguments: str, expect: int | None = 0, timeout: float = PATIENCE) -> Done:
        """The same with `--json`."""
        return self.run(*arguments, "--json", expect=expect, timeout=timeout)

    def start(self, *arguments: str) -> Running:
        """Starts a command with `--json`, in a process group of its own."""
        argv = (*arguments, "--json")
        process = subprocess.Popen(
            self.argv(*argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return Running(process, argv)

    def profile(self, *extra: str, text: str = PROFILE, name: str = "m1.yaml") -> str:
        """Writes the profile, and files that extend it with `extra` on top; the path."""
        path = self.work / name
        path.write_text(text.format(install=self.media.install, drivers=self.media.drivers))
        for number, addition in enumerate(extra):
            other = self.work / f"x{number}-{name}"
            other.write_text(f"extends: {path}\nname: m1\n{addition}")
            path = other
        return str(path)

    def direct_guest(self, *switches: str, kernel: Path | None = None) -> None:
        """From now on machines boot the direct-kernel guest (tests/standin/README.md)."""
        words = ("console=ttyS0", "quiet", "standin.phase=direct", *switches)
        boot = kernel or self.media.kernel
        (self.templates / "domain.xml.j2").write_text(
            DIRECT.format(
                kernel=boot,
                initrd=boot.with_name(self.media.initrd.name),
                cmdline=" ".join(words),
            )
        )

    def machine(self, name: str = "m1") -> dict[str, Any]:
        """What `status --json` says."""
        return self.json("status", name).event("status")

    def delete_everything(self) -> None:
        """Deletes every machine that is left, as a person would."""
        for event in self.json("list").events:
            self.run("delete", event["name"], "--yes")


def short_folder() -> Path:
    """Reachable for everybody and short."""
    folder = Path(tempfile.mkdtemp(prefix="pv"))
    folder.chmod(0o755)
    return folder


def discard(folder: Path) -> None:
    """Removes a test's folder, and after a failure the processes that still use it."""
    for pid in processes_mentioning(f"{folder}/"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)
