"""What the models say about a path: which keys may stand there, whether it may be null, a path.

Annotations are the only source, so that nothing is said twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from provisioner.frozen import frozen
from provisioner.profile.secrets import SecretForm

Path = tuple[str | int, ...]


@frozen
class Form:
    """One thing a value may be: a type with its annotations."""

    kind: Any
    notes: tuple[Any, ...] = ()

    @property
    def model(self) -> type[BaseModel] | None:
        return (
            self.kind if isinstance(self.kind, type) and issubclass(self.kind, BaseModel) else None
        )

    @property
    def is_secret(self) -> bool:
        return any(isinstance(note, SecretForm) for note in self.notes)

    @property
    def is_host_path(self) -> bool:
        return any(
            isinstance(note, FieldInfo)
            and isinstance(note.json_schema_extra, dict)
            and note.json_schema_extra.get("format") == "host-path"
            for note in self.notes
        )


Forms = tuple[Form, ...]


def forms(annotation: Any, notes: tuple[Any, ...] = ()) -> Forms:
    """Everything a value of this annotation may be. A secret stays one form."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        notes = (*notes, *more)
        if any(isinstance(note, SecretForm) for note in more):
            return (Form(kind=inner, notes=notes),)
        return forms(inner, notes)
    if get_origin(annotation) in (Union, UnionType):
        return tuple(form for part in get_args(annotation) for form in forms(part, notes))
    return (Form(kind=annotation, notes=notes),)


@cache
def hints(model: type[BaseModel]) -> dict[str, Any]:
    """The annotations of a model's fields, with everything they carry."""
    found = get_type_hints(model, include_extras=True)
    return {name: found[name] for name in model.model_fields}


def below(these: Forms, part: str | int) -> Forms:
    """What may stand at `part` of a value that is one of `these`."""
    return tuple(found for form in these for found in _below(form, part))


def _below(form: Form, part: str | int) -> Iterator[Form]:
    if isinstance(part, int):
        if get_origin(form.kind) is tuple:
            yield from forms(get_args(form.kind)[0])
    elif form.model is not None and part in form.model.model_fields:
        yield from forms(hints(form.model)[part])


def at(model: type[BaseModel], path: Path) -> Forms:
    """What may stand at a path; empty where the models know nothing."""
    these: Forms = (Form(kind=model),)
    for part in path:
        these = below(these, part)
    return these


def description(these: Forms, key: str) -> str | None:
    """What the docstring says below the field of a mapping that is one of `these`."""
    from provisioner.profile.docstrings import docstrings

    for form in these:
        if form.model is not None and key in form.model.model_fields:
            return docstrings(form.model).get(key)
    return None


def models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and every one below it."""
    yield model
    for annotation in hints(model).values():
        for form in forms(annotation):
            for item in (form, *below((form,), 0)):
                if item.model is not None:
                    yield from models(item.model)


def keys(these: Forms) -> tuple[str, ...]:
    """All keys a mapping that is one of `these` may have, in the order of the models."""
    return tuple(
        dict.fromkeys(name for form in these if form.model for name in form.model.model_fields)
    )


def null_is_a_value(these: Forms) -> bool:
    """Whether null says something here (`graphics: null`), and is not only a key taken away."""
    return any(form.kind in (None, NoneType) for form in these)
