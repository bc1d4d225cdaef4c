"""The install disc: is it the one this profile wants, does it start, and does it bring answers?"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.errors import MediaError, Problem, Severity
from provisioner.media.editions import resolve_edition
from provisioner.media.facts import AnswerFile, Edition, MediaFacts, MediaKind, Platform
from provisioner.media.identify import KIND_NAMES
from provisioner.media.trust import Authority
from provisioner.plan.rules.given import KEY_PAGE_BUILD, Media, Places
from provisioner.profile.model import Profile

OUR_RANK = 5
"""The row of our answer disc in Setup's search order: a read-only removable medium (§2.1)."""


def edition_of(profile: Profile, install: MediaFacts) -> Edition | None:
    """The edition the profile names, where the disc has it."""
    try:
        return resolve_edition(install, profile.windows.edition)
    except MediaError:
        return None


def check_install(profile: Profile, media: Media, places: Places) -> Iterator[Problem]:
    """Everything wrong between the profile and its install disc."""
    install = media.install
    wanted = profile.windows.product
    if install.product is not None and install.product != wanted:
        yield Problem(
            rule="media.product",
            message=f"the profile wants {wanted}, and {install.path.name} holds {install.product}",
            place=places("windows.product"),
            hint=f"extend `{install.product}`, or give another disc",
        )
    if install.architecture is not None and install.architecture != profile.windows.architecture:
        yield Problem(
            rule="media.architecture",
            message=f"{install.path.name} is for {install.architecture}, the profile for "
            f"{profile.windows.architecture}",
            place=places("windows.architecture"),
            hint=f"give a disc for {profile.windows.architecture}",
        )
    edition = None
    try:
        edition = resolve_edition(install, profile.windows.edition)
    except MediaError as err:
        yield Problem(
            rule="media.edition",
            message=err.message,
            place=places("windows.edition"),
            hint=err.hint,
        )
    yield from _languages(profile, install, edition, places)
    yield from _boot(profile, install, places)
    yield from _answers(media, places)
    for remark in install.remarks:
        yield Problem(
            rule="media.remark",
            severity=Severity.NOTE,
            message=f"{install.path.name}: {remark}",
            place=places("media.install"),
        )


def not_windows(install: MediaFacts, places: Places) -> Problem:
    """The disc is something else; then there is nothing more to say about it."""
    why = "; ".join(dict.fromkeys(install.evidence))
    return Problem(
        rule="media.not-windows",
        message=f"{install.path.name} is not a Windows installation disc but "
        f"{KIND_NAMES[install.kind]}{f' ({why})' if why else ''}",
        place=places("media.install"),
        hint="give the ISO you would boot Setup from",
    )


def is_windows(install: MediaFacts) -> bool:
    """Whether the rules about Windows discs make sense for it."""
    return install.kind is MediaKind.WINDOWS_SETUP


def _languages(
    profile: Profile, install: MediaFacts, edition: Edition | None, places: Places
) -> Iterator[Problem]:
    locale = profile.windows.locale
    held = {language.casefold() for language in install.languages}
    if locale.setup is not None and held and str(locale.setup).casefold() not in held:
        build = edition.version[2] if edition is not None else install.build
        new = build is not None and build >= KEY_PAGE_BUILD
        yield Problem(
            rule="media.setup-language",
            severity=Severity.ERROR if new else Severity.WARNING,
            message=f"Setup on {install.path.name} does not speak {locale.setup}",
            place=places("windows.locale.setup"),
            hint=f"it speaks {', '.join(install.languages)}; leave the key out to use that",
        )
    image = {language.casefold() for language in edition.languages} if edition else set()
    if locale.language is not None and image and str(locale.language).casefold() not in image:
        assert edition is not None
        yield Problem(
            rule="media.language",
            message=f"{edition.display_name or edition.name} on {install.path.name} has no "
            f"{locale.language}",
            place=places("windows.locale.language"),
            hint=f"it has {', '.join(edition.languages)}; `format` and `keyboard` may differ "
            "from the language",
        )


def _boot(profile: Profile, install: MediaFacts, places: Places) -> Iterator[Problem]:
    if not install.files:
        return  # facts without a file system: nothing is known
    firmware = profile.firmware
    wanted = Platform.BIOS if firmware == "bios" else Platform.UEFI
    platforms = {entry.platform for entry in install.boot if entry.bootable}
    if wanted not in platforms:
        there = " and ".join(sorted(platform.value.upper() for platform in platforms))
        yield Problem(
            rule="media.not-bootable",
            message=f"{install.path.name} does not start under {wanted.value.upper()}: "
            + (f"it has an entry for {there} only" if there else "it has no boot entry"),
            place=places(_firmware(profile)) if there else places("media.install"),
            hint="use the ISO as Microsoft makes it; tools that rebuild discs lose boot entries",
        )
    signed = {authority for loader in install.loaders for authority in loader.authorities}
    if firmware == "secure-boot" and install.loaders and not signed:
        checked = profile.windows.hardware_checks == "satisfy"
        wants = checked and profile.windows.product == "windows-11"
        bypass = " with windows.hardware_checks: bypass" if wants else ""
        yield Problem(
            rule="media.unsigned-loader",
            message=f"no loader on {install.path.name} is signed, and Secure Boot starts none",
            place=places(_firmware(profile)),
            hint="use the ISO as Microsoft makes it, or `firmware: uefi`" + bypass,
        )
    elif firmware == "secure-boot" and signed and signed <= {Authority.WINDOWS_2011}:
        yield Problem(
            rule="media.loader-2011",
            severity=Severity.NOTE,
            message=f"the loaders of {install.path.name} are signed with the certificate of 2011, "
            "and do not start where that is revoked",
            place=places("media.install"),
            hint="fine for a new virtual machine, whose firmware revokes nothing by default"
            if profile.metal is None
            else "if the PC refuses to start from it, take a newer ISO",
        )


def _firmware(profile: Profile) -> str:
    return "machine.firmware" if profile.metal is None else "metal.firmware"


def _answers(media: Media, places: Places) -> Iterator[Problem]:
    discs = [(media.install, "media.install")]
    if media.drivers is not None:
        discs.append((media.drivers, "media.drivers"))
    for disc, key in discs:
        for answers in disc.answers:
            yield _second_answers(disc, answers, places, key)


def _second_answers(disc: MediaFacts, answers: AnswerFile, places: Places, key: str) -> Problem:
    """Two media with answer files: the lower row wins, in one row the lower drive letter."""
    where = f"{answers.path} on {disc.path.name}"
    if answers.problem:
        return Problem(
            rule="media.answer-file",
            severity=Severity.NOTE,
            message=f"there is an answer file already, {where}, which Setup does not use: "
            f"{answers.problem}",
            place=places(key),
        )
    if answers.rank <= OUR_RANK:
        ours = "in place of ours" if answers.rank < OUR_RANK else "or ours, by drive letter"
        return Problem(
            rule="media.answer-file",
            message=f"there is an answer file already, {where}; Setup takes it, {ours}",
            place=places(key),
            hint="take a disc without, or `provisioner disc` to make one; or install from that "
            "file alone, without a profile",
        )
    return Problem(
        rule="media.answer-file",
        severity=Severity.WARNING,
        message=f"there is an answer file already, {where}; ours goes before it, and it still "
        "serves passes that ours has not",
        place=places(key),
        hint="take a disc without",
    )
