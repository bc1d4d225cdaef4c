"""`@frozen` beside the standard library's frozen dataclass: the same behaviour, one method made."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest

from provisioner.frozen import FEW, frozen


@frozen
class Ours:
    """Of every kind of field one."""

    name: str
    size: int = 3
    names: list[str] = field(default_factory=list, compare=False)
    plain: str = field(default="hidden", repr=False)
    length: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", len(self.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """The same."""

    name: str
    size: int = 3
    names: list[str] = field(default_factory=list, compare=False)
    plain: str = field(default="hidden", repr=False)
    length: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length", len(self.name))


@frozen
class Empty:
    """Nothing in it."""


@frozen
class Named:
    """Says itself how it looks and when it is equal."""

    name: str

    def __repr__(self) -> str:
        return "<named>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Named) and self.name.lower() == other.name.lower()

    def __hash__(self) -> int:
        return hash(self.name.lower())


KINDS = pytest.mark.parametrize("kind", [Ours, Theirs])


@KINDS
def test_what_it_holds(kind: Callable[..., Any]) -> None:
    made = kind(name="ab", size=4)
    assert repr(made) == f"{kind.__name__}(name='ab', size=4, names=[], length=2)"  # type: ignore[attr-defined]
    assert asdict(made) == {"name": "ab", "size": 4, "names": [], "plain": "hidden", "length": 2}
    assert [each.name for each in fields(made)] == ["name", "size", "names", "plain", "length"]
    assert kind(name="ab").names is not kind(name="ab").names
    assert not hasattr(made, "__dict__")


def test_the_first_few_are_like_all_others() -> None:
    """Made by a general `__init__`, and then by one compiled for the class."""

    @frozen
    class Fresh:
        name: str
        names: list[str] = field(default_factory=list)
        length: int = field(init=False)

        def __post_init__(self) -> None:
            object.__setattr__(self, "length", len(self.name))

    general = Fresh.__init__
    made = [Fresh(name="ab") for _ in range(FEW)]
    assert Fresh.__init__ is general
    made += [Fresh(name="ab") for _ in range(3)]
    assert Fresh.__init__ is not general
    assert {(one.name, tuple(one.names), one.length) for one in made} == {("ab", (), 2)}
    assert len({id(one.names) for one in made}) == len(made)


@KINDS
def test_equal_by_what_counts(kind: Callable[..., Any]) -> None:
    one, same = kind(name="a", names=["x"]), kind(name="a", names=["y"])
    assert one == same and hash(one) == hash(same) and len({one, same}) == 1
    assert one != kind(name="b") and one != kind(name="a", plain="x")
    assert one != object() and kind(name="a").__eq__(1) is NotImplemented


@KINDS
def test_never_changes(kind: Callable[..., Any]) -> None:
    made = kind(name="a")
    for change in (
        lambda: setattr(made, "name", "b"),
        lambda: setattr(made, "other", "b"),
        lambda: delattr(made, "name"),
    ):
        with pytest.raises((FrozenInstanceError, TypeError)):
            change()
    assert made.name == "a"
    assert replace(made, name="bcd").length == 3


@KINDS
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(kind: Callable[..., Any], how: Callable[[Any], Any]) -> None:
    made = kind(name="a", names=["x"])
    assert how(made) == made and how(made).names == ["x"] and how(made).length == 1


@KINDS
@pytest.mark.parametrize(
    ("positional", "named"), [((), {}), (("a",), {}), ((), {"name": "a", "wrong": 1})]
)
def test_wrong_calls(kind: Callable[..., Any], positional: Any, named: Any) -> None:
    with pytest.raises(TypeError):
        kind(*positional, **named)


def test_own_methods_stay() -> None:
    assert Named(name="A") == Named(name="a") and hash(Named(name="A")) == hash(Named(name="a"))
    assert repr(Named(name="A")) == "<named>"


def test_empty() -> None:
    assert Empty() == Empty() and hash(Empty()) == hash(Empty()) and repr(Empty()) == "Empty()"
    with pytest.raises(FrozenInstanceError):
        Empty().x = 1  # type: ignore[attr-defined, misc]


def test_a_mutable_default_is_refused() -> None:
    with pytest.raises(ValueError, match="mutable default"):

        @frozen
        class Shared:
            """One list for all."""

            names: list[str] = []  # noqa: RUF012 (that is what is tested)
