"""What is fuzzed: each target feeds bytes to a parser and to what uses its result."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml as stock_yaml

from provisioner.media import lzx, map_text, xpress
from provisioner.media.answer_xml import outline
from provisioner.media.authenticode import read_signature
from provisioner.media.boot import noprompt_patch
from provisioner.media.inspect import inspect_window
from provisioner.media.layout import read_layout
from provisioner.media.loader import is_unchanged, read_loader
from provisioner.media.map_svg import svg
from provisioner.media.members import facts_members
from provisioner.media.page import fields, title
from provisioner.media.show import lines
from provisioner.media.verify import verify
from provisioner.media.wim import read_wim
from provisioner.media.wim_tree import WimTree, blobs
from provisioner.media.window import Window
from tests.fuzz import serial_line
from tests.fuzz.texts import text_seeds, text_targets

_CHUNK = 32768
_MOST_BLOBS = 64


@dataclass(frozen=True, kw_only=True)
class Target:
    """A parser under test; `run` may only return or raise a ProvisionerError."""

    name: str
    seeds: list[bytes]
    run: Callable[[bytes], object]
    is_text: bool = False
    """Its inputs are lines, and are damaged by the line too."""


def all_targets(seeds: Mapping[str, list[bytes]], folder: Path) -> list[Target]:
    """Every target with its seeds; `folder` is for inputs that are read from a file."""
    texts = text_seeds()
    runs: dict[str, Callable[[bytes], object]] = {
        "medium": _medium,
        "wim": _wim,
        "lzx": _lzx,
        "xpress": _xpress,
        "loader": _loader,
        "signature": read_signature,
        "answers": outline,
        "serial": serial_line.hear,
    }
    return [
        *(Target(name=name, seeds=seeds[name], run=run) for name, run in runs.items()),
        *(
            Target(name=name, seeds=texts[name], run=run, is_text=True)
            for name, run in text_targets(folder).items()
        ),
    ]


@contextmanager
def in_memory(data: bytes) -> Iterator[Window]:
    """The bytes as an image file that never touches a disk."""
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, data)
        yield Window(path=Path("/fuzz/input.iso"), descriptor=descriptor, size=len(data))
    finally:
        os.close(descriptor)


def _medium(data: bytes) -> None:
    """`inspect` with everything it can do."""
    with in_memory(data) as window:
        facts = inspect_window(window)
        noprompt_patch(facts)
        for width in (20, 80):
            for line in lines(title(facts), "size", fields(facts), width=width):
                assert line.isprintable(), line
                assert len(line.encode("utf-8", "strict")) < 10_000
        facts_members(facts)
        for extents in facts.files.values():
            assert all(0 <= e.offset <= e.offset + e.length <= len(data) for e in extents)
        list(verify(window, facts))
        layout = read_layout(window)
        assert sum(region.length for region in layout.regions) == len(data)
        list(map_text.picture(layout, width=80))
        svg(layout, name=facts.path.name, title=title(facts))


def _wim(data: bytes) -> None:
    """Every root and a few files of a WIM."""
    with in_memory(data) as window:
        wim = read_wim(window)
        tree = WimTree(window, wim.header)
        for number, _ in enumerate(blobs(window, wim.header)):
            if number > _MOST_BLOBS:
                break
        for image in range(1, min(wim.header.image_count, 4) + 1):
            for entry in tree.entries(image)[:_MOST_BLOBS]:
                if entry.directory:
                    tree.entries(image, entry.name)
                else:
                    tree.read(entry)


def _lzx(data: bytes) -> None:
    out = lzx.decompress(data, _CHUNK, window=_CHUNK)
    assert len(out) == _CHUNK
    assert lzx.decompress(data, _CHUNK, window=_CHUNK, limit=1000) == out[:1000]


def _xpress(data: bytes) -> None:
    out = xpress.decompress(data, _CHUNK)
    assert len(out) == _CHUNK
    assert xpress.decompress(data, _CHUNK, 1000) == out[:1000]


def _loader(data: bytes) -> None:
    with in_memory(data) as window:
        for signer in read_loader(window, "loader.efi").signers:
            is_unchanged(window, signer)


def planted(kind: str) -> Target:
    """A parser as this project must not have one, to see that the run finds it."""

    def index(data: bytes) -> int:
        return data[int.from_bytes(data[:2], "little")]

    def hang(data: bytes) -> None:
        while data[0] & 1:
            pass

    def memory(data: bytes) -> bytes:
        return bytes(int.from_bytes(data[:5], "little"))

    def yaml(data: bytes) -> object:
        return stock_yaml.safe_load(data)

    runs: dict[str, Callable[[bytes], object]] = {
        "index": index, "hang": hang, "memory": memory, "yaml": yaml,
    }  # fmt: skip
    if kind == "yaml":
        return Target(name="planted-yaml", seeds=text_seeds()["profile"], run=yaml, is_text=True)
    return Target(name=f"planted-{kind}", seeds=[bytes(100)], run=runs[kind])
