"""What a small type says when a text is not one of its values, and how pydantic meets such types.

A type here is built from the text a person wrote and refuses every other text in its constructor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

T = TypeVar("T")


class BadValue(ValueError):
    """A text that a type refuses: message, rule id, hint. `at` leads to a part of the value.

    The message must not hold the text where that text may be a secret.
    """

    def __init__(
        self, message: str, *, rule: str, hint: str | None = None, at: tuple[str | int, ...] = ()
    ) -> None:
        super().__init__(message)
        self.message = message
        self.rule = rule
        self.hint = hint
        self.at = at


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the known word nearest to `word`, if one is near enough."""
    from difflib import get_close_matches

    by_lower = {candidate.lower(): candidate for candidate in known}
    near = get_close_matches(word.lower(), list(by_lower), n=1, cutoff=0.6)
    return f"did you mean '{by_lower[near[0]]}'?" if near else None


def schema_for(kind: type[T]) -> CoreSchema:
    """Core schema of a type built from one text: takes such a text, or an instance (a default)."""

    def read(value: object) -> T:
        if isinstance(value, kind):
            return value
        if not isinstance(value, str):
            raise PydanticKnownError("string_type")
        return kind(value)  # type: ignore[call-arg] # a T is anything; ours take one text

    return core_schema.no_info_plain_validator_function(
        read, serialization=core_schema.to_string_ser_schema()
    )


class TextValue(str):
    """A text that passed the check of its class; templates use it as the text it is."""

    __slots__ = ()
    json_schema: ClassVar[dict[str, Any]] = {}

    def __new__(cls, text: str) -> Self:
        return super().__new__(cls, cls.checked(text))

    @classmethod
    def checked(cls, text: str) -> str:
        """The text in its canonical spelling, or BadValue."""
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return schema_for(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", **cls.json_schema}
