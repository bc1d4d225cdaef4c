"""The wheel and the sdist: what is in them, and that the wheel works in a clean environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest

from provisioner import __version__
from provisioner.cli.parser import COMMANDS
from tests.docs.sandbox import NODE, Discs, make_discs

PROJECT = Path(__file__).resolve().parents[2]
WORKED_ON = frozenset(
    {
        "HACKING.md",
        "LICENSE",
        "Makefile",
        "NEWS.md",
        "NOTICE",
        "README.md",
        "SECURITY.md",
        "acceptance",
        "benchmarks",
        "docs",
        "profiles",
        "provisioner",
        "provisioner.schema.json",
        "pyproject.toml",
        "templates",
        "tests",
        "tools",
    }
)
"""What somebody needs to build, test and change it."""

DATA = {"templates": "provisioner/_data/templates", "profiles": "provisioner/_data/profiles"}
"""Where a folder of the repository lies in the wheel."""

MAN_PAGE = "share/man/man1/provisioner.1"
"""Below the environment, where `man` finds it as soon as the environment's `bin` is on PATH."""

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("packaging")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The two distributions."""

    wheel: Path
    sdist: Path
    tracked: tuple[PurePosixPath, ...]
    """What git knew when they were made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """A virtual environment that holds the wheel, outside of the repository."""

    folder: Path

    def run(
        self, arguments: Sequence[str], cwd: Path, *, modules: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the installed command with a home of its own."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        node = self.folder / "node.xml"
        node.write_text(NODE)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "LIBVIRT_DEFAULT_URI": f"test://{node}",
            **({"PYTHONPATH": str(modules)} if modules is not None else {}),
        }
        return subprocess.run(
            [self.folder / "bin" / "provisioner", *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def succeed(command: Sequence[str | Path], cwd: Path) -> str:
    """Standard output of a command that has to work."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tracked() -> tuple[PurePosixPath, ...]:
    """What git knows of the project, new files that are not ignored included."""
    listing = succeed(["git", "ls-files", "--cached", "--others", "--exclude-standard"], PROJECT)
    # A file that was deleted and not committed yet is still in the index.
    paths = (PurePosixPath(line) for line in listing.splitlines())
    return tuple(path for path in paths if (PROJECT / path).exists())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both, made as a release is made: the sdist, and the wheel from it."""
    folder = tmp_path_factory.mktemp("dist")
    known = tracked()
    succeed([sys.executable, "-m", "build", "--outdir", folder, PROJECT], PROJECT)
    return Built(
        wheel=folder / f"provisioner-{__version__}-py3-none-any.whl",
        sdist=folder / f"provisioner-{__version__}.tar.gz",
        tracked=known,
    )


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a clean environment, with what it says it needs and nothing else."""
    folder = tmp_path_factory.mktemp("venv")
    succeed([sys.executable, "-m", "venv", "--without-pip", folder], folder)
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        folder / "bin" / "python",
        "install",
    ]
    succeed([*pip, "--quiet", "--disable-pip-version-check", built.wheel], folder)
    return Installed(folder=folder)


def libvirt_alone(folder: Path) -> Path:
    """A folder with libvirt's Python modules and nothing else: the extra `libvirt` takes a compiler
    and libvirt's headers, which `make` has been through already."""
    import libvirt

    site = Path(libvirt.__file__).parent
    folder.mkdir()
    for module in site.glob("libvirt*"):
        (folder / module.name).symlink_to(module)
    return folder


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Discs:
    """Synthetic discs of Windows."""
    return make_discs(tmp_path_factory.mktemp("discs"))


def test_the_wheel_holds_what_git_knows(built: Built) -> None:
    expected = set()
    for path in built.tracked:
        top = path.parts[0]
        if top not in ("provisioner", *DATA):
            continue
        place = PurePosixPath(DATA[top]) / path.relative_to(top) if top in DATA else path
        expected.add(str(place))
    with zipfile.ZipFile(built.wheel) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == expected | {f"provisioner-{__version__}.data/data/{MAN_PAGE}"}


def test_the_wheel_carries_its_licence(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        licences = {PurePosixPath(n).name for n in wheel.namelist() if "/licenses/" in n}
        metadata = wheel.read(f"provisioner-{__version__}.dist-info/METADATA").decode()
    assert licences == {"LICENSE", "NOTICE"}
    assert "License-Expression: Apache-2.0" in metadata
    assert "# provisioner" in metadata, "the README is its description"


def test_the_wheel_names_its_dependencies(built: Built) -> None:
    """Every library that has a door is named, so that a clean environment gets it."""
    with zipfile.ZipFile(built.wheel) as wheel:
        metadata = wheel.read(f"provisioner-{__version__}.dist-info/METADATA").decode()
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ")]
    for library in ("pydantic", "PyYAML", "Jinja2", "babel", "tzlocal"):
        assert any(library.lower() in line.lower() for line in required), library
    assert any("libvirt-python" in line and "extra == 'libvirt'" in line for line in required)


def test_the_sdist_can_be_worked_on(built: Built) -> None:
    """Everything that git knows in the folders people need: code, tests, docs, tools."""
    top = f"provisioner-{__version__}"
    with tarfile.open(built.sdist) as sdist:
        names = {member.name.removeprefix(f"{top}/") for member in sdist if member.isfile()}
    wanted = {path for path in built.tracked if path.parts[0] in WORKED_ON}
    missing = sorted({str(path) for path in wanted} - names)
    assert not missing, f"not in the sdist: {missing}"


def test_the_installed_command_works(installed: Installed, tmp_path: Path) -> None:
    version = installed.run(["--version"], tmp_path)
    assert version.stdout.split() == ["provisioner", __version__]
    helped = installed.run(["--help"], tmp_path)
    assert not [name for name in COMMANDS if name not in helped.stdout]


def test_man_finds_the_page(installed: Installed, tmp_path: Path) -> None:
    """Looked up as a person does, by a `man` that knows nothing but PATH."""
    environment = {"PATH": f"{installed.folder / 'bin'}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
    found = subprocess.run(
        ["man", "--where", "provisioner"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == installed.folder / MAN_PAGE


def test_profiles_come_with_the_wheel(installed: Installed, tmp_path: Path) -> None:
    listed = installed.run(["list", "--profiles"], tmp_path)
    assert listed.returncode == 0, listed.stderr
    names = {path.stem for path in tracked() if path.match("profiles/*.yaml")}
    assert names <= set(listed.stdout.split())
    assert str(PROJECT) not in listed.stdout, "it reads the repository's profiles"


def test_templates_come_with_the_wheel(installed: Installed, discs: Discs, tmp_path: Path) -> None:
    """Answer files and discs are made without libvirt."""
    arguments = ["windows-11", "--media", f"install={discs.folder / 'Win11.iso'}"]
    rendered = installed.run(["render", *arguments, "-o", "out"], tmp_path)
    assert rendered.returncode == 0, rendered.stderr
    assert (tmp_path / "out" / "Autounattend.xml").read_bytes().startswith(b"<?xml")
    assert (tmp_path / "out" / "provision" / "first-logon.ps1").exists()
    built = installed.run(["build", *arguments, "-o", "discs"], tmp_path)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "discs" / "windows-11-answers.iso").stat().st_size > 0


def test_a_plan_is_made_from_the_wheel(installed: Installed, discs: Discs, tmp_path: Path) -> None:
    arguments = ["windows-11", "--media", f"install={discs.folder / 'Win11.iso'}"]
    without = installed.run(["plan", *arguments, "--xml"], tmp_path)
    assert without.returncode == 3, "it needs libvirt, and says so"
    assert "libvirt" in without.stderr
    modules = libvirt_alone(tmp_path / "modules")
    planned = installed.run(["plan", *arguments, "--xml"], tmp_path, modules=modules)
    assert planned.returncode == 0, planned.stderr
    assert "<domain type=" in planned.stdout


def test_the_package_says_that_it_is_typed(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        assert "provisioner/py.typed" in wheel.namelist()
