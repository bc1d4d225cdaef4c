"""Every rule id that a `Problem` can be given, anywhere in the package, found by reading it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping

from provisioner.answers.lint import findings
from tests.unit.plan.rule_ids import PACKAGE

MAKERS = ("error", "warning", "note")
"""Functions of the linter's own that make a finding."""


class _Rules(ast.NodeVisitor):
    """Collects the rule ids of a module: arguments called `rule`, wherever they are given."""

    def __init__(self, module: ast.Module, known: Mapping[str, list[str]]) -> None:
        self.found: set[str] = set()
        self._constants: list[dict[str, str]] = [{}]
        self._parameters: dict[str, list[str]] = dict(known)
        self._prefix = ""
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef):
                names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
                self._parameters[node.name] = [name for name in names if name != "self"]
            elif isinstance(node, ast.ClassDef):
                for member in node.body:
                    if isinstance(member, ast.FunctionDef) and member.name == "__init__":
                        names = [argument.arg for argument in member.args.args[1:]]
                        self._parameters[node.name] = names
            elif (
                isinstance(node, ast.keyword)
                and node.arg == "rule"
                and isinstance(node.value, ast.JoinedStr)
            ):  # rule=f"disc.{rule}"
                first = node.value.values[0]
                assert isinstance(first, ast.Constant)
                self._prefix = str(first.value)
        self.visit(module)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._constants.append({})
        self.generic_visit(node)
        self._constants.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        self._assigned(node.targets, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        # The default of a field called `rule`.
        if isinstance(node.target, ast.Name) and node.target.id == "rule" and node.value:
            self.found.update(self._rules(node.value))
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        known = self._parameters.get(name)
        for position, value in enumerate(node.args):
            if known and position < len(known):
                given.setdefault(known[position], value)
        if "rule" in given:
            self.found.update(self._rules(given["rule"]))
        self.generic_visit(node)

    def _assigned(self, targets: list[ast.expr], value: ast.expr) -> None:
        for target in targets:
            named = isinstance(target, ast.Name) and target.id.lower() == "rule"
            if named and isinstance(value, ast.Constant):
                self._constants[-1][target.id] = str(value.value)

    def _rules(self, value: ast.expr) -> Iterator[str]:
        match value:
            case ast.Constant(value=str(rule)):
                yield rule if "." in rule else self._prefix + rule
            case ast.Name(id=name):
                for scope in reversed(self._constants):
                    if name in scope:
                        yield scope[name]
                        return
            case ast.IfExp(body=body, orelse=orelse):
                yield from self._rules(body)
                yield from self._rules(orelse)
            case _:
                return


def given_rules() -> set[str]:
    """The ids of all rooms, `image` and `cli` included."""
    found: set[str] = set()
    makers = {name: list(inspect.signature(getattr(findings, name)).parameters) for name in MAKERS}
    for path in sorted(PACKAGE.rglob("*.py")):
        known = makers if path.parent.name == "lint" else {}
        found |= _Rules(ast.parse(path.read_text("utf-8")), known).found
    return found
