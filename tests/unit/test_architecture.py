"""The walls between the rooms, as docs/architecture.md draws them, held by reading the imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PACKAGE = PROJECT / "provisioner"

FOUNDATION = (
    "errors",
    "frozen",
    "pattern",
    "secret",
    "quoting",
    "tree",
    "templating",
    "ports",
    "ownership",
)

LAYERS: tuple[frozenset[str], ...] = (
    frozenset(FOUNDATION),
    frozenset({"resources"}),
    frozenset({"profile"}),
    frozenset({"media"}),
    frozenset({"answers"}),
    frozenset({"plan"}),
    frozenset({"image"}),
    frozenset({"store"}),
    frozenset({"host"}),
    frozenset({"guest"}),
    frozenset({"report"}),
    frozenset({"autopsy"}),
    frozenset({"run"}),
    frozenset({"disc", "usb"}),
    frozenset({"lab"}),
    frozenset({"export"}),
    frozenset({"cli", "pytest_plugin"}),
)
"""Rooms, from the one everybody may use to the one nobody may. Not every room is open yet."""

ENTRY_POINTS = frozenset({"provisioner", "provisioner.__main__"})

DOORS: dict[str, frozenset[str]] = {
    "pydantic": frozenset({"provisioner.profile"}),
    "pydantic_core": frozenset({"provisioner.profile"}),
    # `syntax` puts into words what PyYAML raised at `yamlfile`, which alone calls it.
    "yaml": frozenset({"provisioner.profile.yamlfile", "provisioner.profile.syntax"}),
    "babel": frozenset({"provisioner.profile.cldr"}),
    "tzlocal": frozenset({"provisioner.profile.cldr"}),
    "jinja2": frozenset({"provisioner.templating"}),
    # Markup is how any room says that a text is escaped already; it does nothing else.
    "markupsafe": frozenset(
        {"provisioner.templating", "provisioner.plan.domain", "provisioner.report.page"}
    ),
    "libvirt": frozenset({"provisioner.host"}),
    "libvirt_qemu": frozenset({"provisioner.host"}),
    "keyring": frozenset({"provisioner.host.secrets"}),
    "kubernetes": frozenset({"provisioner.host.kubernetes"}),
    "mfusepy": frozenset({"provisioner.host.fuse"}),
    "rich": frozenset({"provisioner.cli.console"}),
    "argcomplete": frozenset({"provisioner.cli.completion"}),
    "zstandard": frozenset({"provisioner.usb.raw_packed"}),
    "jeepney": frozenset({"provisioner.host.udisks"}),
}
"""Each third-party library and the only module, or room, that may know it."""

OUTSIDE = frozenset(
    {
        "asyncio",
        "concurrent",
        "fcntl",
        "getpass",
        "http",
        "multiprocessing",
        "pty",
        "random",
        "secrets",
        "select",
        "signal",
        "socket",
        "ssl",
        "subprocess",
        "tempfile",
        "threading",
        "urllib.request",
    }
)
"""Modules that start something, reach somewhere, or give another answer each time."""

LOCKS = frozenset({"provisioner.image.output"})
"""Takes locks on its own temporary files with `fcntl`, to tell those of killed processes."""

CLOCK = frozenset(
    {
        "asctime",
        "clock_gettime",
        "ctime",
        "localtime",
        "monotonic",
        "monotonic_ns",
        "perf_counter",
        "perf_counter_ns",
        "process_time",
        "sleep",
        "time",
        "time_ns",
        "tzname",
        "timezone",
    }
)
"""What of `time` reads the clock or the time zone; `time.gmtime(seconds)` only computes."""

OUTSIDE_CALLS = frozenset(
    {
        *(f"time.{name}" for name in CLOCK),
        "os.environ",
        "os.environb",
        "os.exec",
        "os.execv",
        "os.fork",
        "os.getcwd",
        "os.getenv",
        "os.getlogin",
        "os.popen",
        "os.posix_spawn",
        "os.spawnv",
        "os.system",
        "os.urandom",
        "datetime.now",
        "datetime.today",
        "datetime.utcnow",
        "date.today",
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.date.today",
        "Path.cwd",
        "Path.home",
        "uuid.uuid1",
        "uuid.uuid4",
    }
)
WANT_A_TIME = {"time.gmtime": 1, "time.strftime": 2}
"""How many arguments these need so that they do not read the clock."""

PURE_UP_TO = "store"
"""Rooms left of this one get clock, environment and chance as arguments."""

LONGEST_MODULE = 400
MOST_PARAMETERS = 9


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module of the package: its dotted name and its parsed text."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """`profile` of `provisioner.profile.load`."""
        return self.name.split(".")[1] if "." in self.name else ""

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and dotted name of everything it imports, wherever the import stands."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno}: a relative import"
                assert node.module is not None
                for alias in node.names:
                    yield node.lineno, f"{node.module}.{alias.name}"


def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name=name, path=path, tree=ast.parse(path.read_text("utf-8"))))
    return tuple(found)


MODULES = modules()


def layer_of(room: str) -> int:
    """The number of a room's layer."""
    return next(number for number, rooms in enumerate(LAYERS) if room in rooms)


def room_of(name: str) -> str | None:
    """The room that an imported name leads to; None outside the package, and for its version."""
    package, _, rest = name.partition(".")
    room = rest.split(".")[0]
    return room if package == "provisioner" and room not in ("", "__version__") else None


