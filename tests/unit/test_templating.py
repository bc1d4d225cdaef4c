"""The template environment: strict, sandboxed, escaping by suffix, slots for secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from jinja2 import Environment, nodes

from provisioner.resources import Resources, shipped_folder
from provisioner.secret import FromEnvironment, SecretSlot
from provisioner.templating import NamedSecret, TemplateError, Templates

PASSWORD = NamedSecret(name="users.dev", reference=FromEnvironment(env="DEV_PASSWORD"))
QUOTING_FILTERS = {
    ".ps1.j2": {"powershell", "secret"},
    ".cmd.j2": {
        *("cmd_argument", "cmd_beside", "cmd_echo", "cmd_msi_argument", "cmd_plain"),
        *("cmd_program_argument", "secret"),
    },
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Templates]:
    def written(name: str, text: str) -> Templates:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Templates([tmp_path])

    return written


Write = Callable[[str, str], Templates]


def test_escapes_by_our_suffixes(write: Write) -> None:
    write("a.xml.j2", "{{ x }}")
    write("a.html.j2", "{{ x }}")
    templates = write("a.ps1.j2", "{{ x }}")
    assert templates.render("a.xml.j2", {"x": "<&>"}).text == "&lt;&amp;&gt;"
    assert templates.render("a.html.j2", {"x": "<&>"}).text == "&lt;&amp;&gt;"
    assert templates.render("a.ps1.j2", {"x": "<&>"}).text == "<&>"


def test_a_secret_is_a_slot(write: Write) -> None:
    write("part.xml.j2", '<b>{{ p | secret("unattend:Password") }}</b>')
    write(
        "a.xml.j2",
        '{% macro m() %}[{{ caller() }}]{% endmacro %}<a>{% include "part.xml.j2" %}'
        '{% call m() %}{{ p | secret("xml") }}{% endcall %}</a>',
    )
    templates = write("z.xml.j2", "")
    slot = SecretSlot(name="users.dev", reference=PASSWORD.reference, encoding="unattend:Password")
    other = SecretSlot(name="users.dev", reference=PASSWORD.reference, encoding="xml")
    rendered = templates.render("a.xml.j2", {"p": PASSWORD})
    assert rendered.parts == ("<a><b>", slot, "</b>[", other, "]</a>")


def test_slots_beside_each_other(write: Write) -> None:
    templates = write("a.ps1.j2", '{{ p | secret("powershell") }}{{ p | secret("plain") }}')
    parts = templates.render("a.ps1.j2", {"p": PASSWORD}).parts
    assert [part.encoding for part in parts if isinstance(part, SecretSlot)] == [
        "powershell",
        "plain",
    ]
    assert len(parts) == 2


def test_text_cannot_pass_for_a_slot(write: Write) -> None:
    templates = write("a.xml.j2", '{{ p | secret("xml") }}{{ x }}')
    with pytest.raises(TemplateError, match="reserved"):
        templates.render("a.xml.j2", {"p": PASSWORD, "x": "\U000f5ec00\U000f5ec1"})


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("one\n{{ missing }}", 2, "'missing' is undefined"),
        ("one\ntwo\n{{ x.nothing }}", 3, "nothing"),
        ("{% if x %}\n{{ x }}", 2, "Unexpected end of template"),
        ("\n\n{{ x | nofilter }}", 3, "No filter named 'nofilter'"),
        ("\n{{ x | powershell }}", 2, "U\\+0007"),
        ("{{ x }}\n{{ x + 1 }}", 2, "str"),
        ('\n{{ x | secret("xml") }}', 2, "takes a secret"),
        ("\n{{ p | secret('rot13') }}", 2, "no encoding 'rot13'"),
        ('\n{% include "absent.ps1.j2" %}', 0, "no template absent.ps1.j2"),
        ("{{ x.__class__ }}", 1, "unsafe"),
        ("{{ x.__class__.__mro__ }}", 1, "unsafe"),
        ("{{ items.append(1) }}", 1, "unsafe|not safely callable"),
    ],
)
def test_errors_name_template_and_line(
    write: Write, tmp_path: Path, text: str, line: int, message: str
) -> None:
    templates = write("a.ps1.j2", text)
    with pytest.raises(TemplateError, match=message) as caught:
        templates.render("a.ps1.j2", {"x": "\a", "p": PASSWORD, "items": [1]})
    if line:
        assert caught.value.place is not None
        assert caught.value.place.file == str(tmp_path / "a.ps1.j2")
        assert caught.value.place.line == line


def test_an_error_in_an_included_template_names_that_template(write: Write) -> None:
    write("part.xml.j2", "\n\n{{ missing }}")
    templates = write("a.xml.j2", '{% include "part.xml.j2" %}')
    with pytest.raises(TemplateError) as caught:
        templates.render("a.xml.j2", {})
    assert caught.value.place is not None
    assert caught.value.place.file.endswith("part.xml.j2")
    assert caught.value.place.line == 3
    assert caught.value.place.source == "{{ missing }}"


def test_the_first_folder_wins_and_reaches_the_shipped_one(tmp_path: Path) -> None:
    user, shipped = tmp_path / "user", tmp_path / "shipped"
    for folder, text in ((user, '[{% include "shipped/a.xml.j2" %}]'), (shipped, "shipped")):
        folder.mkdir()
        (folder / "a.xml.j2").write_text(text)
    (shipped / "b.xml.j2").write_text("b")
    templates = Templates([user, shipped])
    assert templates.render("a.xml.j2", {}).text == "[shipped]"
    assert templates.render("b.xml.j2", {}).text == "b"


def test_templates_cannot_leave_their_folders(write: Write, tmp_path: Path) -> None:
    (tmp_path.parent / "outside.xml.j2").write_text("secret")
    templates = write("a.xml.j2", '{% include "../outside.xml.j2" %}')
    with pytest.raises(TemplateError):
        templates.render("a.xml.j2", {})


SHIPPED = Templates(Resources(shipped=shipped_folder()).template_folders())
SCRIPTS = [name for name in SHIPPED.names() if name.endswith(tuple(QUOTING_FILTERS))]


def unquoted(source: str, filters: set[str]) -> list[int]:
    """Lines with an expression whose outermost operation is not one of these filters."""
    environment = Environment()
    environment.filters |= dict.fromkeys(filters, str)
    return [
        part.lineno
        for output in environment.parse(source).find_all(nodes.Output)
        for part in output.nodes
        if not isinstance(part, nodes.TemplateData)
        and not (isinstance(part, nodes.Filter) and part.name in filters)
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_expression_in_a_script_is_quoted(name: str) -> None:
    """House §6.7."""
    filters = next(f for suffix, f in QUOTING_FILTERS.items() if name.endswith(suffix))
    source = (shipped_folder() / "templates" / name).read_text(encoding="utf-8")
    assert unquoted(source, filters) == []


def test_that_test_sees_a_bare_expression() -> None:
    assert SCRIPTS
    assert unquoted(
        "a\n{{ x }}\n{{ x | powershell }}{{ (x | powershell) ~ y }}", {"powershell"}
    ) == [
        2,
        3,
    ]
