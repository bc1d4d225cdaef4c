"""pydantic's errors in our words: the one place where they are translated.

Never shows an input value of a field that may hold a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from provisioner.frozen import frozen
from provisioner.profile import fields
from provisioner.profile.fields import Form, Forms, Path
from provisioner.profile.places import Finding
from provisioner.profile.quantities import Duration, Size, duration_hint, size_hint
from provisioner.profile.values import BadValue, did_you_mean
from provisioner.profile.windows import STEP_KINDS

_MISMATCHES = frozenset(
    (
        "string_type",
        "int_type",
        "int_from_float",
        "bool_type",
        "tuple_type",
        "model_type",
        "model_attributes_type",
    )
)


@frozen
class _Located:
    """An error with its path in the data; a union's branches are told apart by `branch`."""

    error: ErrorDetails
    path: Path
    union: Path | None
    branch: str

    @property
    def is_mismatch(self) -> bool:
        return self.error["type"] in _MISMATCHES and self.path == self.union


def faulty_paths(error: ValidationError, data: Any) -> frozenset[Path]:
    """The paths in `data` that pydantic refused."""
    return frozenset(_locate(one, data).path for one in _errors(error))


def findings(error: ValidationError, data: Any, model: type[BaseModel]) -> Iterator[Finding]:
    """What is wrong, one finding for each mistake."""
    for located in _collapsed([_locate(one, data) for one in _errors(error)]):
        # pydantic does not count an item it refused; a list with one in it is not empty.
        if located.error["type"] == "too_short" and _value(data, located.path):
            continue
        yield _finding(located, data, model)


def _errors(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_input=False, include_url=False)


def _locate(error: ErrorDetails, data: Any) -> _Located:
    """Walk the data along pydantic's location, which also names the branches of unions."""
    path: list[str | int] = []
    union: Path | None = None
    branch = ""
    location = error["loc"]
    for index, part in enumerate(location):
        known = (isinstance(data, dict) and part in data) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        )
        if known:
            path.append(part)
            data = data[part]
        elif error["type"] == "missing" and index == len(location) - 1:
            path.append(part)
        elif union is None:
            union, branch = tuple(path), str(part)
    return _Located(error=error, path=tuple(path), union=union, branch=branch)


def _collapsed(errors: list[_Located]) -> Iterator[_Located]:
    """Of each union only the branch the value was meant for: the first whose type fits."""
    chosen: dict[Path, str] = {}
    for located in errors:
        if located.union is not None and not located.is_mismatch:
            chosen.setdefault(located.union, located.branch)
    for located in errors:
        union, branch = located.union, located.branch
        if union is None or chosen.setdefault(union, branch) == branch:
            yield located


def _finding(located: _Located, data: Any, model: type[BaseModel]) -> Finding:
    error, path = located.error, located.path
    context: Mapping[str, Any] = error.get("ctx", {})
    forms = fields.at(model, path)
    value = _value(data, path)
    key = _name(path)
    match error["type"]:
        case "value_error" if isinstance(context.get("error"), BadValue):
            bad: BadValue = context["error"]
            return Finding(path=(*path, *bad.at), message=bad.message, rule=bad.rule, hint=bad.hint)
        case "missing":
            return Finding(
                path=path,
                message=f"missing key '{key}'",
                rule="profile.missing-key",
                hint=_purpose(model, path),
                on_key=True,
            )
        case "extra_forbidden":
            return Finding(
                path=path,
                message=f"unknown key '{key}'",
                rule="profile.unknown-key",
                hint=_key_hint(model, path),
                on_key=True,
            )
        case "union_tag_not_found":
            return Finding(
                path=path,
                message="a step runs exactly one thing",
                rule="windows.step",
                hint=f"give it one of the keys {', '.join(STEP_KINDS)}",
            )
        case "literal_error" if isinstance(value, str):
            return Finding(
                path=path,
                message=f"'{key}' cannot be '{value}'",
                rule="profile.choice",
                hint=did_you_mean(value, _choices(forms)) or f"one of {', '.join(_choices(forms))}",
            )
        case "greater_than_equal":
            return _range(path, f"'{key}' must be at least {context['ge']}, not {value}")
        case "less_than_equal":
            return _range(path, f"'{key}' must be at most {context['le']}, not {value}")
        case "string_too_short" | "too_short":
            return _range(path, f"'{key}' is empty")
        case "string_too_long" | "too_long":
            what = "characters" if isinstance(value, str) else "items"
            most = context["max_length"]
            return _range(path, f"'{key}' has {len(value)} {what}, at most {most} are allowed")
        case kind if kind in _MISMATCHES or kind == "literal_error":
            return Finding(
                path=path,
                message=f"'{key}' wants {_wanted(forms)}, and this is {_kind(value)}",
                rule="profile.type",
                hint=_type_hint(forms, value) or _purpose(model, path),
            )
    return Finding(
        path=path,
        message=f"this is not possible for '{key}'",
        rule="profile.value",
        hint=_purpose(model, path),
    )


