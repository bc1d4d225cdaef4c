"""The schema editors use: fresh, valid, and of one mind with the loader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from provisioner.errors import Problem
from provisioner.profile.schema import schema, schema_text
from provisioner.profile.yamlfile import Node, read_text

Check = Callable[..., tuple[Problem, ...]]

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "profiles").glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def plain(node: Node) -> Any:
    if isinstance(node.value, tuple):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    return node.value


def data(text: str) -> Any:
    root = read_text(text, shown="x").root
    assert root is not None
    return plain(root)


def test_the_committed_schema_is_fresh() -> None:
    committed = (ROOT / "provisioner.schema.json").read_text(encoding="utf-8")
    assert committed == schema_text(), (
        "run: python -c 'from provisioner.profile.schema import schema_text as s; "
        'print(s(), end="")\' > provisioner.schema.json'
    )


def test_every_key_is_described() -> None:
    made = schema()
    for model in (made, *made["$defs"].values()):
        assert model["additionalProperties"] is False
        for name, field in model["properties"].items():
            referred = [form["$ref"].rsplit("/")[-1] for form in field["anyOf"] if "$ref" in form] \
                if "anyOf" in field else []  # fmt: skip
            described = field.get("description") or all(
                made["$defs"][other].get("description") for other in referred or ["nothing"]
            )
            assert described, name


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles(validator: jsonschema.Draft202012Validator, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=../provisioner.schema.json\n")
    validator.validate(data(text))


BASE = "name: vm\nwindows: {product: windows-10, administrator: {password: {env: A}}}\n"

GOOD = [
    "",
    "extends: windows-11\n",
    "extends: null\n",
    "description: null\nmedia: null\n",
    "machine: {cpus: null, graphics: null, disks: [{size: null, bus: nvme}], ready: null}\n",
    "machine: {networks: [{mac: '52:54:00:12:34:56', network: lan}]}\n",
    "machine: {disks: [{size: 1.5TiB}, {}], ready: {within: 1 h 30 min, when: power-off}}\n",
    "media: {install: ~/x.iso}\n",
]
GOOD_WINDOWS = [
    "edition: 6",
    "edition: Pro N",
    "computer_name: PC_1",
    "product_key: {file: a.txt}",
    "product_key: {command: [pass, show]}",
    "recovery: null",
    "users: null",
    "users: [{name: Jürgen, password: {plain: 'a b'}, groups: null, description: null}]",
    "steps: [{name: a, cmd: b}, {name: c, powershell: d, exit_codes: [0, 3010], timeout: 5 min}]",
    "locale: {keyboard: [de-DE, '0407:00000407'], language: sr-Latn-RS, timezone: Asia/Tokyo}",
    "locale: {keyboard: en-US}",
    "users: [{name: a, password: {keyring: a/b}}, {name: b, password: {generate: 12}}]",
    "settings: {registry: [{key: 'hklm\\a', data: 1}, {key: 'HKU\\Default\\a', data: [x]}]}",
    "settings: {page_file: none, power: {sleep: never, screen_off: 5 min}, desktop: {dark: null}}",
    "settings: {page_file: {initial: 1 GiB, maximum: 2 GiB}, firewall: {ping: true}}",
    "remote: {ssh: {}, desktop: null}",
]
BAD = [
    "nmae: x\n",
    "extends: 3\n",
    "extends: [a, b]\n",
    "machine: {cpus: 0}\n",
    "machine: {cpus: '2'}\n",
    "machine: {memory: 8}\n",
    "machine: {memory: 8G}\n",
    "machine: {firmware: efi}\n",
    "machine: {disks: []}\n",
    "machine: {networks: [{mac: '53:54:00:12:34:56'}]}\n",
    "machine: {ready: {within: 5m}}\n",
    "name: a b\n",
    "name: '12'\n",
    "media: {install: 3}\n",
]
BAD_WINDOWS = [
    "product: windows-12",
    "edition: 0",
    "computer_name: ABCDEFGHIJKLMNOP",
    "computer_name: '123'",
    "product_key: AAAAA",
    "product_key: {env: A, file: b}",
    "product_key: {generate: 3}",
    "users: [{name: a}]",
    "users: [{name: 'a:b', password: {env: A}}]",
    "steps: [{name: x}]",
    "steps: [{name: x, cmd: a, powershell: b}]",
    "locale: {keyboard: '0407:1'}",
    "locale: {language: german}",
    "autologon: {user: a, times: 0}",
    "settings: {registry: [{key: 'HKCR\\a', data: 1}]}",
    "settings: {registry: [{key: 'HKLM\\a', data: 1.5}]}",
    "settings: {power: {sleep: always}}",
    "settings: {power: {plan: fast}}",
    "settings: {page_file: big}",
    "settings: {files: [{source: a, to: Tools}]}",
    "settings: {firewall: {ping: 1}}",
    "settings: {features: {enable: ['a b']}}",
    "remote: {ssh: {authorized_keys: [id_ed25519.pub]}}",
    "remote: {ssh: true}",
]


def test_good(validator: jsonschema.Draft202012Validator, problems_of: Check) -> None:
    for text in (*(BASE + more for more in GOOD), *map(_windows, GOOD_WINDOWS)):
        errors = [problem for problem in problems_of(text) if problem.severity == "error"]
        assert not errors, text
        validator.validate(data(text))


def test_bad(validator: jsonschema.Draft202012Validator, problems_of: Check) -> None:
    for text in (*(_with(more) for more in BAD), *map(_windows, BAD_WINDOWS)):
        assert any(problem.severity == "error" for problem in problems_of(text)), text
        assert not validator.is_valid(data(text)), text


def _with(more: str) -> str:
    return more if more.startswith("name") else BASE + more


def _windows(line: str) -> str:
    product = "" if line.startswith("product:") else "  product: windows-10\n"
    return f"windows:\n{product}  administrator: {{password: {{env: A}}}}\n  {line}\n"


def test_keys_may_be_missing_where_extends_can_supply_them(
    validator: jsonschema.Draft202012Validator,
) -> None:
    validator.validate(data("extends: windows-11\nwindows: {autologon: {times: 2}}\n"))
