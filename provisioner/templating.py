"""The one Jinja environment: strict, sandboxed, escaping by our own suffixes, slots for secrets.

Answer files, scripts, domain XML and reports go through it. A template sees only what it is given;
it cannot read files, call Python or see a secret: the filter `secret` leaves a slot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

from provisioner import quoting
from provisioner.errors import Place, ProvisionerError
from provisioner.frozen import frozen
from provisioner.secret import SecretRef, SecretSlot

ESCAPED = (".xml.j2", ".html.j2")
"""Templates whose expressions are escaped. Jinja's own rule looks at `.xml`, not at `.xml.j2`."""

_OPEN, _CLOSE = "\U000f5ec0", "\U000f5ec1"
_MARKER = re.compile(f"{_OPEN}([0-9]+){_CLOSE}")
_SLOTS = "slots of this rendering"


class TemplateError(ProvisionerError):
    """A template is missing, malformed, or asks for something that is not there."""

    exit_code = 2


@frozen
class NamedSecret:
    """A secret as templates see it: whose it is and where it comes from, never the value."""

    name: str
    reference: SecretRef


@frozen
class Rendered:
    """Rendered text with its slots still marked: `text` can be parsed, `parts` can be stored."""

    text: str
    """The text with one private-use marker for each slot."""
    slots: tuple[SecretSlot, ...]

    @property
    def parts(self) -> tuple[str | SecretSlot, ...]:
        """The text cut at its markers."""
        return self.split(self.text)

    def split(self, text: str) -> tuple[str | SecretSlot, ...]:
        """Any text derived from `text`, cut at its markers. Empty pieces are left out."""
        if not self.slots:
            return (text,)
        pieces: list[str | SecretSlot] = []
        for number, piece in enumerate(_MARKER.split(text)):
            if number % 2:
                pieces.append(self.slots[int(piece)])
            elif piece:
                pieces.append(piece)
        return tuple(pieces)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with a short way for what it would not refuse: the fields of our records, which
    are data and never methods, and a loop's `index`."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        kind = type(obj)
        if attribute in getattr(kind, "__dataclass_fields__", ()) and attribute[0] != "_":
            return getattr(obj, attribute)
        if attribute == "index" and kind is LoopContext:
            return obj.index
        return super().getattr(obj, attribute)


class Templates:
    """Templates of the given folders, the first folder that has a name wins.

    A template of an earlier folder reaches the one it hides as `shipped/NAME` (the last folder's).
    Compiled templates are kept, so make one of these per process and not one per machine; with
    `cache`, a folder that exists and is ours alone, they are kept from one process to the next.
    """

    def __init__(self, folders: Sequence[Path], *, cache: Path | None = None) -> None:
        loaders = [jinja2.FileSystemLoader(folder) for folder in folders]
        self._environment = _Environment(
            loader=jinja2.ChoiceLoader([*loaders, jinja2.PrefixLoader({"shipped": loaders[-1]})]),
            undefined=jinja2.StrictUndefined,
            autoescape=lambda name: name is not None and name.endswith(ESCAPED),
            keep_trailing_newline=True,
            auto_reload=False,
            bytecode_cache=jinja2.FileSystemBytecodeCache(str(cache)) if cache else None,
            cache_size=-1,
            finalize=_finalize,
        )
        self._environment.filters.update(
            secret=_secret,
            powershell=quoting.powershell,
            cmd_argument=quoting.cmd_argument,
            cmd_beside=quoting.cmd_beside,
            cmd_echo=quoting.cmd_echo,
            cmd_msi_argument=quoting.cmd_msi_argument,
            cmd_plain=quoting.cmd_plain,
            cmd_program_argument=quoting.cmd_program_argument,
            windows_argument=quoting.windows_argument,
        )

    def names(self) -> tuple[str, ...]:
        """Every template by its own name, sorted."""
        names = self._environment.list_templates(extensions=["j2"])
        return tuple(name for name in names if not name.startswith("shipped/"))

    def render(self, name: str, context: Mapping[str, Any]) -> Rendered:
        """One template with this context, or TemplateError with the template's name and line."""
        slots: list[SecretSlot] = []
        try:
            template = self._environment.get_template(name)
            text = template.render({**context, _SLOTS: slots})
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(
                f"template {error.name or name}: {error.message}",
                place=_place(error.filename or error.name or name, error.lineno),
            ) from error
        except jinja2.TemplateNotFound as error:
            raise TemplateError(
                f"there is no template {error.name}",
                hint="templates are looked for in your own folder, then in the shipped one",
            ) from error
        except (jinja2.TemplateError, ProvisionerError) as error:
            raise self._translated(name, error, error.message or "failed") from error
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
            raise self._translated(name, error, str(error)) from error
        return Rendered(text=text, slots=tuple(slots))

    def _translated(self, name: str, error: Exception, message: str) -> TemplateError:
        """The same error at the innermost template line of its traceback, which Jinja rewrites."""
        file, line = name, 0
        step = error.__traceback__
        while step is not None:
            if step.tb_frame.f_code.co_filename.endswith(".j2"):
                file, line = step.tb_frame.f_code.co_filename, step.tb_lineno
            step = step.tb_next
        hint = error.hint if isinstance(error, ProvisionerError) else None
        return TemplateError(f"template {name}: {message}", hint=hint, place=_place(file, line))


def _place(file: str, line: int) -> Place:
    try:
        source = Path(file).read_text(encoding="utf-8").splitlines()[line - 1] if line else None
    except (OSError, ValueError, IndexError):
        source = None
    return Place(file=file, line=line, column=1 if line else 0, source=source)


def _finalize(value: Any) -> Any:
    """Keeps other values from passing for a slot's marker; runs on every expression.

    Markup is a marker, or the output of a macro whose expressions came through here already.
    """
    if (
        isinstance(value, str)
        and (_OPEN in value or _CLOSE in value)
        and not isinstance(value, Markup)
    ):
        raise TemplateError("the characters U+F5EC0 and U+F5EC1 are reserved for slots")
    return value


@pass_context
def _secret(context: Context, value: NamedSecret, encoding: str) -> Markup:
    """Leaves a slot that a writer fills with the secret, encoded for this place."""
    if not isinstance(value, NamedSecret):
        raise TemplateError("the filter `secret` takes a secret of the profile")
    if encoding not in quoting.ENCODINGS:
        known = ", ".join(quoting.ENCODINGS)
        raise TemplateError(f"no encoding {encoding!r} for a secret", hint=f"there are: {known}")
    slots: list[SecretSlot] = context[_SLOTS]
    slots.append(SecretSlot(name=value.name, reference=value.reference, encoding=encoding))
    return Markup(f"{_OPEN}{len(slots) - 1}{_CLOSE}")
