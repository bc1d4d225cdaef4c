"""Accounts, passwords, autologon and domain membership (windows-setup.md §4.2, §5.2, §5.3)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from provisioner.answers.lint.answerfile import AnswerFile
from provisioner.answers.lint.document import Element
from provisioner.answers.lint.findings import Finding, error, note, warning

DELETED = "*SENSITIVE*DATA*DELETED*"
"""What Setup leaves in its cached copy (§11)."""
BUILT_IN = "administrator"
_HOLDERS = ("password", "administratorpassword", "offlineadministratorpassword")
_NO_NAME = re.compile(r'[/\\\[\]:|<>+=;,?*%@"]')
_RESERVED = ("none", "guest", "defaultaccount", "wdagutilityaccount", "system")
LONGEST_USER = 20
_POLICY = (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9]")


def check(file: AnswerFile) -> Iterator[Finding]:
    """All accounts of all passes."""
    yield from _passwords(file)
    yield from _local_accounts(file)
    yield from _autologon(file)
    yield from _join(file)


def is_weak(password: str, user: str) -> bool:
    """Whether the default policy of servers refuses it: six characters or more, of three kinds out
    of four, without the user's name (§5.2; Microsoft, "Password must meet complexity
    requirements")."""
    kinds = sum(re.search(pattern, password) is not None for pattern in _POLICY)
    name = len(user) > 2 and user.lower() in password.lower()
    return kinds < 3 or len(password) < 6 or name


def _passwords(file: AnswerFile) -> Iterator[Finding]:
    clear: list[Element] = []
    for block in file.blocks:
        for element in block.element.walk():
            if element.name.lower() not in _HOLDERS:
                continue
            value = element.find("Value")
            if value is None:
                # The credentials of a join have no other form (windows-setup.md §4.2).
                joins = block.name.lower().endswith("unattendedjoin")
                if not element.children and element.value and not joins:
                    clear.append(element)
                continue
            if value.value == DELETED:
                yield warning(
                    "lint.cached-copy",
                    value,
                    "Setup has deleted this password: the file is its cached copy",
                    "take the original file",
                )
            elif element.get("PlainText") == "false":
                yield from _encoded(element, value)
                yield from _weak(file, element, _decoded(value.value, element.name))
            elif value.value:
                clear.append(value)
                if _decoded(value.value, element.name) is not None:
                    yield warning(
                        "lint.password-encoding",
                        value,
                        "this value is an encoded password, and PlainText does not say so",
                        "write <PlainText>false</PlainText>, or the password itself",
                    )
                yield from _weak(file, element, value.value)
    if clear:
        count = f"{len(clear)} passwords stand" if len(clear) > 1 else "a password stands"
        yield note(
            "lint.plain-password",
            clear[0],
            f"{count} in the file in clear",
            "change them after the installation; PlainText false only hides them from a glance",
        )


def _encoded(holder: Element, value: Element) -> Iterator[Finding]:
    if not value.value:
        yield error(
            "lint.password-encoding",
            value,
            "an encoded password cannot be empty: even no password has its suffix",
            f"encode the word {holder.name} in UTF-16LE and base64",
        )
        return
    try:
        data = base64.b64decode(re.sub(r"\s", "", value.value), validate=True)
        text = data.decode("utf-16-le")
    except (binascii.Error, ValueError):
        yield error(
            "lint.password-encoding",
            value,
            "PlainText is false, and this is not base64 of UTF-16LE text",
            "write <PlainText>true</PlainText>, or encode password + element name",
        )
        return
    if not text.endswith(holder.name):
        yield error(
            "lint.password-encoding",
            value,
            f"the encoded password does not end in {holder.name}, so Windows cannot decode it",
            f"append {holder.name} to the password before encoding it",
        )


def _decoded(value: str, suffix: str) -> str | None:
    """The password of an encoded value; None where this is none."""
    try:
        text = base64.b64decode(re.sub(r"\s", "", value), validate=True).decode("utf-16-le")
    except (binascii.Error, ValueError):
        return None
    return text.removesuffix(suffix) if text.endswith(suffix) else None


