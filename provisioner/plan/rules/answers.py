"""The answer disc as it would be written: composed, then linted like anybody's answer file.

Secrets stay where they are: each slot gets a stand-in of the right form.
"""

from __future__ import annotations

from collections.abc import Iterator

from provisioner.answers.disc import ANSWER_FILE, AnswerDisc, compose
from provisioner.answers.lint import Firmware, Purpose, Target, lint
from provisioner.errors import MediaError, Place, Problem, ProfileError, ProvisionerError
from provisioner.media.facts import Edition
from provisioner.plan.rules.given import Media, Places
from provisioner.plan.rules.nominal import virtio_devices
from provisioner.profile.model import Profile
from provisioner.quoting import ENCODINGS
from provisioner.secret import SecretSlot
from provisioner.templating import Templates
from provisioner.tree import Text

RENDERED = "Autounattend.xml (rendered)"
_STAND_IN = "Stand-in 4 a secret"
_KEY_STAND_IN = "BBBBB-BBBBB-BBBBB-BBBBB-BBBBB"
_KEYS = {
    "machine.disk-size": "machine.disks[0].size",
    "windows.product-key": "windows.product_key",
    "windows.setup-language": "windows.locale.setup",
    "windows.language": "windows.locale.language",
    "windows.fallback-language": "windows.locale.fallback",
    "windows.oem-logo": "windows.oem.logo",
    "windows.answer-file-alone": "windows.answer_file",
    "windows.answer-file-ready": "windows.answer_file",
    "windows.answer-file-stays": "windows.answer_file",
    "windows.autologon": "windows.autologon.user",
    "windows.users": "windows.users",
    "windows.administrator-password": "windows.administrator.password",
    "windows.recovery": "windows.recovery",
    "machine.disks": "machine.disks",
}
"""What a finding of `answers` is about: that room knows no places."""


def composed(
    profile: Profile, media: Media, edition: Edition, templates: Templates, places: Places
) -> tuple[AnswerDisc | None, tuple[Problem, ...]]:
    """The disc, and everything said on the way, with places."""
    try:
        disc = compose(
            profile,
            media.install,
            edition,
            media.drivers,
            templates=templates,
            devices=virtio_devices(profile, media, templates),
            supplied=media.supplied,
        )
    except ProfileError as error:
        return None, tuple(placed(problem, places) for problem in error.problems)
    except MediaError as error:
        return None, (
            Problem(
                rule="media.unsuitable",
                message=error.message,
                place=places("media.install"),
                hint=error.hint,
            ),
        )
    except ProvisionerError as error:
        return None, (
            Problem(
                rule="answers.template",
                message=error.message,
                place=error.place,
                hint=error.hint or "templates of your own are in ~/.config/provisioner/templates",
            ),
        )
    return disc, tuple(placed(problem, places) for problem in disc.problems)


def placed(problem: Problem, places: Places) -> Problem:
    """The problem at its key of the profile."""
    key = _KEYS.get(problem.rule)
    if problem.place is not None or key is None:
        return problem
    return Problem(
        message=problem.message,
        rule=problem.rule,
        severity=problem.severity,
        place=places(key),
        hint=problem.hint,
    )


def check_answers(disc: AnswerDisc, profile: Profile, edition: Edition) -> Iterator[Problem]:
    """What `lint` says about the answer file; nothing, where it comes from our templates."""
    shown = RENDERED if disc.own is None else str(disc.own.file.path)
    firmware: Firmware = "bios" if profile.firmware == "bios" else "uefi"
    purpose = Purpose(windows=target_of(edition), firmware=firmware)
    for problem in lint(answer_bytes(disc), file=shown, purpose=purpose):
        place = problem.place or Place(file=shown)
        yield Problem(
            message=problem.message,
            rule=problem.rule,
            severity=problem.severity,
            place=place,
            hint=problem.hint,
        )


def target_of(edition: Edition) -> Target:
    """The Windows of an image, as `lint` wants it."""
    return Target(
        name=edition.display_name or edition.name,
        build=edition.version[2],
        server=edition.installation_type.casefold().startswith("server"),
    )


def answer_bytes(disc: AnswerDisc) -> bytes:
    """The answer file as the writer would make it, with stand-ins for its secrets."""
    if disc.own is not None:
        return disc.own.file.data
    for path, file in disc.tree.files():
        if str(path) != ANSWER_FILE:
            continue
        data = b""
        for part in file.content:
            if isinstance(part, Text):
                text = "".join(
                    _stand_in(piece) if isinstance(piece, SecretSlot) else piece
                    for piece in part.parts
                )
                data += text.replace("\n", part.newline).encode(part.encoding)
        return data
    return b""


def _stand_in(slot: SecretSlot) -> str:
    value = _KEY_STAND_IN if slot.name == "product-key" else _STAND_IN
    return ENCODINGS[slot.encoding](value)
