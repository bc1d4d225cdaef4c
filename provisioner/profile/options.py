"""`--set path.to.key=VALUE` and `--media install=FILE`, put over the files of a profile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from provisioner.errors import Place, Problem
from provisioner.profile.merge import assign, split_path
from provisioner.profile.values import BadValue
from provisioner.profile.yamlfile import Node, read_value


def with_options(
    root: Node, *, sets: Sequence[str], media: Mapping[str, str]
) -> tuple[Node, tuple[Problem, ...], tuple[str, ...]]:
    """The tree with the options in it, what was wrong with them, and how places name them.

    A place never repeats a value: it may be a secret.
    """
    problems: list[Problem] = []
    shown: list[str] = []
    for text, path_text, value in (*_sets(sets), *_media(media)):
        place = Place(file=text)
        shown.append(text)
        try:
            if value is None:
                raise BadValue(
                    "--set needs a key and a value",
                    rule="profile.set",
                    hint="write it like --set machine.cpus=4",
                )
            path = split_path(path_text)
            if path[0] == "extends":
                raise BadValue("'extends' can only stand in a file", rule="profile.set")
            if isinstance(value, Node):
                root = assign(root, path, value, place=place)
                continue
            document = read_value(value, place=place)
            problems += document.problems
            if document.root is not None:
                root = assign(root, path, document.root, place=place)
        except BadValue as bad:
            problems.append(Problem(message=bad.message, rule=bad.rule, place=place, hint=bad.hint))
    return root, tuple(problems), tuple(shown)


def _sets(sets: Sequence[str]) -> Iterator[tuple[str, str, str | None]]:
    for text in sets:
        path, equals, value = text.partition("=")
        shown = f"--set {path.strip()}=…" if equals else "--set"
        yield shown, path.strip(), value if equals else None


def _media(media: Mapping[str, str]) -> Iterator[tuple[str, str, Node]]:
    for name, file in media.items():
        shown = f"--media {name}={file}"
        yield shown, f"media.{name}", Node(value=file, place=Place(file=shown))
