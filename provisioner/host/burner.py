"""Burns by xorriso: asks it about the medium, runs it, and reads how far it is.

xorriso(1) and xorrecord(1). A pseudo drive `stdio:FILE` of its kind takes the place of a drive in
the tests, and makes an image of what a drive would have got.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from io import BufferedReader

from provisioner.errors import FailedError, HostError
from provisioner.frozen import frozen

PSEUDO = "stdio:"
_HINT = "apt install xorriso"
_MEGABYTE = 1024 * 1024
_UPDATE = re.compile(r"(\d+) of\s+(\d+) MB written")
_SEVERE = re.compile(r"(?:xorriso|libburn|libisofs) ?: (?:FAILURE|FATAL|SORRY|ABORT)\s*: (.+)")


@frozen
class Blank:
    """What lies in the drive. `profile` as xorriso names it; `writable` in bytes."""

    profile: str
    status: str
    writable: int

    @property
    def empty(self) -> bool:
        """Whether it can be written from its beginning without erasing anything."""
        return "is blank" in self.status

    @property
    def rewritable(self) -> bool:
        """Whether what is on it can be erased."""
        return any(word in self.profile for word in ("RW", "RE", "RAM", "overwriteable"))


def look(drive: str) -> Blank:
    """The medium in a drive. HostError where there is none, or no such drive."""
    output = _output(["xorriso", "-outdev", drive, "-toc"])
    found = {
        key.strip(): value.strip()
        for line in output.splitlines()
        for key, separator, value in [line.partition(":")]
        if separator and key.startswith("Media")
    }
    profile, status = found.get("Media current", ""), found.get("Media status", "")
    if not profile or "is not recognizable" in profile or "not present" in status:
        reason = _SEVERE.findall(output)
        raise HostError(
            f"{drive} has no disc that can be written"
            + (f": {reason[-1].strip()}" if reason else ""),
            hint="insert a blank disc; may you write to the drive?",
        )
    blocks = re.search(r"(\d+) writable", found.get("Media blocks", ""))
    return Blank(profile=profile, status=status, writable=int(blocks[1]) * 2048 if blocks else 0)


@frozen
class BurnOptions:
    """How to burn. `speed` in the medium's unit, None for the fastest; `blank` erases first."""

    speed: int | None = None
    simulate: bool = False
    blank: bool = False


def burn(
    drive: str, image: str, options: BurnOptions, progress: Callable[[int, int], None]
) -> None:
    """Writes an image, disc at once, and closes the disc. FailedError with xorriso's reason.

    Interrupted, it lets xorriso end the burn in order, which may take a minute.
    """
    argv = ["xorriso", "-as", "cdrecord", "-v", f"dev={drive}", "-sao", "padsize=0"]
    argv += [f"speed={options.speed}"] if options.speed is not None else []
    argv += ["-dummy"] if options.simulate else []
    argv += ["blank=as_needed"] if options.blank else []
    try:
        process = subprocess.Popen(
            [*argv, image],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError as err:
        raise HostError("the program xorriso is not installed", hint=_HINT) from err
    assert isinstance(process.stderr, BufferedReader)
    severe: list[str] = []
    with process:
        try:
            for line in _lines(process.stderr):
                if match := _UPDATE.search(line):
                    progress(int(match[1]) * _MEGABYTE, int(match[2]) * _MEGABYTE)
                elif match := _SEVERE.search(line):
                    severe.append(match[1].strip())
            code = process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
    if code != 0:
        raise FailedError(
            f"burning failed: {severe[-1] if severe else f'xorriso ended with {code}'}",
            hint="a disc that was begun is lost; try another one, at a lower --speed",
        )


def _lines(stream: BufferedReader) -> Iterator[str]:
    """Lines that end in a line feed or in a carriage return, as progress does."""
    rest = b""
    while data := stream.read1(4096):
        *lines, rest = re.split(rb"[\r\n]", rest + data)
        for line in lines:
            yield line.decode("utf-8", "replace")
    yield rest.decode("utf-8", "replace")


def _output(argv: Sequence[str]) -> str:
    """All that a program says, also one that fails."""
    try:
        done = subprocess.run(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300
        )
    except FileNotFoundError as err:
        raise HostError("the program xorriso is not installed", hint=_HINT) from err
    except subprocess.TimeoutExpired as err:
        raise HostError(f"{argv[2]} does not answer", hint="is the disc readable?") from err
    return done.stdout.decode("utf-8", "replace")