def test_every_room_has_a_place() -> None:
    known = frozenset().union(*LAYERS)
    rooms = {module.room for module in MODULES if module.name not in ENTRY_POINTS}
    assert rooms <= known, f"rooms without a place in the order: {sorted(rooms - known)}"


def test_the_paper_shows_every_room() -> None:
    """docs/architecture.md is the map; a room that is not on it is not found."""
    paper = (PROJECT / "docs" / "architecture.md").read_text("utf-8")
    drawn = paper.split("```text\nprovisioner/\n", 1)[1].split("```", 1)[0].splitlines()
    shown = {Path(line.split()[0]).stem for line in drawn if line[2:3].strip()}
    rooms = {module.room for module in MODULES if module.name not in ENTRY_POINTS}
    assert rooms <= shown, f"rooms that the paper does not show: {sorted(rooms - shown)}"


@pytest.mark.parametrize("room", sorted(frozenset().union(*LAYERS)))
def test_imports_go_one_way(room: str) -> None:
    wrong = []
    for module in MODULES:
        if module.room != room or module.name in ENTRY_POINTS:
            continue
        for line, name in module.imports():
            other = room_of(name)
            if other is None or other == room:
                continue
            if layer_of(other) >= layer_of(room) > 0:
                wrong.append(f"{module.name}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_foundation_has_no_cycle() -> None:
    """Its modules may use one another, in the order in which they are listed, or none at all."""
    uses = {
        module.room: {other for _, name in module.imports() if (other := room_of(name)) is not None}
        for module in MODULES
        if module.room in FOUNDATION
    }
    outside = {room: used - set(FOUNDATION) for room, used in uses.items()}
    assert not any(outside.values()), f"the foundation uses rooms above it: {outside}"
    left = dict(uses)
    while left:
        free = [room for room, used in left.items() if not used & (set(left) - {room})]
        assert free, f"these use one another in a circle: {sorted(left)}"
        for room in free:
            del left[room]


def test_guest_knows_only_the_foundation() -> None:
    """What a guest says is heard through ports; who is at the other end is nobody's business."""
    wrong = [
        f"{module.name}:{line} imports {name}"
        for module in MODULES
        if module.room == "guest"
        for line, name in module.imports()
        if (other := room_of(name)) is not None and other not in (*FOUNDATION, "guest")
    ]
    assert not wrong, "\n".join(wrong)


def test_each_library_has_one_door() -> None:
    wrong = []
    for module in MODULES:
        for line, name in module.imports():
            library = name.split(".")[0]
            doors = DOORS.get(library)
            if doors is None:
                continue
            inside = any(
                module.name == door or module.name.startswith(f"{door}.") for door in doors
            )
            if not inside:
                wrong.append(f"{module.name}:{line} imports {name}; only {sorted(doors)} may")
    assert not wrong, "\n".join(wrong)


def test_every_library_is_known() -> None:
    """A new dependency gets a door, or this fails."""
    import sys

    used = {
        (name.split(".")[0], f"{module.name}:{line}")
        for module in MODULES
        for line, name in module.imports()
    }
    strange = {
        (library, where)
        for library, where in used
        if library not in sys.stdlib_module_names
        and library not in DOORS
        and library not in ("provisioner", "__future__")
    }
    assert not strange, f"libraries without a door: {sorted(strange)}"


def test_pure_rooms_touch_nothing_outside() -> None:
    """Left of `store` nothing starts a process or asks clock, chance or environment."""
    wrong = []
    for module in MODULES:
        if module.name in ENTRY_POINTS or layer_of(module.room) >= layer_of(PURE_UP_TO):
            continue
        outside_here = OUTSIDE - ({"fcntl"} if module.name in LOCKS else set())
        for line, name in module.imports():
            if any(name == outside or name.startswith(f"{outside}.") for outside in outside_here):
                wrong.append(f"{module.name}:{line} imports {name}")
            if name in OUTSIDE_CALLS:
                wrong.append(f"{module.name}:{line} imports {name}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in OUTSIDE_CALLS:
                wrong.append(f"{module.name}:{node.lineno} uses {ast.unparse(node)}")
            if isinstance(node, ast.Call):
                wanted = WANT_A_TIME.get(ast.unparse(node.func), 0)
                if len(node.args) < wanted:
                    wrong.append(f"{module.name}:{node.lineno} {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def test_modules_stay_short() -> None:
    lengths = {module.name: len(module.path.read_text("utf-8").splitlines()) for module in MODULES}
    long = {name: length for name, length in lengths.items() if length > LONGEST_MODULE}
    assert not long, f"more than {LONGEST_MODULE} lines, so probably two rooms: {long}"


def test_functions_take_few_parameters() -> None:
    wrong = []
    for module in MODULES:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
                count = len([name for name in names if name not in ("self", "cls")])
                if count > MOST_PARAMETERS:
                    wrong.append(f"{module.name}:{node.lineno} {node.name} takes {count}")
    assert not wrong, "\n".join(wrong)


def test_every_module_says_what_it_is_for() -> None:
    """One to a few lines at its beginning; empty package files need none."""
    silent = [
        module.name
        for module in MODULES
        if module.tree.body and ast.get_docstring(module.tree) is None
    ]
    assert not silent, f"modules without a docstring: {silent}"


def test_every_benchmark_is_run_by_make_bench() -> None:
    from benchmarks.__main__ import ALL

    folder = PACKAGE.parent / "benchmarks"
    written = {
        path.stem for path in folder.glob("*.py") if "\ndef rows(" in path.read_text("utf-8")
    }
    assert {rows.__module__.rpartition(".")[2] for rows in ALL.values()} == written
