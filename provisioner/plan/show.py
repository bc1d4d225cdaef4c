"""A plan in words: what `plan` prints and `up` begins with. Secrets are masked by construction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.plan.model import MachinePlan
from provisioner.plan.steps import DefineDomain, WriteAnswerDisc, describe
from provisioner.secret import SecretSlot
from provisioner.secret import describe as describe_secret
from provisioner.tree import Text, Tree


def summary(plan: MachinePlan) -> tuple[str, ...]:
    """The headline and one line per fact."""
    width = max(len(name) for name, _ in plan.facts)
    return (plan.headline, *(f"  {name:<{width}}  {text}" for name, text in plan.facts))


def steps(plan: MachinePlan) -> tuple[str, ...]:
    """One numbered line per step."""
    return tuple(f"  {n}. {describe(step)}" for n, step in enumerate(plan.steps, start=1))


def secrets(plan: MachinePlan) -> tuple[str, ...]:
    """Where each secret comes from, never what it is."""
    return tuple(
        f"  {name}: {describe_secret(reference)}" for name, reference in plan.secrets.items()
    )


def domain_xml(plan: MachinePlan) -> str:
    """The XML the domain is defined from."""
    return next(step.xml for step in plan.steps if isinstance(step, DefineDomain))


def answer_tree(plan: MachinePlan) -> Tree:
    """What the answer disc holds."""
    return next(step.tree for step in plan.steps if isinstance(step, WriteAnswerDisc))


def masked(slot: SecretSlot) -> str:
    """Fills a slot with its description, for redacted renderings."""
    return slot.masked()


def text_files(tree: Tree) -> Mapping[str, str]:
    """Every text file of the disc with its secrets masked."""
    found = {}
    for path, file in tree.files():
        if all(isinstance(part, Text) for part in file.content):
            found[str(path)] = "".join(
                piece if isinstance(piece, str) else masked(piece)
                for part in file.content
                if isinstance(part, Text)
                for piece in part.parts
            )
    return found


def as_json(plan: MachinePlan) -> dict[str, Any]:
    """The plan for programs."""
    return {
        "name": plan.name,
        "digest": plan.digest,
        "headline": plan.headline,
        "facts": dict(plan.facts),
        "steps": [describe(step) for step in plan.steps],
        "secrets": {name: describe_secret(ref) for name, ref in plan.secrets.items()},
        "domain": domain_xml(plan),
        "answers": text_files(answer_tree(plan)),
    }