def _weak(file: AnswerFile, holder: Element, password: str | None) -> Iterator[Finding]:
    """The Administrator's password decides whether OOBE of a server stops."""
    windows = file.purpose.windows
    if windows is None or not windows.server or holder.name.lower() != "administratorpassword":
        return
    if password is not None and is_weak(password, BUILT_IN):
        value = holder.find("Value")
        yield warning(
            "lint.weak-password",
            value if value is not None else holder,
            "servers refuse this Administrator password and ask for another one",
            "six characters or more, with three of: lower case, capitals, digits, others",
        )


def _local_accounts(file: AnswerFile) -> Iterator[Finding]:
    for item in file.all("Shell-Setup", "UserAccounts/LocalAccounts/LocalAccount"):
        name = item.find("Name")
        if name is None or not name.value:
            continue
        bad = sorted(set(_NO_NAME.findall(name.value)))
        if bad or name.value.endswith("."):
            yield error(
                "lint.account",
                name,
                f"{name.value[:40]!r} cannot be a user name",
                f"without {' '.join(bad)}" if bad else "without the period at its end",
            )
        elif len(name.value) > LONGEST_USER:
            yield error(
                "lint.account",
                name,
                f"this user name has {len(name.value)} characters",
                f"Windows allows {LONGEST_USER}",
            )
        elif name.value.lower() in _RESERVED:
            yield error(
                "lint.account", name, f"Windows keeps the name {name.value}", "take another name"
            )
        elif name.value.lower() == BUILT_IN:
            yield warning(
                "lint.account",
                name,
                "Administrator exists in every Windows and is not created",
                "give it a password with AdministratorPassword",
            )


def _autologon(file: AnswerFile) -> Iterator[Finding]:
    known = {
        item.get("Name").lower()
        for item in file.all("Shell-Setup", "UserAccounts/LocalAccounts/LocalAccount")
    }
    for autologon in file.all("Shell-Setup", "AutoLogon"):
        user = autologon.find("Username")
        enabled = autologon.get("Enabled")
        if enabled == "false":
            continue
        if user is None:
            yield warning(
                "lint.autologon",
                autologon,
                "AutoLogon without a Username logs nobody on",
                "name one of LocalAccounts, or Administrator",
            )
            continue
        domain = autologon.get("Domain")
        elsewhere = domain not in ("", ".") and not domain.startswith("%")
        # The Administrator has a name of its own in several languages.
        if user.value.lower() in known or user.value.lower().startswith("admin") or elsewhere:
            continue
        if not user.value:
            continue  # told as an empty setting
        if not known and not list(file.all("Shell-Setup", "UserAccounts")):
            continue  # the account comes from the image, or from another file
        yield warning(
            "lint.autologon",
            user,
            f"{user.value[:40]!r} is to be logged on, and no account of that name is created",
            f"the accounts are {', '.join(sorted(known)) or 'none'} and Administrator",
        )


def _join(file: AnswerFile) -> Iterator[Finding]:
    for element in file.all("UnattendedJoin", "Identification"):
        domain, group = element.find("JoinDomain"), element.find("JoinWorkgroup")
        provisioned = element.find("Provisioning/AccountData") is not None
        if domain is not None and group is not None:
            yield error(
                "lint.join",
                group,
                "JoinDomain and JoinWorkgroup exclude each other",
                "keep one of them",
            )
        elif domain is None and group is None and not provisioned:
            yield warning(
                "lint.join",
                element,
                "neither a domain nor a workgroup is joined",
                "give JoinDomain, JoinWorkgroup, or Provisioning/AccountData of djoin",
            )
        elif (
            domain is not None
            and not provisioned
            and element.find("Credentials") is None
            and element.get("UnsecureJoin") != "true"
        ):
            yield warning(
                "lint.join",
                domain,
                "a domain is joined without credentials",
                "give Credentials, or a blob of djoin in Provisioning/AccountData",
            )
