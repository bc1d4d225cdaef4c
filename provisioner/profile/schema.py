"""The JSON Schema that editors use to complete, explain and check a profile while it is written.

Accepts what the loader accepts of one file: keys may be missing where `extends` can supply them,
and null takes a key away. `provisioner.schema.json` is its output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from provisioner.profile.docstrings import docstrings
from provisioner.profile.fields import models
from provisioner.profile.model import Profile

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_EXTENDS = {
    "description": "The profile this one is built on: the name of a shipped one or of one in your "
    "configuration folder, or a file, relative to this one. Mappings merge, lists replace, null "
    "removes.",
    "examples": ["windows-11", "windows-server-2025", "./base.yaml"],
    "anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}],
}


def schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of a profile's file."""
    made = Profile.model_json_schema(mode="validation")
    definitions: dict[str, Any] = made.pop("$defs")
    for model in models(Profile):
        _describe(made if model is Profile else definitions[model.__name__], docstrings(model))
    in_lists = _item_models(made, definitions)
    for name, definition in definitions.items():
        _open(definition, keep_required=name in in_lists)
    _open(made, keep_required=False)
    made["properties"] = {"extends": _EXTENDS, **made["properties"]}
    return {
        "$schema": DIALECT,
        "title": "Profile of provisioner",
        **_tidied(made),
        "$defs": _tidied(definitions),
    }


def schema_text() -> str:
    """The schema as its file has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _describe(model: dict[str, Any], texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        model["properties"][name] = {"description": text, **model["properties"][name]}


def _item_models(root: dict[str, Any], definitions: dict[str, Any]) -> frozenset[str]:
    """Models that stand in lists. Lists replace, so nothing inherited can complete their items."""

    def references(value: Any) -> set[str]:
        match value:
            case {"$ref": str(reference)}:
                return {reference.rsplit("/", 1)[-1]}
            case dict():
                return {name for inner in value.values() for name in references(inner)}
            case list():
                return {name for inner in value for name in references(inner)}
        return set()

    found: set[str] = set()
    for model in (root, *definitions.values()):
        for field in model.get("properties", {}).values():
            for form in (field, *field.get("anyOf", ())):
                found |= references(form.get("items", {}))
    return frozenset(found)


def _open(model: dict[str, Any], *, keep_required: bool) -> None:
    """Let keys be missing, and null where it only takes a key away."""
    required = model.get("required", [])
    if not keep_required:
        model.pop("required", None)
    for name, field in model.get("properties", {}).items():
        if not (keep_required and name in required):
            model["properties"][name] = _or_null(field)


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    notes: dict[str, Any] = {
        key: field[key] for key in ("description", "default", "examples") if key in field
    }
    # pydantic writes the default of a dataclass (Size, Duration) as its fields.
    if isinstance(notes.get("default"), dict) and "text" in notes["default"]:
        notes["default"] = notes["default"]["text"]
    rest = {key: value for key, value in field.items() if key not in {*notes, "title"}}
    forms = rest["anyOf"] if set(rest) == {"anyOf"} else [rest]
    if not any(form.get("type") == "null" for form in forms):
        forms = [*forms, {"type": "null"}]
    return {**notes, "anyOf": forms}


def _tidied(value: Any) -> Any:
    """Without what pydantic adds for machines, and with descriptions on one line."""
    match value:
        case dict():
            return {
                key: " ".join(inner.split())
                if key == "description" and isinstance(inner, str)
                else _tidied(inner)
                for key, inner in value.items()
                if not (key == "title" and isinstance(inner, str))
                and not (key == "default" and isinstance(inner, dict | list | None))
            }
        case list():
            return [_tidied(inner) for inner in value]
    return value
