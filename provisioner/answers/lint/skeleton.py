"""Root, passes and components: what the schema of answer files says.

Sources: windows-setup.md §1.2, §1.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.answers import settings
from provisioner.answers.lint.answerfile import PREFIX, AnswerFile
from provisioner.answers.lint.document import Element
from provisioner.answers.lint.findings import Finding, error, note, warning
from provisioner.media.answer_xml import NAMESPACE, PASSES

TOKEN = "31bf3856ad364e35"
ARCHITECTURES = ("amd64", "x86", "arm64", "wow64", "arm", "ia64")
_LONGEST_NAME = 100
_VISTA = {
    "microsoft-windows-security-licensing-slc": "Microsoft-Windows-Security-SPP",
    "microsoft-windows-security-licensing-slc-ux": "Microsoft-Windows-Security-SPP-UX",
}
_LOADED_BY_SETUP = "Autounattend.xml"


def check_root(root: Element) -> Iterator[Finding]:
    """Whether this is an answer file at all."""
    if root.name == "unattend" and root.in_unattend:
        return
    if root.name == "unattend":
        yield error(
            "lint.root",
            root,
            f"unattend is in the namespace {root.namespace or '(none)'}, so Setup ignores the file",
            f'write <unattend xmlns="{NAMESPACE}">',
        )
        return
    yield error(
        "lint.root",
        root,
        f"the root element is {_shown(root.name)}; that of an answer file is unattend",
        f'write <unattend xmlns="{NAMESPACE}">, or check that this is the right file',
    )


def check(file: AnswerFile) -> Iterator[Finding]:
    """Everything above the settings."""
    yield from _children(file.root)
    yield from _passes(file)
    yield from _components(file)


def _children(root: Element) -> Iterator[Finding]:
    for child in root.children:
        if not child.in_unattend:
            continue  # WSIM's cpi:offlineImage, private Extensions: allowed in namespaces of theirs
        if child.name == "settings":
            yield from _only(child, "component")
        elif child.name == "servicing":
            yield from _only(child, "package")
        else:
            yield warning(
                "lint.skeleton",
                child,
                f"{_shown(child.name)} is not known below unattend; "
                "some tools refuse the file for it",
                "give it a namespace of its own, or remove it",
            )
    if root.value:
        yield warning("lint.stray-text", root, "text between the elements of unattend", "remove it")


def _only(parent: Element, name: str) -> Iterator[Finding]:
    for child in parent.children:
        if child.name != name or not child.in_unattend:
            yield error(
                "lint.skeleton",
                child,
                f"{_shown(child.name)} cannot stand in {parent.name}, which only holds {name}",
                f"close the {name} above it behind it, or remove it",
            )
    if parent.value:
        yield warning(
            "lint.stray-text", parent, f"text between the elements of {parent.name}", "remove it"
        )


def _passes(file: AnswerFile) -> Iterator[Finding]:
    seen: dict[str, Element] = {}
    for block in file.root.children:
        if not block.in_unattend or block.name != "settings":
            continue
        name = block.attributes.get("pass")
        if name is None:
            yield error(
                "lint.pass", block, "settings without a pass", f"add pass=, {_one_of(PASSES)}"
            )
        elif name not in PASSES:
            close = _close(name, PASSES)
            yield error(
                "lint.pass",
                block,
                f"there is no configuration pass {_shown(name)}",
                f"did you mean {close}?" if close else _one_of(PASSES),
            )
        elif name in seen:
            yield warning(
                "lint.pass-twice",
                block,
                f"a second block for pass {name}; the first is in line {seen[name].line}",
                "put its components into the first",
            )
        else:
            seen[name] = block
        if block.attributes.get("wasPassProcessed") is not None:
            yield warning(
                "lint.cached-copy",
                block,
                "this is Setup's own cached copy: passes marked wasPassProcessed do not run again",
                "take the original file, or remove wasPassProcessed and what Setup blanked",
            )
    if "windowsPE" not in seen and seen:
        # An answer file for sysprep needs none (§10.4), and a name does not tell.
        yield note(
            "lint.no-windowspe",
            file.root,
            "no windowsPE pass: Setup that starts from a medium loses the later passes",
            f"as {_LOADED_BY_SETUP} of a medium it needs one; for sysprep it is right as it is",
        )


def _components(file: AnswerFile) -> Iterator[Finding]:
    seen: dict[tuple[str, str, str], Element] = {}
    for block in file.blocks:
        element = block.element
        yield from _identity(element)
        if not block.name:
            continue
        key = block.configuration_pass, block.name.lower(), block.architecture.lower()
        if key in seen:
            yield error(
                "lint.component-twice",
                element,
                f"{_shown(block.name)} for {_shown(block.architecture)} is twice in "
                f"{block.configuration_pass}; first in line {seen[key].line}",
                "move its settings into the first; Setup says that a component or non-list "
                "setting is specified more than once",
            )
        else:
            seen[key] = element
        if block.known is None:
            yield _unknown(element, block.name)
        elif (newer := _VISTA.get(block.name.lower())) and file.purpose.since(7600):
            yield warning(
                "lint.unknown-component",
                element,
                f"{block.name} is Windows Vista's name; newer Windows ignores it",
                f"its name is {newer} since Windows 7",
            )
    yield from _architectures(file)


def _identity(element: Element) -> Iterator[Finding]:
    for name in ("name", "processorArchitecture", "publicKeyToken", "language"):
        if not element.attributes.get(name):
            yield error(
                "lint.component-identity",
                element,
                f"component without {name}",
                'a component has name, processorArchitecture="amd64", '
                f'publicKeyToken="{TOKEN}" and language="neutral"',
            )
            return
    architecture = element.attributes["processorArchitecture"]
    if architecture.lower() not in ARCHITECTURES:
        yield error(
            "lint.component-identity",
            element,
            f"there is no processor architecture {_shown(architecture)}",
            "64-bit PCs are amd64, 32-bit ones x86, ARM ones arm64",
        )
    token = element.attributes["publicKeyToken"]
    if token.lower() != TOKEN:
        yield error(
            "lint.component-identity",
            element,
            f"publicKeyToken {_shown(token)} belongs to no component of Windows, "
            "so this one is ignored",
            f"every component of Microsoft's has {TOKEN}",
        )
    language = element.attributes["language"]
    if language.lower() != "neutral":
        yield warning(
            "lint.component-identity",
            element,
            f"component for the language {_shown(language)}; Windows has only neutral ones",
            'write language="neutral"',
        )
    scope = element.attributes.get("versionScope", "nonSxS")
    if scope.lower() not in ("nonsxs", "neutral"):
        yield error(
            "lint.component-identity",
            element,
            f"there is no versionScope {_shown(scope)}",
            'write versionScope="nonSxS"',
        )


def _unknown(element: Element, name: str) -> Finding:
    names = settings.component_names()
    candidates = {**names, **{key.removeprefix(PREFIX.lower()): n for key, n in names.items()}}
    close = _close(name.lower(), tuple(candidates))
    if close is not None:
        return warning(
            "lint.unknown-component",
            element,
            f"Windows knows no component {_shown(name)} and ignores it",
            f"did you mean {candidates[close]}?",
        )
    return note(
        "lint.unknown-component",
        element,
        f"the reference has no component {_shown(name)}; Windows ignores those it does not have",
        "its settings were not checked",
    )


def _architectures(file: AnswerFile) -> Iterator[Finding]:
    found: dict[str, Element] = {}
    for block in file.blocks:
        if block.architecture.lower() in ("amd64", "x86", "arm64"):
            found.setdefault(block.architecture.lower(), block.element)
    if len(found) > 1:
        yield note(
            "lint.architectures",
            list(found.values())[1],
            f"components for {', '.join(found)}; each Windows takes those of its own and "
            "ignores the others",
            "fine where every component is there for each of them",
        )


def _close(name: str, names: tuple[str, ...]) -> str | None:
    if len(name) > _LONGEST_NAME:
        return None
    from difflib import get_close_matches

    found = get_close_matches(name, names, n=1, cutoff=0.82)
    return found[0] if found else None


def _one_of(names: tuple[str, ...]) -> str:
    return f"one of {', '.join(names)}"


def _shown(text: str) -> str:
    """A name out of a foreign file, short and on one line."""
    text = re.sub(r"\s+", " ", text)
    return repr(text if len(text) <= 60 else text[:57] + "...")
