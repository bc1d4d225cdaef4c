"""Fixtures of the tests that start machines; the conftest files of this tier import them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.home import Home, discard, short_folder
from tests.integration.leaks import leaks, sha256_of, status_of
from tests.integration.places import REPOSITORY, Place, system_daemon, unprivileged_user
from tests.standin.build import Media, build_media, media_paths

Untouched = dict[Path, tuple[int, ...]]
"""The status of discs that nothing may change."""


@pytest.fixture(scope="session")
def media() -> Media:
    """The stand-in's discs. A lock in the folder makes other workers wait for the first.

    PROVISIONER_TEST_DISCS names a folder of discs to take as they are.
    """
    if given := os.environ.get("PROVISIONER_TEST_DISCS"):
        return media_paths(Path(given))
    return build_media(REPOSITORY / "build" / "standin")


@pytest.fixture(scope="session")
def untouched(media: Media) -> Iterator[Untouched]:
    """What the user's discs are like before anything uses them; their bytes are the same at the
    end.
    """
    discs = (media.install, media.prompt_only, media.secure_boot, media.drivers)
    bytes_before = {disc: sha256_of(disc) for disc in discs}
    yield {disc: status_of(disc) for disc in discs}
    assert {disc: sha256_of(disc) for disc in discs} == bytes_before


@pytest.fixture(scope="session")
def cache() -> Iterator[Path]:
    """What libvirt knows about QEMU and whether KVM works: found out once, not in every test."""
    folder = short_folder()
    yield folder
    discard(folder)


@pytest.fixture
def home(media: Media, cache: Path, untouched: Untouched) -> Iterator[Home]:
    """A person's folders on this host, where libvirt runs embedded; nothing may be left in them."""
    folder = short_folder()
    try:
        home = Home(folder=folder, media=media, cache=cache)
        yield home
        _leave(home, untouched)
    finally:
        discard(folder)


@pytest.fixture(scope="module")
def system() -> Iterator[Place]:
    """A system daemon."""
    with system_daemon() as place:
        yield place


@pytest.fixture(scope="module")
def user() -> Iterator[Place]:
    """An ordinary user."""
    with unprivileged_user() as place:
        yield place


@pytest.fixture
def system_home(system: Place, media: Media, untouched: Untouched) -> Iterator[Home]:
    """A person's folders beside a system daemon."""
    yield from _placed(system, media, untouched)


@pytest.fixture
def user_home(user: Place, media: Media, untouched: Untouched) -> Iterator[Home]:
    """An ordinary user's folders."""
    yield from _placed(user, media, untouched)


def _placed(place: Place, media: Media, untouched: Untouched) -> Iterator[Home]:
    folder = short_folder()
    try:
        home = Home(folder=folder, media=media, place=place)
        yield home
        _leave(home, untouched)
    finally:
        discard(folder)


def _leave(home: Home, untouched: Untouched) -> None:
    home.delete_everything()
    assert leaks(home) == []
    assert {disc: status_of(disc) for disc in untouched} == untouched
