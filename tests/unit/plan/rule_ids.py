"""Every rule id that the source can print, found by reading it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[3] / "provisioner"
ROOMS = ("profile", "answers", "plan")
"""The rooms whose findings `check` and `lint` show."""
MAKERS = frozenset(
    {"error", "warning", "note", "found", "trap", "_finding", "_problem", "_refused"}
    | {"NotADocument", "_absent"}
)
"""Functions that are given a rule id as an argument."""
_ID = re.compile(r"[a-z]+\.[a-z0-9-]+")


def rule_ids() -> dict[str, str]:
    """Each id with the first module it stands in."""
    found: dict[str, str] = {}
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                for value in _ids_in(node):
                    found.setdefault(value, str(path.relative_to(PACKAGE)))
    return found


def _ids_in(node: ast.AST) -> list[str]:
    values: list[ast.expr] = []
    match node:
        case ast.keyword(arg="rule", value=value):
            values = [value]
        case ast.Assign(targets=[ast.Name(id="rule")], value=value):
            values = [value]
        case ast.AnnAssign(target=ast.Name(id="rule"), value=ast.expr() as value):
            values = [value]
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in MAKERS:
            values = list(node.args)
        case ast.Call(func=ast.IfExp()):
            values = list(node.args)
        case ast.FunctionDef(args=arguments):
            names = [*arguments.posonlyargs, *arguments.args]
            defaults = dict(
                zip(
                    [a.arg for a in names[-len(arguments.defaults) :]],
                    arguments.defaults,
                    strict=True,
                )
                if arguments.defaults
                else ()
            ) | {
                a.arg: default
                for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
                if default is not None
            }
            values = [defaults["rule"]] if "rule" in defaults else []
    texts = []
    for value in values:
        for inner in ast.walk(value):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                texts.append(inner.value)
    return [text for text in texts if _ID.fullmatch(text)]
