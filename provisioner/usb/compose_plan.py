"""What a stick will hold, decided before anything is written: a Windows disc, and answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from provisioner.errors import MediaError, Problem
from provisioner.frozen import frozen
from provisioner.image.content import Reveal, holds_secret
from provisioner.media.facts import MediaFacts
from provisioner.media.show import size_text
from provisioner.profile.model import Profile
from provisioner.templating import Templates
from provisioner.tree import Tree
from provisioner.usb.answers import StickAnswers, stick_answers
from provisioner.usb.compose import Form, StickStream, label_from
from provisioner.usb.compose_ntfs import NtfsStick
from provisioner.usb.compose_source import Export, WindowsMedia, laid_over, loaders, windows_media
from provisioner.usb.tables import Table
from provisioner.usb.uefi_ntfs import UefiNtfs, read_uefi_ntfs


@frozen
class Order:
    """What is asked for. `part_bytes` None splits only what FAT32 cannot hold; with `uefi_ntfs`,
    the place of such an image, the stick gets NTFS, and nothing is split."""

    table: Table = Table.GPT
    uefi_ntfs: Path | None = None
    export: Export | None = None
    part_bytes: int | None = None
    epoch: int = 0


Stick = StickStream | NtfsStick
"""What is known of a stick beforehand. One with NTFS has to be made before it is a `Stream`."""


@frozen
class StickPlan:
    """The stick as far as it does not depend on the device. Holds no secret."""

    media: WindowsMedia
    answers: StickAnswers | None
    tree: Tree
    form: Form
    loader: UefiNtfs | None
    notes: tuple[str, ...]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Warnings and notes about the profile."""
        return self.answers.problems if self.answers is not None else ()

    @property
    def secret(self) -> bool:
        """Whether the stick will hold one, so that an image of it is nobody else's business."""
        return any(holds_secret(file) for _, file in self.tree.files())

    def stick(self, *, capacity: int | None = None, reveal: Reveal) -> Stick:
        """The stick, of this size or as the smallest image; raises as `StickStream` does."""
        if self.loader is not None:
            return NtfsStick(self.tree, self.form, self.loader, capacity=capacity, reveal=reveal)
        return StickStream(self.tree, self.form, capacity=capacity, reveal=reveal)

    def facts(self, stick: Stick) -> Iterator[tuple[str, str]]:
        """Lines for people, (what, how it will be)."""
        files, written = sum(1 for _ in self.tree.files()), size_text(stick.used)
        table, label = self.form.table.upper(), self.form.label
        if isinstance(stick, NtfsStick):
            volume = f"{table}, an NTFS volume {label} and the one that starts it"
            yield "will become", f"{volume}, {files:,} files, about {written} to write"
            space = f"about {size_text(stick.scratch)} in the cache folder, until it is written"
            yield "meanwhile", space
        else:
            volume = f"{table}, one FAT32 volume {label}"
            yield "will become", f"{volume}, {files:,} files, {written} to write"
        if self.loader is not None:
            image, size = self.loader.path.name, size_text(len(self.loader.data))
            yield "starts by", f"{image}, {size}, SHA-256 {self.loader.digest}"
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
    ntfs = order.uefi_ntfs is not None
    media = windows_media(facts, export=order.export, part_bytes=order.part_bytes, ntfs=ntfs)
    loader = None
    if order.uefi_ntfs is not None:
        loader = read_uefi_ntfs(order.uefi_ntfs, loaders(facts))
        _require_signed(loader, profile)
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
    if loader is not None:
        notes = (*notes, *loader.warnings())
    return StickPlan(media=media, answers=answers, tree=tree, form=form, loader=loader, notes=notes)


def _require_signed(loader: UefiNtfs, profile: Profile | None) -> None:
    metal = profile.metal if profile is not None else None
    if metal is not None and metal.firmware == "secure-boot":
        for reason in loader.refused():
            raise MediaError(
                reason, hint="take the image as the project makes it, or `metal.firmware: uefi`"
            )


def _narrowed(facts: MediaFacts, order: Order) -> MediaFacts:
    """The medium with the one edition that was exported, which is number 1 of its new WIM."""
    if order.export is None:
        return facts
    kept = next(e for e in facts.editions if e.index == order.export.index)
    return replace(facts, editions=(replace(kept, index=1),))
