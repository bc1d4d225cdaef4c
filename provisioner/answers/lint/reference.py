"""Every setting against Microsoft's reference: known, in its pass, of its type, not too long, once.

An unknown setting in a known component stops Setup; a whole component it does not know is ignored
(windows-setup.md §6.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioner.answers.lint.answerfile import AnswerFile, Block
from provisioner.answers.lint.document import WCM, Element
from provisioner.answers.lint.findings import Finding, error, note, warning
from provisioner.answers.settings import Component, Setting
from provisioner.media.answer_xml import PASSES

LIST_KEYS = {
    "disk": "DiskID",
    "createpartition": "Order",
    "modifypartition": "Order",
    "metadata": "Key",
    "dataimage": "Order",
    "runsynchronouscommand": "Order",
    "runasynchronouscommand": "Order",
    "synchronouscommand": "Order",
    "asynchronouscommand": "Order",
    "localaccount": "Name",
    "domainaccountlist": "Domain",
    "domainaccount": "Name",
    "offlinedomainaccount": "SID",
    "interface": "Identifier",
    "route": "Identifier",
}
"""List items and the child that is their key (§6.5)."""
STRICT = frozenset(
    {
        "microsoft-windows-setup",
        "microsoft-windows-shell-setup",
        "microsoft-windows-deployment",
        "microsoft-windows-international-core",
        "microsoft-windows-international-core-winpe",
        "networking-mpssvc-svc",
    }
)
"""Components whose choices real files confirm; elsewhere they were only read out of prose."""
_NUMBER = re.compile(r"[+-]?[0-9]{1,20}|0[xX][0-9A-Fa-f]{1,16}")
_LONGEST_NAME = 100
EMPTY_KEY = "microsoft-windows-setup", "userdata/productkey/key"


def check(file: AnswerFile) -> Iterator[Finding]:
    """Every setting of every known component."""
    for block in file.blocks:
        known = block.known
        if known is None:
            continue
        if block.configuration_pass in PASSES and block.configuration_pass not in known.passes:
            yield warning(
                "lint.undocumented-pass",
                block.element,
                f"{known.name} has no settings for {block.configuration_pass} and is ignored there",
                f"it belongs into {', '.join(sorted(known.passes))}",
            )
        if block.element.value:
            yield warning(
                "lint.stray-text", block.element, f"text between the settings of {known.name}",
                "remove it",
            )  # fmt: skip
        yield from _settings(file, block, known)


def _settings(file: AnswerFile, block: Block, known: Component) -> Iterator[Finding]:
    waiting: list[tuple[Element, str]] = [(block.element, "")]
    while waiting:
        parent, path = waiting.pop()
        yield from _repeated(parent, path, known)
        for child in parent.children:
            if not child.in_unattend:
                yield warning(
                    "lint.skeleton",
                    child,
                    f"{_shown(child.name)} is not in the namespace of answer files",
                    "remove its xmlns, or keep private data below the settings, "
                    "in an element of its own",
                )
                continue
            here = f"{path}/{child.name}" if path else child.name
            row = known.find(here)
            if row is None:
                yield _unknown(child, here, known)
                continue
            yield from _spelling(child, row)
            yield from _version(file, child, row)
            yield from _pass(block, parent, child, row, known)
            if row.type == "container":
                yield from _container(child, here, known)
                waiting.append((child, here))
            elif child.children:
                yield error(
                    "lint.unknown-setting",
                    child.children[0],
                    f"{here} takes a value and no elements",
                    "write its value as text",
                )
            else:
                yield from _value(file, child, row, known)


def _unknown(element: Element, path: str, known: Component) -> Finding:
    parent = path.rpartition("/")[0]
    depth = path.count("/")
    siblings = {
        row.path.rpartition("/")[2]: row.path
        for row in known.settings.values()
        if row.path.count("/") == depth and row.path.rpartition("/")[0].lower() == parent.lower()
    }
    hint = None
    if len(element.name) <= _LONGEST_NAME:
        from difflib import get_close_matches

        close = get_close_matches(element.name, siblings, n=1, cutoff=0.7)
        paths = (row.path for row in known.settings.values())
        name = element.name.lower()
        elsewhere = next((one for one in paths if one.lower().rpartition("/")[2] == name), None)
        if close:
            hint = f"did you mean {close[0]}?"
        elif elsewhere:
            hint = f"it is known as {elsewhere}"
    if hint is None and 0 < len(siblings) <= 12:
        hint = f"there are {', '.join(sorted(siblings))}"
    return error(
        "lint.unknown-setting",
        element,
        f"{known.name} has no setting {_shown(path)}; Setup stops at unknown ones",
        hint or "look it up in the reference, or remove it",
    )


def _spelling(element: Element, row: Setting) -> Iterator[Finding]:
    name = row.path.rpartition("/")[2]
    if element.name != name:
        yield note(
            "lint.spelling",
            element,
            f"{element.name} is spelt {name} in the reference",
            "Setup has been seen to accept other capitals; nobody promises it",
        )


def _version(file: AnswerFile, element: Element, row: Setting) -> Iterator[Finding]:
    windows = file.purpose.windows
    if windows is None:
        return
    if row.since is not None and windows.build < row.since:
        yield error(
            "lint.version",
            element,
            f"{windows.name} does not know {row.path} and stops there",
            f"it came with build {row.since}; remove it for older Windows",
        )
    elif row.path == "OOBE/NetworkLocation" and windows.build >= 10240:
        yield note(
            "lint.version", element, "NetworkLocation does nothing since Windows 10", "remove it"
        )


def _pass(
    block: Block, parent: Element, element: Element, row: Setting, known: Component
) -> Iterator[Finding]:
    """The topmost setting that this pass does not have; the whole component was told before."""
    here = block.configuration_pass
    if here in row.passes or here not in known.passes:
        return
    above = known.find(_path(parent, block.element)) if parent is not block.element else None
    if above is not None and here not in above.passes:
        return
    yield warning(
        "lint.undocumented-pass",
        element,
        f"the reference has no {row.path} in {here}",
        f"it belongs into {', '.join(sorted(row.passes))}",
    )


def _path(element: Element, top: Element) -> str:
    names: list[str] = []
    at: Element | None = element
    while at is not None and at is not top:
        names.append(at.name)
        at = at.parent
    return "/".join(reversed(names))


def _container(element: Element, path: str, known: Component) -> Iterator[Finding]:
    if path.lower() in known.text_items:
        if element.children:
            yield error(
                "lint.unknown-setting",
                element.children[0],
                f"{path} takes a value and no elements",
                "write its value as text and its key as wcm:keyValue",
            )
        elif not element.value:
            yield error("lint.empty", element, f"{path} is empty", "give a value or remove it")
        return
    if not element.value:
        if not element.children:
            yield warning(
                "lint.empty",
                element,
                f"{path} is empty",
                "remove it: some settings make Setup fail when they are empty",
            )
        return
    if element.children:
        yield warning(
            "lint.stray-text", element, f"text beside the elements of {path}", "remove it"
        )
    else:
        yield error(
            "lint.type",
            element,
            f"{path} holds elements, and here is text",
            _children_hint(path, known),
        )


def _children_hint(path: str, known: Component) -> str | None:
    depth = path.count("/") + 1
    names = [
        row.path.rpartition("/")[2]
        for row in known.settings.values()
        if row.path.count("/") == depth and row.path.rpartition("/")[0].lower() == path.lower()
    ]
    return f"it takes {', '.join(names[:8])}" if names else None


def _value(file: AnswerFile, element: Element, row: Setting, known: Component) -> Iterator[Finding]:
    text, value = element.text, element.value
    if not value:
        yield from _empty(file, element, row, known)
        return
    match row.type:
        case "bool" if value not in ("true", "false"):
            fix = "true" if value.lower() in ("true", "1", "yes") else "false"
            yield error("lint.type", element, f"{row.path} is true or false", f"write {fix}")
        case "int" if not _NUMBER.fullmatch(value):
            yield error("lint.type", element, f"{row.path} is a number", "write digits only")
        case "enum" if not row.allows(value):
            loose = row.path.endswith("/MetaData/Key")  # files with others work, §6.6
            found = error if known.name.lower() in STRICT and not loose else warning
            yield found(
                "lint.choice",
                element,
                f"{row.path} does not know {_shown(value)}",
                f"one of {', '.join(row.choices)}",
            )
        case _:
            pass
    if row.limits is not None and re.fullmatch(r"[0-9]{1,18}", value):
        low, high = row.limits
        if not low <= int(value) <= high:
            yield error(
                "lint.range", element, f"{row.path} is {value}", f"it goes from {low} to {high}"
            )
    if row.maximum_length is not None and len(text) > row.maximum_length:
        yield error(
            "lint.length",
            element,
            f"{row.path} has {len(text)} characters; at most {row.maximum_length} are allowed",
            "put long commands into a script on the medium and start that"
            if row.path.endswith(("/Path", "/CommandLine"))
            else "make it shorter",
        )
    if "\n" in value:
        yield warning(
            "lint.whitespace",
            element,
            f"{row.path} has a line break in its value, which Windows gets as it is",
            "write it on one line; pretty-printers break commands like this",
        )


def _empty(file: AnswerFile, element: Element, row: Setting, known: Component) -> Iterator[Finding]:
    if (known.name.lower(), row.path.lower()) == EMPTY_KEY:
        windows = file.purpose.windows
        strict = windows is not None and (windows.server or windows.build >= 26100)
        yield (error if strict else warning)(
            "lint.empty-key",
            element,
            "an empty product key: some media stop with a question, others fail to validate it",
            "remove Key and keep WillShowUI, or give the key of the edition",
        )
    elif row.may_be_empty or row.path == "ComputerName":
        return
    elif row.may_be_empty is False or row.type in ("bool", "int", "enum"):
        yield error(
            "lint.empty",
            element,
            f"{row.path} must not be empty",
            "give a value or remove it",
        )
    elif element.name not in ("Value", "Password"):
        # Passwords may be empty, and the reference does not say so for every one of them.
        yield warning(
            "lint.empty",
            element,
            f"{row.path} is empty",
            "remove it: some settings make Setup fail when they are empty",
        )


def _repeated(parent: Element, path: str, known: Component) -> Iterator[Finding]:
    """Settings that are no lists occur once; each list item has its key (§6.5)."""
    groups: dict[str, list[Element]] = {}
    for child in parent.children:
        if child.in_unattend:
            groups.setdefault(child.name.lower(), []).append(child)
    for name, items in groups.items():
        here = f"{path}/{items[0].name}" if path else items[0].name
        row = known.find(here)
        if row is None:
            continue
        keyed = here.lower() in known.key_value_items
        is_list = row.type == "container" and (name in LIST_KEYS or keyed)
        for item in items:
            yield from _action(item, here, is_list=is_list)
        if keyed:
            yield from _unique(here, items, "wcm:keyValue")
        elif is_list:
            yield from _unique(here, items, LIST_KEYS[name])
        elif len(items) > 1:
            for item in items[1:]:
                if item.wcm("action") is None:
                    yield error(
                        "lint.duplicate-setting",
                        item,
                        f"{here} is given twice; first in line {items[0].line}",
                        "Setup stops when a setting that is no list is specified more than once",
                    )


def _action(element: Element, path: str, *, is_list: bool) -> Iterator[Finding]:
    action = element.wcm("action")
    if action is None:
        plain = element.attributes.get("action")
        if is_list:
            yield note(
                "lint.list-action",
                element,
                f"{path} has no wcm:action",
                f'write wcm:action="add" (with xmlns:wcm="{WCM}")'
                if plain is None
                else f"write wcm:action={plain!r} in place of action",
            )
    elif action not in ("add", "modify", "remove"):
        yield error(
            "lint.list-action",
            element,
            f"there is no wcm:action {_shown(action)}",
            "add, modify or remove",
        )


def _unique(path: str, items: list[Element], key: str) -> Iterator[Finding]:
    seen: dict[str, Element] = {}
    for item in items:
        holder = item if key.startswith("wcm:") else item.find(key)
        value = (item.wcm("keyValue") or "") if holder is item else item.get(key)
        if not value:
            # An empty key child is told as an empty setting.
            if holder is None or holder is item:
                yield error(
                    "lint.list-key",
                    item,
                    f"{path} has no {key}",
                    f"each needs a {key} of its own",
                )
            continue
        folded = value.casefold().lstrip("0") if key == "Order" else value.casefold()
        if folded in seen:
            assert holder is not None
            yield error(
                "lint.list-key",
                holder,
                f"{key} {_shown(value)} is there twice; first in line {seen[folded].line}",
                f"each {path.rpartition('/')[2]} needs a {key} of its own",
            )
        else:
            seen[folded] = item


def _shown(text: str) -> str:
    text = re.sub(r"\s+", " ", text)
    return repr(text if len(text) <= 80 else text[:77] + "...")
