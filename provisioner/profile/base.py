"""What all profile models share.

Modules of models do without `annotations` from `__future__`: pydantic would compile each again.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ProfileModel(BaseModel):
    """Frozen, no unknown keys, no input values in error messages (they may be secrets).

    Field docstrings are the descriptions of the editor schema and of the reference (`docstrings`).
    Validators are built when they are first needed: once, for the whole of a Profile. That is why a
    default is written `Model.model_construct()`; `Model()` would want a validator of its own.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        validate_default=True,
        defer_build=True,
    )


HostPath = Annotated[str, Field(min_length=1, json_schema_extra={"format": "host-path"})]
"""A path on this machine. `load` expands `~` and resolves it against the folder of the file that
supplied it, before validation, so that it is absolute in a Profile."""
