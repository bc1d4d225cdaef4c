"""Languages, formats and keyboards, checked against what the medium speaks."""

from __future__ import annotations

from provisioner.errors import Problem, ProfileError, Severity
from provisioner.frozen import frozen
from provisioner.media.facts import Edition, MediaFacts
from provisioner.profile.windows import Locale

CONX = 26100
"""From this build on, Setup shows its language page where `UILanguage` is not the medium's own
(windows-setup.md §3.1; unattend-generator issues 64, 170, 326)."""


@frozen
class Languages:
    """Values of International-Core and International-Core-WinPE."""

    setup: str
    language: str
    user_locale: str
    system_locale: str
    keyboards: str
    """`InputLocale`: tags or ids, joined with `;`, the first is the default."""
    fallback: str | None
    """`UILanguageFallback`."""
    layered_driver: int | None
    problems: tuple[Problem, ...]
    """Warnings."""


def choose(locale: Locale, install: MediaFacts, edition: Edition) -> Languages:
    """Everything the profile leaves open follows the medium, then `language`, then `format`.

    ProfileError where Windows shall have a language that is not on the medium.
    """
    warnings: list[Problem] = []
    problems: list[Problem] = []
    spoken = install.languages or edition.languages
    own = _spelt(edition.default_language, spoken) or (spoken[0] if spoken else "en-US")
    setup = own
    if locale.setup is not None:
        setup = _spelt(locale.setup, spoken) or locale.setup
        # One that is not there at all is told by `plan/rules/media`, and can be forced.
        if _spelt(locale.setup, spoken) is not None and setup != own and edition.version[2] >= CONX:
            warnings.append(
                Problem(
                    message=f"Setup of build {edition.version[2]} may stop at its language page, "
                    f"because {setup} is not the medium's own language {own}",
                    rule="windows.setup-language",
                    severity=Severity.WARNING,
                    hint="leave out locale.setup and set locale.language",
                )
            )
    language = edition.default_language or setup
    if locale.language is not None:
        language = _spelt(locale.language, edition.languages) or locale.language
        if edition.languages and _spelt(locale.language, edition.languages) is None:
            problems.append(
                _absent(edition.name, locale.language, edition.languages, "windows.language")
            )
    fallback = None
    if locale.fallback is not None:
        fallback = _spelt(locale.fallback, edition.languages) or locale.fallback
        if edition.languages and _spelt(locale.fallback, edition.languages) is None:
            problems.append(
                _absent(
                    edition.name, locale.fallback, edition.languages, "windows.fallback-language"
                )
            )
    if problems:
        raise ProfileError(problems)
    user_locale = locale.format or language
    match locale.keyboard:
        case None | ():
            keyboards: tuple[str, ...] = (user_locale,)
        case str(single):
            keyboards = (single,)
        case several:
            keyboards = several
    return Languages(
        setup=setup,
        language=language,
        user_locale=user_locale,
        system_locale=locale.system or language,
        keyboards=";".join(keyboards),
        fallback=fallback,
        layered_driver=locale.layered_driver,
        problems=tuple(warnings),
    )


def _spelt(wanted: str | None, tags: tuple[str, ...]) -> str | None:
    """The tag as the medium spells it, if it has it."""
    if wanted is None:
        return None
    return next((tag for tag in tags if tag.casefold() == wanted.casefold()), None)


def _absent(who: str, wanted: str, tags: tuple[str, ...], rule: str) -> Problem:
    return Problem(
        message=f"{who} does not speak {wanted} on this medium",
        rule=rule,
        hint=f"it speaks {', '.join(tags)}; `locale.format` and `locale.keyboard` are free",
    )
