"""Texts that are fuzzed: profiles, answer files, the settings table, lists about discs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import provisioner
from provisioner.answers.lint import Purpose, lint, target
from provisioner.answers.settings import read_table
from provisioner.disc.manifest import FORMAT, read_manifest
from provisioner.disc.sectors import SectorMap, Status, parse_map
from provisioner.profile.load import load_profile
from provisioner.resources import Resources, shipped_folder
from provisioner.store.library import Library

PACKAGE = Path(provisioner.__path__[0])
PROFILES = sorted((shipped_folder() / "profiles").glob("*.yaml"))
ANSWERS = sorted(Path(__file__).parents[1].glob("golden/answers/*/Autounattend.xml"))
MANY = """\
name: everything
extends: windows-11
media:
  install: {product: windows-11, build: ">=26100, <26200", language: en-US, evaluation: false}
  drivers: ~/iso/virtio-win.iso
windows: &w
  edition: "6"
  product_key: {command: [pass, "a b"]}
  locale: {format: de-AT, keyboard: [de-DE, "0409:00000409"], timezone: Europe/Vienna}
  administrator: {password: {env: PW}, enabled: true}
  users:
    - {name: "a\\u00e4", groups: [Administrators], password: {plain: "x: #"}}
  steps:
    - name: |
        several
      powershell: >-
        folded
        text
      exit_codes: [0, 3010]
      timeout: 10 min
machine: {memory: 8 GiB, disks: [{size: 80 GiB, bus: sata}], networks: [{}], graphics: null}
"""
"""Ways YAML can be written, and many keys."""
WRONG = """\
name: "9"
media: [x]
windows:
  product: windows-12
  editon: Pro
  product_key: bare
  locale: {keyboard: de-GE, timezone: Nowhere/Else, langauge: de-DE}
  administrator: {password: {envv: PW, file: x}}
  users: [{name: "a/b"}, {name: a, groups: 3, password: {generate: 1}}]
  steps: [{name: x}, {cmd: a, powershell: b}, {name: y, cmd: z, timeout: soon, exit_codes: []}]
machine: {cpus: "4", memory: 8, firmware: efi, disks: [], networks: [{mac: 52}], tpm: yes}
"""
"""Mistakes that messages have words for."""


def text_seeds() -> Mapping[str, list[bytes]]:
    """Inputs by the name of the target they are for."""
    table = PACKAGE / "answers/unattend-settings.tsv"
    rows = table.read_bytes().splitlines(keepends=True)
    answers = [path.read_bytes() for path in ANSWERS]
    sectors = SectorMap(10 << 20)
    sectors.mark(0, 5 << 20, Status.GOOD)
    sectors.mark(6 << 20, 7 << 20, Status.BAD)
    file = {"path": "a/b", "size": 3, "sha256": "0" * 64, "extents": [[2048, 3]], "modified": 1}
    manifest = {"format": FORMAT, "name": "a.iso", "size": 9, "sha256": "0" * 64, "label": "A"}
    entry = {"id": "0" * 12, "path": "/a.iso", "sha256": "0" * 64, "size": 9, "modified": 1}
    entry |= {"fingerprint": "f", "added": 1.0, "what": "a disc"}
    entry |= {"facts": {"kind": "windows-setup", "version": "10.0.26100.1", "editions": []}}
    return {
        "profile": [MANY.encode(), WRONG.encode(), *(path.read_bytes() for path in PROFILES)],
        "table": [b"".join(rows[:60]), b"".join(rows[-40:])],
        "lint": [*answers, answers[0].decode().replace("utf-8", "utf-16").encode("utf-16")],
        "manifest": [
            json.dumps({**manifest, "files": [file]}).encode(),
            b"0" * 64 + b"  a.iso\n" + b"1" * 64 + b" *other.iso\n",
        ],
        "sectors": [sectors.text().encode()],
        "library": [json.dumps({"format": 1, "media": [entry]}).encode()],
    }


def text_targets(folder: Path) -> Mapping[str, Callable[[bytes], object]]:
    """What is done with them; inputs that are read from a file are put into `folder`."""
    resources = Resources(shipped=shipped_folder())
    windows = target("11-24H2")

    def written(name: str, data: bytes) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    def profile(data: bytes) -> None:
        path = written("input.yaml", data)
        load_profile(str(path), resources=resources, home=folder, cwd=folder)

    def linted(data: bytes) -> None:
        for purpose in (Purpose(), Purpose(windows=windows, firmware="uefi")):
            for problem in lint(data, file="a.xml", purpose=purpose):
                assert len(problem.message) < 2000, problem.message

    def sectors(data: bytes) -> None:
        found = parse_map(data.decode("utf-8", "replace"))
        found.mark(0, 1 << 20, Status.BAD)
        assert parse_map(found.text()).runs == found.runs

    def library(data: bytes) -> None:
        written("media.json", data)
        for entry in Library(folder).entries():
            _ = (entry.product, entry.version, entry.languages)

    return {
        "profile": profile,
        "table": lambda data: read_table(data.decode("utf-8", "replace")),
        "lint": linted,
        "manifest": lambda data: read_manifest(written("manifest", data), "a.iso"),
        "sectors": sectors,
        "library": library,
    }
