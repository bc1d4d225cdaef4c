"""How a profile names a secret: one of six references, never a bare text.

Nothing here may show the value of `plain`, nor a text that stands where a reference should.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from provisioner.profile.values import BadValue, did_you_mean
from provisioner.secret import (
    FromCommand,
    FromEnvironment,
    FromFile,
    FromKeyring,
    Generated,
    Plain,
    SecretRef,
)

KINDS = ("env", "file", "command", "keyring", "generate", "plain")
RULE = "profile.secret"

_WAYS = (
    "write {env: NAME}, {file: PATH}, {command: [PROGRAM, ...]}, {keyring: SERVICE/USER}, "
    '{generate: 20} or {plain: "..."}'
)
_ENVIRONMENT_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_KEYRING_ENTRY = r"[^/\x00-\x1f\x7f]+/[^\x00-\x1f\x7f]+"
_SHORTEST, _LONGEST = 12, 127


def reference_from(value: object) -> SecretRef:
    """The reference a parsed YAML value stands for, or BadValue. Takes a reference as it is."""
    if isinstance(
        value, FromEnvironment | FromFile | FromCommand | FromKeyring | Generated | Plain
    ):
        return value
    if not isinstance(value, Mapping):
        raise BadValue(
            "a secret is written as a reference, not as a value",
            rule=RULE,
            hint='a literal is {plain: "..."}; better keep it out of the file: {env: NAME}, '
            "{file: PATH}, {keyring: SERVICE/USER} or {generate: 20}",
        )
    if len(value) != 1:
        raise BadValue("a secret has exactly one source", rule=RULE, hint=_WAYS)
    [(kind, argument)] = value.items()
    match kind:
        case "env":
            return FromEnvironment(env=_text(argument, kind, _ENVIRONMENT_NAME, "NAME"))
        case "file":
            return FromFile(file=_text(argument, kind, r"[^\x00]+", "keys/win11.txt"))
        case "command":
            return FromCommand(command=_argv(argument))
        case "keyring":
            return FromKeyring(keyring=_text(argument, kind, _KEYRING_ENTRY, "service/user"))
        case "generate":
            return Generated(generate=_length(argument))
        case "plain":
            return Plain(plain=_literal(argument))
    # The key is not named: `{hunter2}` is a mapping with that key.
    near = did_you_mean(str(kind), KINDS)
    raise BadValue("this is no source of a secret", rule=RULE, hint=near or _WAYS, at=(str(kind),))


def _text(argument: object, kind: str, pattern: str, example: str) -> str:
    # The argument is not named: people put the secret itself here.
    if not isinstance(argument, str) or not re.fullmatch(pattern, argument):
        raise BadValue(
            f"this is not what '{kind}' takes",
            rule=RULE,
            hint=f"write {{{kind}: {example}}}",
            at=(kind,),
        )
    return argument


def _argv(argument: object) -> tuple[str, ...]:
    words = argument if isinstance(argument, list | tuple) else ()
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words):
        raise BadValue(
            "'command' takes a list of texts: the program and its arguments",
            rule=RULE,
            hint="no shell reads it; write {command: [pass, show, windows/dev11]}",
            at=("command",),
        )
    if not words[0]:
        raise BadValue("'command' has no program", rule=RULE, at=("command", 0))
    return tuple(words)


def _length(argument: object) -> int:
    if (
        not isinstance(argument, int)
        or isinstance(argument, bool)
        or not _SHORTEST <= argument <= _LONGEST
    ):
        raise BadValue(
            f"'generate' takes a length from {_SHORTEST} to {_LONGEST}",
            rule=RULE,
            hint="write {generate: 20}",
            at=("generate",),
        )
    return argument


def _literal(argument: object) -> str:
    if not isinstance(argument, str):
        raise BadValue("'plain' takes a text", rule=RULE, hint="put it in quotes", at=("plain",))
    if not argument:
        raise BadValue("'plain' is empty", rule=RULE, at=("plain",))
    if any(unicodedata.category(character) == "Cc" for character in argument):
        raise BadValue(
            "'plain' holds a line break, a tab or another control character",
            rule=RULE,
            hint="nobody can type it at a logon screen; in double quotes, \\ begins an escape",
            at=("plain",),
        )
    return argument


def _shown(reference: SecretRef) -> dict[str, Any]:
    match reference:
        case FromEnvironment(env=name):
            return {"env": name}
        case FromFile(file=path):
            return {"file": path}
        case FromCommand(command=argv):
            return {"command": list(argv)}
        case FromKeyring(keyring=entry):
            return {"keyring": entry}
        case Generated(generate=length):
            return {"generate": length}
        case Plain():
            return {"plain": "********"}


class SecretForm:
    """Teaches pydantic the references; in a dump a literal is masked."""

    def __get_pydantic_core_schema__(
        self, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            reference_from,
            serialization=core_schema.plain_serializer_function_ser_schema(_shown),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        forms: dict[str, tuple[str, dict[str, Any]]] = {
            "env": (
                "An environment variable, read when it is needed.",
                {"type": "string", "pattern": f"^{_ENVIRONMENT_NAME}$"},
            ),
            "file": ("A file that holds the secret.", {"type": "string", "minLength": 1}),
            "command": (
                "A program and its arguments; what it prints is the secret.",
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ),
            "keyring": (
                "An entry of the desktop's keyring, as service/user.",
                {"type": "string", "pattern": f"^{_KEYRING_ENTRY}$"},
            ),
            "generate": (
                "Made up once per machine, this many characters; `provisioner secret` prints it.",
                {"type": "integer", "minimum": _SHORTEST, "maximum": _LONGEST},
            ),
            "plain": (
                "The secret itself. Everybody who can read this file knows it.",
                {"type": "string", "minLength": 1, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$"},
            ),
        }
        return {
            "anyOf": [
                {
                    "type": "object",
                    "properties": {kind: {"description": text, **form}},
                    "required": [kind],
                    "additionalProperties": False,
                }
                for kind, (text, form) in forms.items()
            ]
        }


SecretValue = Annotated[SecretRef, SecretForm()]
"""A secret in a profile."""


def references(value: object, key: str = "") -> Iterator[tuple[str, SecretRef]]:
    """Every secret of a profile, or of a part of it, with its dotted key: `users[0].password`."""
    if isinstance(value, SecretRef):
        yield key, value
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from references(item, f"{key}[{index}]")
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from references(getattr(value, name), f"{key}.{name}".lstrip("."))
