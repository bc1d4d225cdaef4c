"""TAB: what argcomplete's protocol answers, in three shells, and that it stays quick."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.store.machine import Forward, Generation, Machines, MachineState, Phase
from tests.unit.cli.program import PROGRAM, Home

HEAVY = ("pydantic", "jinja2", "yaml", "pycdlib", "libvirt", "rich", "babel")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    for name, drive in (("dev11", "sdc"), ("server", None)):
        Machines(home.state).store(name).save(
            MachineState(
                name=name,
                uri="qemu:///embed",
                phase=Phase.READY,
                profile="p.yaml",
                users=("jane", "Administrator"),
                current=Generation(
                    number=1,
                    domain=name,
                    digest="0",
                    answer_drive=drive,
                    forwards=(Forward(service="rdp", guest_port=3389, host_port=20001),),
                ),
            )
        )
    (home.work / "mine.yaml").write_text("")
    (home.work / "notes.txt").write_text("")
    (home.work / "iso").mkdir()
    (home.work / "iso/Win11.iso").write_text("")
    (home.folder / "home/.config/provisioner/profiles").mkdir(parents=True)
    (home.folder / "home/.config/provisioner/profiles/own.yaml").write_text("")
    known = {
        "id": "0123456789ab",
        "path": "/isos/Win11.iso",
        "sha256": "0123456789ab".ljust(64, "0"),
        "size": 1,
        "modified": 1,
        "fingerprint": "f",
        "added": 1.0,
        "what": "a disc",
        "facts": {},
    }
    (home.state / ".library").mkdir()
    (home.state / ".library/media.json").write_text(json.dumps({"format": 1, "media": [known]}))
    return home


def complete(home: Home, line: str, *, argv: tuple[str, ...] = PROGRAM) -> list[str]:
    """Completions of a line, as the shell functions ask for them: on file descriptor 8."""
    done = subprocess.run(
        ("/bin/sh", "-c", 'exec "$@" 8>&1 9>/dev/null 1>/dev/null', "sh", *argv),
        env=home.environment()
        | {
            "_ARGCOMPLETE": "1",
            "_ARGCOMPLETE_IFS": "\n",
            "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
        },
        cwd=home.work,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    found = done.stdout
    return [word.rstrip() for word in found.split("\n") if word]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("provisioner sta", ["status"]),
        ("provisioner down ", ["dev11", "server"]),
        ("provisioner delete d", ["dev11"]),
        ("provisioner connect s", ["server"]),
        ("provisioner secret dev11 ", ["jane", "Administrator"]),
        ("provisioner secret nobody ", []),
        ("provisioner secret ../x ", []),
        ("provisioner drive eject dev11 --drive ", ["sdb", "sdc"]),
        ("provisioner drive eject server --drive ", []),
        ("provisioner drive attach dev11 iso/", ["iso/Win11.iso"]),
        ("provisioner up o", ["own"]),
        ("provisioner up windows-10-", ["windows-10-iot-ltsc", "windows-10-ltsc"]),
        ("provisioner check m", ["mine.yaml"]),
        ("provisioner up x --media ", ["install=", "drivers="]),
        ("provisioner up x --media install=", ["/isos/Win11.iso", "iso/"]),
        ("provisioner up x --media install=iso/", ["iso/Win11.iso"]),
        ("provisioner up x --media install=/isos/W", ["/isos/Win11.iso"]),
        ("provisioner library remove ", ["0123456789ab"]),
        ("provisioner library verify W", ["Win11.iso"]),
        ("provisioner up x --set wi", ["windows."]),
        ("provisioner up x --set windows.locale.k", ["windows.locale.keyboard="]),
        ("provisioner up x --set windows.edition=P", []),
        ("provisioner up x --set windows.nothing.", []),
        ("provisioner up x --connect ", ["///system", "///session", "///embed"]),
        ("provisioner connect dev11 --with ", ["viewer", "rdp", "ssh"]),
        ("provisioner connect dev11 --pr", ["--print"]),
        ("provisioner config ", ["get", "set", "unset"]),
        ("provisioner config set media.d", ["media.drivers"]),
        ("provisioner config set colour ", ["auto", "always", "never"]),
        ("provisioner config set media.drivers iso/", ["iso/Win11.iso"]),
        ("provisioner new iso/W", ["iso/Win11.iso"]),
        ("provisioner completion z", ["zsh"]),
    ],
)
def test_words(home: Home, line: str, words: list[str]) -> None:
    found = complete(home, line)
    if words and words[0].startswith("///"):
        # bash cuts words at the colon; what comes before it stays.
        assert [word.removeprefix("qemu:") for word in found] == words
    else:
        assert found == words


def test_options_are_offered_only_when_begun(home: Home) -> None:
    assert complete(home, "provisioner status ") == ["dev11", "server"]
    assert "--screenshot" in complete(home, "provisioner status -")


def test_a_damaged_state_is_silence(home: Home) -> None:
    (home.state / "dev11/state.json").write_text("{")
    assert complete(home, "provisioner secret dev11 ") == []
    assert complete(home, "provisioner down ") == ["dev11", "server"]


def test_nothing_heavy_is_imported(home: Home) -> None:
    script = (
        "import os, sys\n"
        "from provisioner.cli.main import main\n"
        "def leave(code):\n"
        "    heavy = [m for m in sys.modules if m.partition('.')[0] in sys.argv[1:]]\n"
        "    os.write(8, ' '.join(heavy).encode() or b'none')\n"
        "    os.kill(os.getpid(), 9)\n"
        "os._exit = leave\n"
        "main([])\n"
    )
    for line in ("provisioner up win", "provisioner secret dev11 ", "provisioner config get "):
        answers = complete(home, line, argv=(sys.executable, "-c", script, *HEAVY))
        assert answers[-1].endswith("none"), answers


SOURCED = {
    "bash": 'COMP_WORDS=(provisioner down s); COMP_CWORD=2; COMP_LINE="provisioner down s";'
    " COMP_POINT=18; COMP_TYPE=9; _python_argcomplete provisioner s down;"
    ' printf "%s\\n" "${COMPREPLY[@]}"',
    "fish": 'complete -C "provisioner down s"',
}


@pytest.mark.parametrize("shell", SOURCED)
def test_the_script_works_in_the_shell(home: Home, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    home.program("provisioner", f'exec {sys.executable} -m provisioner "$@"')
    script = home.run("completion", shell).stdout
    done = subprocess.run(
        (shell, "-c", f"{script}\n{SOURCED[shell]}"),
        env=home.environment(),
        cwd=home.work,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "server" in done.stdout.split(), done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_is_good_shell(home: Home, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = home.run("completion", shell).stdout
    done = subprocess.run((shell, "-n"), input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\bprovisioner\b", script)


def test_as_json(home: Home) -> None:
    [event] = home.events("completion", "fish")
    assert event["shell"] == "fish" and "provisioner" in event["script"]
