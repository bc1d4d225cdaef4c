"""The docstrings below a model's fields: their documentation, read only when somebody wants it.

pydantic would collect them as well (`use_attribute_docstrings`), but at every import, and parsing
our sources is a tenth of the time that a whole `check` takes.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from textwrap import dedent

from pydantic import BaseModel


@cache
def docstrings(model: type[BaseModel]) -> Mapping[str, str]:
    """Field to description, of the fields that have one, those of base classes included."""
    bases = [base for base in reversed(model.__mro__) if issubclass(base, BaseModel)]
    return {name: text for base in bases[1:] for name, text in _of_class(base)}


def _of_class(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    for field, below in pairwise(definition.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
