"""`@frozen`: a frozen, slotted, keyword-only dataclass that is quick to define.

The standard library compiles six methods for each such class (three quarters of a millisecond in
Python 3.11), and every command defines a hundred of them before it does anything. Here one method
is compiled, `__init__`, and only for a class of which many are made; the others are shared.
What the class is stays the library's doing: fields, defaults, slots, `dataclasses.replace`,
`fields` and `asdict` work as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, cast, dataclass_transform

FEW = 8
"""Instances that are made without a compiled `__init__`."""

_Class = TypeVar("_Class", bound=type)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: _Class) -> _Class:
    """Makes a class with annotated fields one whose instances never change.

    Equal are instances of the same class with equal fields (those with `compare`).
    """
    # The library would write the signature there, which takes it two milliseconds.
    cls.__doc__ = cls.__doc__ or cls.__name__
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=True)(cls)
    every = fields(made)
    values = _values(tuple(each.name for each in every if each.compare))

    def equal(self: Any, other: object) -> Any:
        same = other.__class__ is self.__class__
        return values(self) == values(other) if same else NotImplemented

    def hashed(self: Any) -> int:
        return hash(values(self))

    methods: dict[str, Any] = {
        "__init__": _made_at_first(made),
        "__repr__": _repr,
        "__eq__": equal,
        "__setattr__": _refuse,
        "__delattr__": _refuse,
        "__getstate__": _state,
        "__setstate__": _restore,
    }
    if "__eq__" not in vars(cls):
        methods["__hash__"] = hashed
    for name, method in methods.items():
        if name not in vars(cls):
            setattr(made, name, method)
    return cast(_Class, made)


def _made_at_first(made: Any) -> Callable[..., None]:
    """An `__init__` that serves the first few instances, and then puts a compiled one in its place:
    of most classes no more are made, and compiling takes as long as ten of them."""
    every = {each.name: each for each in fields(made) if each.init}
    runs_more = hasattr(made, "__post_init__")
    left = FEW

    def init(self: Any, *given: Any, **values: Any) -> None:
        nonlocal left
        left -= 1
        missing = every.keys() - values.keys()
        if (
            left < 0
            or given
            or len(values) + len(missing) > len(every)
            or any(_default(every[name]) is MISSING for name in missing)
        ):
            made.__init__ = _init(fields(made), runs_more=runs_more)
            made.__init__(self, *given, **values)
            return
        for name in every:
            value = values[name] if name in values else _default(every[name])()
            object.__setattr__(self, name, value)
        if runs_more:
            self.__post_init__()

    return init


def _default(each: Field[Any]) -> Any:
    """What makes the default of a field; MISSING where it has none."""
    if each.default is not MISSING:
        return lambda: each.default
    return each.default_factory


def _init(every: tuple[Field[Any], ...], *, runs_more: bool) -> Callable[..., None]:
    """The one method that is made for its class: the interpreter checks names and defaults."""
    scope: dict[str, Any] = {"_set": object.__setattr__, "_missing": MISSING}
    parameters, body = [], []
    for each in every:
        name, value = each.name, each.name
        if not each.init:
            continue
        if each.default is not MISSING:
            scope[f"_default_{name}"] = each.default
            parameters.append(f"{name}=_default_{name}")
        elif each.default_factory is not MISSING:
            scope[f"_make_{name}"] = each.default_factory
            parameters.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        else:
            parameters.append(name)
        body.append(f"_set(self, {name!r}, {value})")
    if runs_more:
        body.append("self.__post_init__()")
    star = "*, " if parameters else ""
    lines = "\n    ".join(body or ["pass"])
    exec(f"def __init__(self, {star}{', '.join(parameters)}):\n    {lines}", scope)
    init: Callable[..., None] = scope["__init__"]
    return init


def _values(names: tuple[str, ...]) -> Callable[[Any], Any]:
    if not names:
        return lambda _: ()
    return attrgetter(*names)


def _repr(self: Any) -> str:
    shown = ", ".join(
        f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr
    )
    return f"{type(self).__qualname__}({shown})"


def _refuse(self: Any, name: str, value: object = None) -> None:
    raise FrozenInstanceError(f"{type(self).__qualname__}.{name} cannot be changed")


def _state(self: Any) -> list[Any]:
    return [getattr(self, each.name) for each in fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for each, value in zip(fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)
