"""Which image a person means."""

from __future__ import annotations

import pytest

from provisioner.errors import MediaError
from provisioner.media.editions import listed, resolve_edition
from provisioner.media.facts import Edition
from tests.unit.media.discs import make_edition, make_facts

CLIENT = (
    make_edition(1, "Windows 11 Home", "Core"),
    # On some Windows 11 media NAME says Windows 10 (facts windows-setup §3.4).
    make_edition(6, "Windows 10 Pro", "Professional", display_name="Windows 11 Pro"),
    make_edition(7, "Windows 11 Pro N", "ProfessionalN"),
    make_edition(9, "Windows 11 Enterprise", "EnterpriseEval"),
)


def server(index: int, word: str, kind: str) -> Edition:
    family = word.removesuffix("CORE").removeprefix("SERVER").title()
    desktop = " (데스크톱 환경)" if kind == "Server" else ""
    return make_edition(
        index,
        f"Windows Server 2025 {word}",
        f"Server{family}Eval",
        kind,
        display_name=f"Windows Server 2025 {family} Evaluation{desktop}",
    )


SERVER = (
    server(1, "SERVERSTANDARDCORE", "Server Core"),
    server(2, "SERVERSTANDARD", "Server"),
    server(3, "SERVERDATACENTERCORE", "Server Core"),
    server(4, "SERVERDATACENTER", "Server"),
)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (6, 6),
        ("6", 6),
        ("06", 6),
        ("Professional", 6),
        ("professional", 6),
        ("Windows 10 Pro", 6),
        ("Windows 11 Pro", 6),
        ("pro", 6),
        (" Pro N ", 7),
        ("Home", 1),
        ("core", 1),
        ("Enterprise", 9),
        ("EnterpriseEval", 9),
    ],
)
def test_clients(wanted: str | int, index: int) -> None:
    assert resolve_edition(make_facts(*CLIENT), wanted).index == index


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        ("standard core", 1),
        ("Standard Desktop Experience", 2),
        ("standard (desktop experience)", 2),
        ("Windows Server 2025 Standard Evaluation (Desktop Experience)", 2),
        ("Windows Server 2025 SERVERSTANDARD", 2),
        ("ServerStandardCore", 1),
        ("ServerStandard", 2),
        ("Windows Server 2025 Standard Evaluation", 1),
        ("SERVERDATACENTER", 4),
        ("datacenter desktop", 4),
        ("Datacenter Core", 3),
    ],
)
def test_servers(wanted: str, index: int) -> None:
    assert resolve_edition(make_facts(*SERVER), wanted).index == index


def test_a_single_image_needs_no_choice() -> None:
    assert resolve_edition(make_facts(CLIENT[1]), None).index == 6


@pytest.mark.parametrize("wanted", ["Ultimate", 2, "0", "", "9" * 5000, "standard core desktop"])
def test_what_is_not_there_lists_what_is(wanted: str | int) -> None:
    with pytest.raises(MediaError, match=r"is not on win\.iso") as caught:
        resolve_edition(make_facts(*CLIENT[:2]), wanted)
    assert caught.value.hint == "this medium holds 1 Home (Core) · 6 Pro (Professional)"


def test_several_images_need_a_choice() -> None:
    with pytest.raises(MediaError, match="holds 4 editions, and none is chosen"):
        resolve_edition(make_facts(*CLIENT), None)


@pytest.mark.parametrize("wanted", ["ServerStandardEval", "standard", "Standard Evaluation"])
def test_an_id_that_fits_two_images_is_not_guessed(wanted: str) -> None:
    with pytest.raises(MediaError, match="fits 2 images") as caught:
        resolve_edition(make_facts(*SERVER), wanted)
    assert "standard desktop experience" in str(caught.value.hint)


def test_a_medium_without_images() -> None:
    with pytest.raises(MediaError, match="holds no Windows image"):
        resolve_edition(make_facts(), "Pro")


def test_the_list() -> None:
    assert listed(SERVER[:1]) == "1 Standard Evaluation (ServerStandardEval)"
