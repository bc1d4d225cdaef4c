"""Every block of the papers is run or validated; links resolve; generated pages are fresh."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner import __version__
from provisioner.cli.parser import COMMANDS, build_parser
from provisioner.errors import ProfileError
from provisioner.guest.stages import STAGES
from provisioner.profile.load import LoadedProfile, load_profile
from provisioner.resources import Resources, shipped_folder
from tests.docs.blocks import (
    KNOWN,
    PROJECT,
    SHOWN_ONLY,
    Block,
    Command,
    blocks,
    commands,
    pages,
)
from tests.docs.sandbox import RUN_HERE, Discs, Sandbox, make_discs, matches

PAGES = pages()
BLOCKS = tuple(block for page in PAGES for block in blocks(page))
SHELL = tuple(
    command for block in BLOCKS if block.kind in ("sh", "console") for command in commands(block)
)
OTHER_PROGRAMS = frozenset(
    {"git", "jq", "make", "python", "pytest", "setfacl", "source", "usermod"}
)
"""Programs that the papers may tell people to run, besides our own."""


def name_of(thing: Block | Command | Path) -> str:
    """A readable test id."""
    if isinstance(thing, Command):
        return f"{thing.block.where} {' '.join(thing.words)}"
    return thing.where if isinstance(thing, Block) else str(thing.relative_to(PROJECT))


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Discs:
    """Made once; nothing changes them."""
    return make_discs(tmp_path_factory.mktemp("discs"))


def load(text: str, folder: Path, name: str) -> LoadedProfile:
    """A profile as it stands on a page."""
    path = folder / name
    path.write_text(text, "utf-8")
    resources = Resources(shipped=shipped_folder())
    return load_profile(path, resources=resources, home=folder, cwd=folder)


# --- blocks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", BLOCKS, ids=name_of)
def test_every_block_says_what_it_is(block: Block) -> None:
    assert block.kind in KNOWN, f"{block.where}: an unknown kind of block, {block.kind!r}"
    if block.kind in SHOWN_ONLY | {"sh", "console"}:
        assert not block.argument, f"{block.where}: {block.kind} takes no argument"


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.kind == "yaml" and b.argument.startswith("fragment")],
    ids=name_of,
)  # fmt: skip
def test_fragments_fit_a_shipped_profile(block: Block, tmp_path: Path) -> None:
    base = block.argument.removeprefix("fragment").strip() or "windows-11"
    loaded = load(f"extends: {base}\n{drivers_for(block)}{block.text}\n", tmp_path, "fragment.yaml")
    # A fragment that says nothing new would prove nothing.
    plain = load(f"extends: {base}\n", tmp_path, "fragment.yaml")
    assert loaded.profile != plain.profile


def drivers_for(block: Block) -> str:
    """The page on virtio drivers takes the driver disc for granted in its later fragments."""
    on_drivers = block.page.name == "virtio-drivers.md" and "media:" not in block.text
    return "media: {drivers: virtio-win.iso}\n" if on_drivers else ""


# --- commands ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", SHELL, ids=name_of)
def test_commands_exist(command: Command) -> None:
    if command.program == "provisioner":
        build_parser().parse_args(list(command.words[1:]))
    elif command.program == "make":
        targets = re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE)
        assert set(command.words[1:]) <= set(targets)
    elif "/" in command.words[0] and not command.words[0].startswith(".venv/"):
        assert (PROJECT / command.words[0]).is_file()
    else:
        assert command.program in OTHER_PROGRAMS, f"{command.block.where}: {command.program}?"
    if command.program == "python":
        paths = [word for word in command.words if word.startswith("tests/")]
        assert paths
        assert all((PROJECT / path).exists() for path in paths)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_runs_from_top_to_bottom(page: Path, discs: Discs, tmp_path: Path) -> None:
    """Profiles are written where the page says, templates put in place, quick commands run."""
    sandbox = Sandbox(tmp_path, discs)
    wrong = []
    for block in blocks(page):
        if block.kind == "yaml" and not block.argument.startswith("fragment"):
            name, _, note = block.argument.partition(" ")
            assert re.fullmatch(r"[\w-]+\.yaml", name), f"{block.where}: name the file"
            if note == "wrong":
                with pytest.raises(ProfileError):
                    load(block.text, sandbox.cwd, name)
            else:
                load(block.text, sandbox.cwd, name)
        elif block.kind == "jinja":
            path = sandbox.templates / block.argument
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text + "\n", "utf-8")
        elif block.kind in ("sh", "console"):
            wrong += [line for c in commands(block) for line in complaints(c, sandbox)]
    assert not wrong, "\n\n".join(wrong)


def complaints(command: Command, sandbox: Sandbox) -> Iterator[str]:
    """Runs a command if it is a quick one; what is wrong with it."""
    if command.program != "provisioner" or command.words[1] not in RUN_HERE:
        return
    if "--host" in command.words:
        return  # needs a real host
    if "-o" in command.words and command.words[1] == "render":
        output = sandbox.cwd / command.words[command.words.index("-o") + 1]
        if output.exists():
            output.rename(output.with_name(f"{output.name}.before"))
    done = sandbox.run(command)
    if command.output is not None:
        if not matches(command.output, done.output):
            yield f"{name_of(command)} printed:\n{done.output}"
    elif done.code != 0 and not expected(command, done.output):
        yield f"{name_of(command)} returned {done.code}:\n{done.output}"
    if "Traceback" in done.output:
        yield f"{name_of(command)} raised:\n{done.output}"


def expected(command: Command, output: str) -> bool:
    """Failures that belong to libvirt's test driver, not to the command."""
    return command.words[1] == "plan" and "error[host." in output


