"""References to secrets in a profile."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from provisioner.profile.secrets import SecretValue, reference_from
from provisioner.profile.values import BadValue
from provisioner.secret import (
    FromCommand,
    FromEnvironment,
    FromFile,
    FromKeyring,
    Generated,
    Plain,
    SecretRef,
)

METACHARACTERS = "<&>'\"]]>%PATH%^|!$(x)`;,=~{}[]@#\\/*? é€😀"


@pytest.mark.parametrize(
    ("written", "reference"),
    [
        ({"env": "DEV_PASSWORD"}, FromEnvironment(env="DEV_PASSWORD")),
        ({"file": "keys/a b.txt"}, FromFile(file="keys/a b.txt")),
        ({"command": ["pass", "show", "x"]}, FromCommand(command=("pass", "show", "x"))),
        ({"keyring": "provisioner/dev11"}, FromKeyring(keyring="provisioner/dev11")),
        ({"generate": 20}, Generated(generate=20)),
        ({"plain": METACHARACTERS}, Plain(plain=METACHARACTERS)),
    ],
)
def test_references(written: object, reference: SecretRef) -> None:
    adapter: TypeAdapter[SecretRef] = TypeAdapter(SecretValue)
    assert adapter.validate_json(json.dumps(written), strict=True) == reference


@pytest.mark.parametrize(
    ("written", "message", "at"),
    [
        ("hunter2", "a reference, not as a value", ()),
        (4711, "a reference, not as a value", ()),
        (None, "a reference, not as a value", ()),
        (["hunter2"], "a reference, not as a value", ()),
        ({}, "exactly one source", ()),
        ({"env": "A", "file": "hunter2"}, "exactly one source", ()),
        ({"hunter2": None}, "no source of a secret", ("hunter2",)),
        ({"plian": "hunter2"}, "no source of a secret", ("plian",)),
        ({"env": "hunter2!"}, "not what 'env' takes", ("env",)),
        ({"env": 3}, "not what 'env' takes", ("env",)),
        ({"file": ""}, "not what 'file' takes", ("file",)),
        ({"keyring": "hunter2"}, "not what 'keyring' takes", ("keyring",)),
        ({"command": "pass show hunter2"}, "takes a list", ("command",)),
        ({"command": []}, "takes a list", ("command",)),
        ({"command": ["a", 3]}, "takes a list", ("command",)),
        ({"command": [""]}, "has no program", ("command", 0)),
        ({"generate": 3}, "from 12 to 127", ("generate",)),
        ({"generate": 128}, "from 12 to 127", ("generate",)),
        ({"generate": True}, "from 12 to 127", ("generate",)),
        ({"generate": "20"}, "from 12 to 127", ("generate",)),
        ({"plain": 1234}, "takes a text", ("plain",)),
        ({"plain": ""}, "is empty", ("plain",)),
        ({"plain": "hunter2\n"}, "control character", ("plain",)),
        ({"plain": "hunter2\t"}, "control character", ("plain",)),
        ({"plain": "hunter2\x85"}, "control character", ("plain",)),
    ],
)
def test_no_references_and_nothing_is_echoed(
    written: object, message: str, at: tuple[str | int, ...]
) -> None:
    with pytest.raises(BadValue) as caught:
        reference_from(written)
    assert message in caught.value.message
    assert caught.value.at == at
    assert "hunter2" not in repr((caught.value.message, caught.value.hint))


def test_a_near_miss_gets_a_suggestion() -> None:
    with pytest.raises(BadValue) as caught:
        reference_from({"plian": "x"})
    assert caught.value.hint == "did you mean 'plain'?"


@pytest.mark.parametrize("mode", ["json", "python"])
def test_a_dump_masks_a_literal(mode: str) -> None:
    adapter: TypeAdapter[SecretRef] = TypeAdapter(SecretValue)
    assert adapter.dump_python(Plain(plain="hunter2"), mode=mode) == {"plain": "********"}
    assert adapter.dump_python(FromEnvironment(env="A"), mode=mode) == {"env": "A"}


def test_pydantics_own_message_does_not_echo() -> None:
    adapter: TypeAdapter[SecretRef] = TypeAdapter(
        SecretValue, config={"hide_input_in_errors": True}
    )
    with pytest.raises(ValidationError) as caught:
        adapter.validate_json('"hunter2"')
    assert "hunter2" not in str(caught.value)