def _name(path: Path) -> str:
    """The key, and for an item of a list its number: `disks[0]`."""
    names = [index for index, part in enumerate(path) if isinstance(part, str)]
    if not names:
        return "profile"
    key, *numbers = path[names[-1] :]
    return str(key) + "".join(f"[{number}]" for number in numbers)


def _range(path: Path, message: str) -> Finding:
    return Finding(path=path, message=message, rule="profile.range")


def _value(data: Any, path: Path) -> Any:
    for part in path:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _choices(forms: Forms) -> tuple[str, ...]:
    return tuple(
        str(choice)
        for form in forms
        if get_origin(form.kind) is Literal
        for choice in get_args(form.kind)
    )


def _wanted(forms: Forms) -> str:
    words = [_word(form) for form in forms if form.kind not in (None, NoneType)]
    return " or ".join(dict.fromkeys(words)) or "something else"


def _word(form: Form) -> str:
    kind = form.kind
    if get_origin(kind) is Literal:
        return " or ".join(f"'{choice}'" for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return "a list"
    if form.model is not None:
        return "a mapping of keys"
    names = {Size: "a size", Duration: "a duration", int: "a whole number", bool: "true or false"}
    return names.get(kind, "text")


def _kind(value: Any) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
    return "a mapping of keys"


def _type_hint(forms: Forms, value: Any) -> str | None:
    kinds = [form.kind for form in forms]
    if isinstance(value, int | float) and not isinstance(value, bool):
        if Size in kinds:
            return size_hint(str(value))
        if Duration in kinds:
            return duration_hint(str(value))
    if isinstance(value, int | float) and _wanted(forms) == "text":
        return "put it in quotes"
    if isinstance(value, str):
        if int in kinds and value.strip().isdigit():
            return "take the quotes away"
        if bool in kinds and value.lower() in ("yes", "no", "on", "off", "y", "n"):
            return "write true or false"
        if any(get_origin(kind) is tuple for kind in kinds):
            return "write a list: [first, second]"
    return None


def _purpose(model: type[BaseModel], path: Path) -> str | None:
    """The first sentence of the field's description."""
    key = path[-1] if path else None
    found = fields.description(fields.at(model, path[:-1]), key) if isinstance(key, str) else None
    if found is None:
        return None
    sentence = " ".join(found.split()).split(". ")[0].rstrip(".")
    return f"{key}: {sentence}"


def _key_hint(model: type[BaseModel], path: Path) -> str | None:
    key = str(path[-1])
    siblings = fields.keys(fields.at(model, path[:-1]))
    if elsewhere := min(_paths_of(key, model, ()), key=len, default=None):
        return f"did you mean '{'.'.join(map(str, elsewhere))}'?"
    if near := did_you_mean(key, siblings):
        return near
    return f"known here: {', '.join(siblings)}" if siblings else None


def _paths_of(key: str, model: type[BaseModel], path: Path) -> Iterator[Path]:
    """Where else a key of this name stands."""
    if key in model.model_fields:
        yield (*path, key)
    for name, annotation in fields.hints(model).items():
        for form in fields.forms(annotation):
            if form.model is not None:
                yield from _paths_of(key, form.model, (*path, name))
