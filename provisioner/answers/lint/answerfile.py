"""An answer file as the checks see it: its components by pass, and what it is meant for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from provisioner.answers import settings
from provisioner.answers.lint.document import Element
from provisioner.answers.lint.targets import Target
from provisioner.frozen import frozen

Firmware = Literal["bios", "uefi"]

PREFIX = "Microsoft-Windows-"


@frozen
class Purpose:
    """What the caller knows about where the file will be used; None where it does not."""

    windows: Target | None = None
    firmware: Firmware | None = None

    def before(self, build: int) -> bool:
        """Whether it is for a Windows that is known to be older."""
        return self.windows is not None and self.windows.build < build

    def since(self, build: int) -> bool:
        """Whether it is for a Windows that is known to be that new."""
        return self.windows is not None and self.windows.build >= build


@frozen
class Block:
    """One `component` element in its pass."""

    element: Element
    configuration_pass: str
    name: str
    architecture: str

    @property
    def known(self) -> settings.Component | None:
        """What the reference says about this component."""
        return settings.component(self.name.lower())


@frozen
class AnswerFile:
    """A document whose root is an answer file's."""

    root: Element
    blocks: tuple[Block, ...]
    purpose: Purpose

    def of(self, component: str, configuration_pass: str | None = None) -> Iterator[Block]:
        """Blocks of a component, with or without `Microsoft-Windows-` in front."""
        wanted = {component.lower(), (PREFIX + component).lower()}
        for block in self.blocks:
            if block.name.lower() in wanted and configuration_pass in (
                None,
                block.configuration_pass,
            ):
                yield block

    def all(
        self, component: str, path: str, configuration_pass: str | None = None
    ) -> Iterator[Element]:
        """Every element at a path of a component, in any pass or in this one."""
        for block in self.of(component, configuration_pass):
            yield from block.element.all(path)


def answer_file(root: Element, purpose: Purpose) -> AnswerFile:
    """The view of a document; elements of other namespaces and names are left out."""
    blocks = [
        Block(
            element=component,
            configuration_pass=block.attributes.get("pass", ""),
            name=component.attributes.get("name", ""),
            architecture=component.attributes.get("processorArchitecture", ""),
        )
        for block in root.children
        if block.in_unattend and block.name == "settings"
        for component in block.children
        if component.in_unattend and component.name == "component"
    ]
    return AnswerFile(root=root, blocks=tuple(blocks), purpose=purpose)
