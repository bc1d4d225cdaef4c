"""Core or Desktop Experience in plain words: which image the answers of a server install."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from provisioner.answers.disc import compose
from provisioner.media.editions import resolve_edition
from provisioner.profile.load import load_profile
from provisioner.resources import Resources, shipped_folder
from provisioner.templating import Templates
from provisioner.tree import Text
from tests.golden.media import server_disc

RESOURCES = Resources(shipped=shipped_folder())
NS = "{urn:schemas-microsoft-com:unattend}"
BUILDS = {2019: 17763, 2022: 20348, 2025: 26100}
WORDS = {
    None: (2, "Server"),  # what the shipped profile says
    "Standard Core": (1, "Server Core"),
    "standard core": (1, "Server Core"),
    "Standard Desktop Experience": (2, "Server"),
    "Datacenter Core": (3, "Server Core"),
    "Datacenter Desktop Experience": (4, "Server"),
    "Datacenter (Desktop Experience)": (4, "Server"),
}


def image_index(tree: Any) -> int:
    for path, file in tree.files():
        if str(path) == "Autounattend.xml":
            (content,) = file.content
            assert isinstance(content, Text)
            text = "".join(part if isinstance(part, str) else "x" for part in content.parts)
            root = etree.fromstring(text.encode())
            (data,) = root.iter(f"{NS}MetaData")
            return int(data.findtext(f"{NS}Value"))
    raise AssertionError("no answer file")


@pytest.mark.parametrize("evaluation", [False, True])
@pytest.mark.parametrize("year", BUILDS)
@pytest.mark.parametrize("words", WORDS)
def test_words(words: str | None, year: int, evaluation: bool, tmp_path: Path) -> None:
    sets = [f"windows.edition={words}"] if words else []
    profile = load_profile(
        f"windows-server-{year}", sets=sets, resources=RESOURCES, home=tmp_path, cwd=tmp_path
    ).profile
    install = server_disc(build=BUILDS[year], evaluation=evaluation)
    chosen = resolve_edition(install, profile.windows.edition)
    assert (chosen.index, chosen.installation_type) == WORDS[words]
    disc = compose(
        profile, install, chosen, None, templates=Templates(RESOURCES.template_folders())
    )
    assert image_index(disc.tree) == WORDS[words][0]
    assert disc.product_key.source == ("none" if evaluation else "gvlk")
