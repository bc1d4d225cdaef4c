"""Languages: what follows what, and what is not on the medium."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioner.answers.locale import Languages, choose
from provisioner.errors import ProfileError, Severity
from provisioner.profile.windows import Locale
from tests.golden.media import edition, install_disc


def languages(
    speaks: tuple[str, ...] = ("en-US",), *, build: int = 26100, **locale: Any
) -> Languages:
    image = edition("Professional", build=build, languages=speaks)
    disc = install_disc(image, languages=speaks)
    return choose(Locale.model_validate_json(json.dumps(locale)), disc, image)


def test_everything_follows_the_medium() -> None:
    found = languages(("de-DE",))
    assert (found.setup, found.language, found.user_locale, found.system_locale) == ("de-DE",) * 4
    assert found.keyboards == "de-DE"
    assert found.problems == ()


def test_format_and_keyboard_follow_language_then_format() -> None:
    found = languages(format="de-AT")
    assert (found.language, found.system_locale) == ("en-US", "en-US")
    assert (found.user_locale, found.keyboards) == ("de-AT", "de-AT")


@pytest.mark.parametrize(
    ("keyboard", "joined"),
    [
        ("fr-CH", "fr-CH"),
        (["de-DE", "0409:00000409"], "de-DE;0409:00000409"),
        ([], "en-US"),
    ],
)
def test_keyboards(keyboard: str | list[str], joined: str) -> None:
    assert languages(keyboard=keyboard).keyboards == joined


def test_other_languages_of_a_medium() -> None:
    found = languages(("de-DE", "en-US"), setup="en-US", language="en-US", build=22631)
    assert (found.setup, found.language) == ("en-US", "en-US")
    assert found.problems == ()


def test_from_24h2_on_another_setup_language_is_warned_of() -> None:
    (warning,) = languages(("de-DE", "en-US"), setup="en-US").problems
    assert warning.severity is Severity.WARNING
    assert warning.rule == "windows.setup-language"


def test_a_language_that_windows_has_not_is_refused() -> None:
    with pytest.raises(ProfileError) as caught:
        languages(setup="fr-FR", language="it-IT")
    assert [problem.rule for problem in caught.value.problems] == ["windows.language"]
    assert "it speaks en-US" in (caught.value.hint or "")


def test_a_language_that_setup_has_not_is_written_as_asked() -> None:
    """`check` stops it (media.setup-language); forced past that, Setup shall meet it."""
    assert languages(setup="fr-FR").setup == "fr-FR"