def test_overridden_templates_take_effect(discs: Discs, tmp_path: Path) -> None:
    """What the page on templates promises is in the files that come out."""
    page = PROJECT / "docs/how-to/templates-and-profiles.md"
    sandbox = Sandbox(tmp_path, discs)
    for block in blocks(page):
        if block.kind == "jinja":
            path = sandbox.templates / block.argument
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text + "\n", "utf-8")
    arguments = ("windows-11", "--media", "install=Win11.iso")
    rendered = sandbox.provisioner(("render", *arguments, "-o", "out"), {})
    assert rendered.code == 0, rendered.output
    answers = (sandbox.cwd / "out" / "Autounattend.xml").read_text("ascii")
    assert "<UninstallWindowsRE>true</UninstallWindowsRE>" in answers
    assert "<FirstLogonCommands>" in answers


# --- pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    wrong = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, fragment = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        if not path.exists():
            wrong.append(f"{name_of(page)} links to {target}, which is not there")
        elif fragment and fragment not in anchors(path):
            wrong.append(f"{name_of(page)} links to {target}, which has no such heading")
    assert not wrong, "\n".join(wrong)


def links(page: Path) -> list[str]:
    """Targets of every link and picture outside of code."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"`[^`\n]*`", "", text)
    return re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_reachable_from_the_readme() -> None:
    found, waiting = set(), [PROJECT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in found:
            continue
        found.add(page)
        for target in links(page):
            path = (page.parent / target.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.is_relative_to(PROJECT):
                waiting.append(path)
    lost = set(PAGES) - found
    assert not lost, f"no link leads to {sorted(str(page.relative_to(PROJECT)) for page in lost)}"


def test_the_reference_is_fresh() -> None:
    tool = PROJECT / "tools" / "reference"
    done = subprocess.run(
        [sys.executable, tool, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_picture_is_of_this_version() -> None:
    """Recorded again where stages, or what `up` says around them, have other words by now."""
    svg = (PROJECT / "docs" / "pictures" / "demo.svg").read_text("utf-8")
    last = re.sub(r"<[^>]+>", "", svg.rpartition("<g ")[2])
    stages = ("setup", "answers", "disks", "image", "first-boot", "specialize", "first-logon")
    for words in (
        *(STAGES[stage] for stage in stages),
        "provisioner up profiles/demo.yaml",
        "answer disc ejected and deleted",
        "demo is ready",
        "log on as dev: provisioner secret demo dev",
    ):
        assert words in last, words


def test_news_tells_of_this_version() -> None:
    news = (PROJECT / "NEWS.md").read_text("utf-8")
    newest = re.search(r"^## ([0-9.]+)", news, re.MULTILINE)
    assert newest is not None
    assert newest[1] == __version__


def test_news_and_readme_name_every_command() -> None:
    text = (PROJECT / "NEWS.md").read_text("utf-8")
    assert not [name for name in COMMANDS if f"`{name}`" not in text]


def test_the_readme_says_what_is_not_proven() -> None:
    readme = (PROJECT / "README.md").read_text("utf-8")
    assert "**not Windows**" in readme
    assert "docs/unproven.md" in readme


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_keep_to_plain_text(page: Path) -> None:
    """No em dashes, no paths of the machine that a page was written on, no stray tabs."""
    text = page.read_text("utf-8")
    assert "—" not in text
    assert "\t" not in text
    assert not re.search(r"/work/|/tmp/|/root/", text)
