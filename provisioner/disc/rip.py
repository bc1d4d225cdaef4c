"""`iso rip`: a disc becomes an image, sector by sector, with a map of what could not be read.

Works on any drive, block device or file. What was read stays under a name of its own until all of
it is there, so that a rip that was stopped goes on.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from provisioner.disc.capacity import RUN_OUT, Until, filesystem_size, image_size
from provisioner.disc.sectors import Run, SectorMap, Status, parse_map
from provisioner.disc.verify import place_of
from provisioner.errors import FailedError, ProvisionerError, RefusedError
from provisioner.frozen import frozen
from provisioner.host.blockdev import GONE, SECTOR, Source, opened_source
from provisioner.host.files import appearing, os_error, write_file
from provisioner.image.output import require_space
from provisioner.image.transfer import write_all
from provisioner.media.show import plural
from provisioner.media.window import Window, opened

BLOCK = 1024 * 1024
_SAVE_EVERY = 256 * 1024 * 1024

Progress = Callable[[str, int, int], None]


@frozen
class Options:
    """How to read. `retries`: more tries for a sector that fails; `passes`: 2 reads all of it
    again and compares."""

    retries: int = 5
    passes: int = 1
    until: Until = Until.AUTO
    accept_bad: bool = False


@frozen
class Ripped:
    """What came out. `bad`: (first sector, sectors, what lies there); `run_out`: sectors behind
    the file system that the drive counts and cannot read; `repaired`: sectors that were read
    differently the second time and agreed in the end."""

    size: int
    sha256: str
    capacity: int
    filesystem: int
    bad: tuple[tuple[int, int, str], ...]
    run_out: int
    repaired: int
    resumed: int


def partial_name(destination: Path) -> Path:
    """Where an unfinished rip lies."""
    return destination.with_name(destination.name + ".partial")


def map_name(destination: Path) -> Path:
    """Where its sector map lies."""
    return destination.with_name(destination.name + ".map")


def rip(
    path: Path,
    destination: Path,
    options: Options,
    *,
    progress: Progress = lambda label, done, total: None,
) -> Ripped:
    """Reads `path` into `destination`, with `.map` and `.sha256` beside it.

    A rip that was stopped goes on where it was, and tries bad sectors again. With sectors left
    that cannot be read it raises FailedError and keeps what it has, unless `accept_bad`: then they
    are zeros. HostError without a disc or without space, MediaError for what is no source.
    """
    with opened_source(path) as source:
        for name in (destination, partial_name(destination), map_name(destination)):
            if name.exists() and name.samefile(path):
                raise RefusedError(
                    f"{name} is what is read, and would be written", hint="name another file"
                )
        filesystem = filesystem_size(path)
        size = image_size(source, filesystem, options.until)
        work = _Rip(source, destination, size, options, progress)
        resumed = work.resume()
        before = os.fstat(source.descriptor)
        with work.opened():
            work.read_untried()
            work.retry_bad()
            repaired = work.second_pass() if options.passes > 1 else 0
            end = work.end(filesystem)
            bad = work.bad_places(end)
            if bad and not options.accept_bad:
                work.save()
                raise _bad_error(bad, destination)
            after = os.fstat(source.descriptor)
            if not source.device and (before.st_size, before.st_mtime_ns) != (
                after.st_size,
                after.st_mtime_ns,
            ):
                work.discard()
                raise FailedError(
                    f"{path} changed while it was read",
                    hint="do not change it meanwhile; try again",
                )
            run_out = work.cut(end)
            digest = work.finish()
    return Ripped(
        size=work.map.size,
        sha256=digest,
        capacity=source.size,
        filesystem=filesystem,
        bad=bad,
        run_out=run_out,
        repaired=repaired,
        resumed=resumed,
    )


class _Rip:
    def __init__(
        self, source: Source, destination: Path, size: int, options: Options, progress: Progress
    ) -> None:
        self.source = source
        self.destination = destination
        self.partial = partial_name(destination)
        self.options = options
        self.progress = progress
        self.map = SectorMap(size)
        self.out = -1
        self._unsaved = 0

    def resume(self) -> int:
        """Takes up an earlier rip of this disc; how many bytes it had. RefusedError for one of
        another disc, and for a file that no rip has left."""
        name = map_name(self.destination)
        if not self.partial.exists():
            return 0
        if not name.exists():  # the map is there before the first byte
            raise RefusedError(
                f"{self.partial} is there, and no sector map tells what it has",
                hint="rename it, or delete it to begin again",
            )
        known = parse_map(name.read_text("ascii", "replace"))
        if known.size != self.map.size or not self._same_disc(known):
            raise RefusedError(
                f"{self.partial} was begun from another disc",
                hint=f"put that disc back, or delete {self.partial} and {name}",
            )
        self.map = known
        return known.total(Status.GOOD)

    def _same_disc(self, known: SectorMap) -> bool:
        """Compares up to 64 sectors from the start of the first good runs."""
        with self.partial.open("rb", buffering=0) as stream:
            for run in list(known.having(Status.GOOD))[:4]:
                length = min(64 * SECTOR, run.end - run.start)
                stream.seek(run.start)
                try:
                    if self.source.read(run.start, length) != stream.read(length):
                        return False
                except OSError:
                    continue
        return True

    @contextmanager
    def opened(self) -> Iterator[None]:
        """The partial file, for the duration of the block; its map is saved however it ends."""
        folder = self.destination.absolute().parent
        try:
            require_space(folder, self.map.total(Status.UNTRIED))
            if not self.partial.exists():
                self._write_map()
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self.out = os.open(self.partial, flags, 0o600)
        except OSError as err:
            raise os_error(err, f"write {self.partial}") from err
        try:
            self._lock()
        except BaseException:
            os.close(self.out)
            raise
        try:
            os.ftruncate(self.out, self.map.size)
            yield
        except OSError as err:
            self.save()
            raise os_error(err, f"write {self.partial}") from err
        except BaseException:
            self.save()
            raise
        finally:
            os.close(self.out)

    def save(self) -> None:
        """Writes the map, after what it says is good has reached the disk."""
        if self.partial.exists():
            os.fsync(self.out)
            self._write_map()

    def _write_map(self) -> None:
        write_file(map_name(self.destination), self.map.text().encode("ascii"), mode=0o644)

    def _lock(self) -> None:
        try:
            fcntl.flock(self.out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise RefusedError(
                f"{self.partial} is being written by another rip",
                hint="wait until it is done, or stop it with Ctrl-C in its terminal",
            ) from err
        except OSError:
            return  # a file system without locks

    def discard(self) -> None:
        """Throws away what was read."""
        self.partial.unlink()
        map_name(self.destination).unlink(missing_ok=True)

    def read_untried(self) -> None:
        """Reads what was not read yet, in big blocks; where one fails, in sectors."""
        done = self.map.total(Status.GOOD)
        with ThreadPoolExecutor(max_workers=1) as pool:
            blocks = [
                (start, min(start + BLOCK, run.end))
                for run in self.map.having(Status.UNTRIED)
                for start in range(run.start, run.end, BLOCK)
            ]
            ahead = pool.submit(self._block, *blocks[0]) if blocks else None
            for number, (start, end) in enumerate(blocks):
                assert ahead is not None
                data = ahead.result()
                if number + 1 < len(blocks):
                    ahead = pool.submit(self._block, *blocks[number + 1])
                if data is not None:
                    write_all(self.out, data, start)
                    self.map.mark(start, end, Status.GOOD)
                else:
                    for at in range(start, end, SECTOR):
                        self._sector(at, min(at + SECTOR, end), tries=1)
                done += end - start
                self._noted(end - start)
                self.progress(self.source.path.name, done, self.map.size)

    def retry_bad(self) -> None:
        """Tries every bad sector again, as often as wanted."""
        bad = [
            at for run in self.map.having(Status.BAD) for at in range(run.start, run.end, SECTOR)
        ]
        for number, at in enumerate(bad, 1):
            self._sector(at, min(at + SECTOR, self.map.size), tries=self.options.retries)
            self.progress("bad sectors", number * SECTOR, len(bad) * SECTOR)

    def end(self, filesystem: int) -> int:
        """Where the disc ends: before unreadable sectors at the very end of the map that no file
        system claims."""
        last = self.map.runs[-1]
        most = RUN_OUT * SECTOR
        if last.status is Status.BAD and 0 < filesystem <= last.start >= last.end - most:
            return last.start
        return self.map.size

    def cut(self, end: int) -> int:
        """Ends the image there; how many sectors of run-out are left out. As late as this, because
        an unfinished map has to be as long as the disc is."""
        sectors = -(-(self.map.size - end) // SECTOR)
        self.map.cut(end)
        os.ftruncate(self.out, end)
        return sectors

    def second_pass(self) -> int:
        """Reads all again; a sector that differs has to agree with one of two more reads."""
        repaired = 0
        for run in list(self.map.having(Status.GOOD)):
            for start in range(run.start, run.end, BLOCK):
                end = min(start + BLOCK, run.end)
                data = self._block(start, end, again=True)
                if data is None or data != os.pread(self.out, end - start, start):
                    for at in range(start, end, SECTOR):
                        repaired += self._settle(at, min(at + SECTOR, end))
                self.progress("second pass", end, self.map.size)
        return repaired

    def bad_places(self, end: int) -> tuple[tuple[int, int, str], ...]:
        """The bad runs before `end` in sectors, and what of the disc they are, as far as that can
        be told."""
        runs = [run for run in self.map.having(Status.BAD) if run.start < end]
        if not runs:
            return ()
        with opened(self.partial) as window:
            return tuple(
                (run.start // SECTOR, -(-(run.end - run.start) // SECTOR), _place(window, run))
                for run in runs
            )

    def finish(self) -> str:
        """Gives the image its name, with its digest beside it; the digest."""
        digest = hashlib.sha256()
        with self.partial.open("rb", buffering=0) as stream:
            while data := stream.read(BLOCK):
                digest.update(data)
                self.progress("SHA-256", stream.tell(), self.map.size)
        self.save()
        os.fchmod(self.out, 0o644)
        self.partial.replace(self.destination)
        name = self.destination.name
        text = f"{digest.hexdigest()}  {name}\n"
        with appearing(self.destination.with_name(f"{name}.sha256"), mode=0o644) as sums:
            sums.write_text(text)
        return digest.hexdigest()

    def _block(self, start: int, end: int, *, again: bool = False) -> bytes | None:
        """The bytes, or None where not all of them can be read at once."""
        try:
            read = self.source.read_again if again else self.source.read
            data = read(start, end - start)
        except OSError as err:
            self._raise_if_gone(err)
            return None
        return data if len(data) == end - start else None

    def _sector(self, start: int, end: int, *, tries: int) -> None:
        for _ in range(max(1, tries)):
            data = self._block(start, end, again=True)
            if data is not None:
                write_all(self.out, data, start)
                self.map.mark(start, end, Status.GOOD)
                return
        self.map.mark(start, end, Status.BAD)

    def _settle(self, start: int, end: int) -> int:
        """Whether a sector had to be read more often; it is bad where no two reads agree."""
        known = os.pread(self.out, end - start, start)
        reads = [known]
        for _ in range(3):
            data = self._block(start, end, again=True)
            if data is not None and data in reads:
                if data == known and len(reads) == 1:
                    return 0
                write_all(self.out, data, start)
                return 1
            if data is not None:
                reads.append(data)
        write_all(self.out, bytes(end - start), start)
        self.map.mark(start, end, Status.BAD)
        return 0

    def _noted(self, count: int) -> None:
        self._unsaved += count
        if self._unsaved >= _SAVE_EVERY:
            self._unsaved = 0
            self.save()

    def _raise_if_gone(self, err: OSError) -> None:
        if err.errno in GONE:
            raise FailedError(
                f"{self.source.path} is gone: {err.strerror}",
                hint="put the disc back and run the same command: it goes on where it was",
            ) from err


def _place(window: Window, run: Run) -> str:
    try:
        return place_of(window, run.start)
    except ProvisionerError:
        return "unknown"


def _bad_error(bad: tuple[tuple[int, int, str], ...], destination: Path) -> FailedError:
    count = sum(sectors for _, sectors, _ in bad)
    places = ", ".join(dict.fromkeys(place for _, _, place in bad))
    return FailedError(
        f"{plural(count, 'sector')} cannot be read, in {places[:300]}",
        hint=f"run it again to try them again, clean the disc, or take zeros with --accept-bad; "
        f"{map_name(destination).name} lists them",
    )
