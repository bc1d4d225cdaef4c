"""Renders one page as self-contained HTML. Pure: records in, text out.

The page forbids itself everything but its own style and pictures (Content-Security-Policy), so that
nothing a guest wrote can do more than be read.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from markupsafe import Markup

from provisioner.frozen import frozen
from provisioner.resources import Resources, shipped_folder
from provisioner.templating import Templates

MOST_EMBEDDED = 16 << 20
"""Bytes of pictures inside a page; those beyond are named and stand beside it."""


@frozen
class Picture:
    """A PNG. `file` is where it lies beside the page."""

    file: str
    caption: str
    png: bytes


@frozen
class Row:
    """A line of the timeline. `mark` is `good`, `bad` or empty."""

    when: str
    text: str
    origin: str
    mark: str = ""


@frozen
class Explanation:
    """A cause with its fix, and the line that it is concluded from."""

    identifier: str
    cause: str
    fix: str
    where: str
    line: str


@frozen
class Line:
    """A line of a text. `mark` is `hit`, `error` or empty."""

    text: str
    mark: str = ""


@frozen
class Text:
    """The end of a text. `file` holds all of it, `note` says how much that is."""

    file: str
    note: str
    lines: tuple[Line, ...]
    opened: bool = False


@frozen
class Page:
    """An autopsy. `headline` is what happened, and `failed` whether that is a failure.

    `verdict` is None where nobody knows why.
    """

    title: str
    when: str
    headline: str
    failed: bool
    stage: str
    verdict: Explanation | None
    others: tuple[Explanation, ...]
    screen: Picture | None
    filmstrip: tuple[Picture, ...]
    rows: tuple[Row, ...]
    texts: tuple[Text, ...]
    facts: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]


def render(page: Page) -> str:
    """The page as HTML 5."""
    templates = _templates()
    style = Markup(templates.render("report/style.css.j2", {}).text)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    left = MOST_EMBEDDED
    embedded: dict[str, str] = {}
    for picture in [*([page.screen] if page.screen else []), *page.filmstrip]:
        left -= len(picture.png)
        if left >= 0:
            embedded[picture.file] = base64.b64encode(picture.png).decode()
    context = {"page": page, "style": style, "digest": digest, "embedded": embedded}
    return templates.render("report/autopsy.html.j2", context).text


@cache
def _templates() -> Templates:
    """The shipped ones only: a page is no place for a user's template to fail."""
    return Templates(Resources(shipped=shipped_folder()).template_folders())
