"""`media.install: {product: windows-11, build: ">=26100", language: en-US}`: any disc that fits.

What is asked for; the library (`store.library`) knows which file that is.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from provisioner.frozen import frozen
from provisioner.profile.base import ProfileModel
from provisioner.profile.units import LanguageTag
from provisioner.profile.values import BadValue, schema_for

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}
_PART = r"(>=|<=|!=|==|>|<|) ?([0-9]{4,6})(?:\.([0-9]{1,6}))?"
_RANGE = rf"{_PART}(?: ?, ?{_PART})*"


@frozen
class BuildRange:
    """Windows builds: `BuildRange(">=26100, <26200")`; `26100` is every 26100.x."""

    text: str
    _parts: tuple[tuple[str, tuple[int, ...]], ...] = field(repr=False, compare=False)

    def __init__(self, text: str) -> None:
        parts = []
        for piece in text.split(","):
            found = re.fullmatch(_PART, piece.strip())
            if found is None:
                raise BadValue(
                    f"{text!r} is no range of Windows builds",
                    rule="media.build",
                    hint="write it like '>=26100', '26100.1742' or '>=22621, <26100'",
                )
            numbers = (int(found[2]), *((int(found[3]),) if found[3] else ()))
            parts.append((found[1], numbers))
        object.__setattr__(self, "text", text)
        object.__setattr__(self, "_parts", tuple(parts))

    def __str__(self) -> str:
        return self.text

    def contains(self, build: int, revision: int) -> bool:
        """Whether build `build.revision` is in the range."""
        return all(
            _COMPARISONS[comparison]((build, revision)[: len(numbers)], numbers)
            for comparison, numbers in self._parts
        )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[Any], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return schema_for(cls)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_RANGE}$", "examples": [">=26100", "26100.1742"]}


class MediaQuery(ProfileModel):
    """A disc of the library, by what is on it. The newest build that fits is taken."""

    product: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    """As `windows-11`, `windows-server-2025`, or `virtio-win` for drivers."""
    build: BuildRange | None = None
    """Builds that will do, as ">=26100". Default: any."""
    language: LanguageTag | None = None
    """A language the disc installs, as en-US. Default: any."""
    architecture: Literal["amd64", "arm64", "x86"] | None = None
    """Default: any."""
    edition: str | None = None
    """An edition id or name that has to be on it. Default: any."""
    evaluation: bool | None = None
    """Whether it is an evaluation disc. Default: either."""

    def __str__(self) -> str:
        """`windows-11, build >=26100, en-US`: for messages."""
        parts = [self.product]
        if self.build is not None:
            parts.append(f"build {self.build}")
        parts += [text for text in (self.language, self.architecture, self.edition) if text]
        if self.evaluation is not None:
            parts.append("evaluation" if self.evaluation else "not an evaluation")
        return ", ".join(parts)
