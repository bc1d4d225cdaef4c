"""What a stick will hold, decided before anything is written: a Windows disc, and answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from provisioner.errors import Problem
from provisioner.frozen import frozen
from provisioner.image.content import Reveal, holds_secret
from provisioner.media.facts import MediaFacts
from provisioner.media.show import size_text
from provisioner.profile.model import Profile
from provisioner.templating import Templates
from provisioner.tree import Tree
from provisioner.usb.answers import StickAnswers, stick_answers
from provisioner.usb.compose import Form, StickStream, label_from
from provisioner.usb.compose_source import Export, WindowsMedia, laid_over, windows_media
from provisioner.usb.tables import Table


@frozen
class Order:
    """What is asked for. `part_bytes` None splits only what FAT32 cannot hold."""

    table: Table = Table.GPT
    export: Export | None = None
    part_bytes: int | None = None
    epoch: int = 0


@frozen
class StickPlan:
    """The stick as far as it does not depend on the device. Holds no secret."""

    media: WindowsMedia
    answers: StickAnswers | None
    tree: Tree
    form: Form
    notes: tuple[str, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Warnings and notes about the profile."""
        return self.answers.problems if self.answers is not None else ()

    @property
    def secret(self) -> bool:
        """Whether the stick will hold one, so that an image of it is nobody else's business."""
        return any(holds_secret(file) for _, file in self.tree.files())

    def stream(self, *, capacity: int | None = None, reveal: Reveal) -> StickStream:
        """The bytes, for a stick of this size or as the smallest image; raises as `StickStream`."""
        return StickStream(self.tree, self.form, capacity=capacity, reveal=reveal)

    def facts(self, stream: StickStream) -> Iterator[tuple[str, str]]:
        """Lines for people, (what, how it will be)."""
        files = sum(1 for _ in self.tree.files())
        volume = f"{self.form.table.upper()}, one FAT32 volume {self.form.label}"
        yield "will become", f"{volume}, {files:,} files, {size_text(stream.used)} to write"
        yield "install image", self.media.install
        for number, part in enumerate(self.media.parts, start=1):
            yield f"part {number}", f"{size_text(part.size)}, {part.resources:,} resources"
        if self.answers is None:
            yield "answers", "none; Setup asks everything"
        else:
            yield from self.answers.facts


def plan_stick(
    facts: MediaFacts, order: Order, *, profile: Profile | None, templates: Templates
) -> StickPlan:
    """All that can be known of the stick. Raises what its parts raise, before any writing."""
    media = windows_media(facts, export=order.export, part_bytes=order.part_bytes)
    identity = facts.fingerprint.digest
    if profile is None:
        label, answers, tree = label_from(facts.label), None, media.tree
        notes: tuple[str, ...] = media.notes
    else:
        # Nobody else's: by it the script in Windows PE knows the stick among the disks.
        identity = hashlib.sha256(f"{identity}\0{profile.name}".encode()).hexdigest()
        label = f"PV-{identity[:8].upper()}"
        answers = stick_answers(profile, _narrowed(facts, order), label=label, templates=templates)
        tree, replaced = laid_over(media.tree, answers.tree)
        notes = (*media.notes, *(f"{path} of the medium is replaced" for path in replaced))
    form = Form(table=order.table, label=label, identity=identity, epoch=order.epoch)
    return StickPlan(media=media, answers=answers, tree=tree, form=form, notes=notes)


def _narrowed(facts: MediaFacts, order: Order) -> MediaFacts:
    """The medium with the one edition that was exported, which is number 1 of its new WIM."""
    if order.export is None:
        return facts
    kept = next(e for e in facts.editions if e.index == order.export.index)
    return replace(facts, editions=(replace(kept, index=1),))
