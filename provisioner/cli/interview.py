"""The questions of `new`: each with a suggestion made from the disc and from this host."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import get_args

from provisioner.cli.config import Config
from provisioner.cli.environment import Environment
from provisioner.cli.profile_text import Wanted
from provisioner.cli.questions import Questions
from provisioner.errors import MediaError, ProvisionerError
from provisioner.media.editions import listed, resolve_edition, short_name
from provisioner.media.facts import Edition, MediaFacts, MediaKind, Platform
from provisioner.media.identify import require_windows
from provisioner.media.inspect import inspect
from provisioner.profile.cldr import languages
from provisioner.profile.layers import host_path
from provisioner.profile.units import ComputerName, LanguageTag, MachineName, TimeZone, UserName
from provisioner.profile.values import BadValue
from provisioner.profile.windows import Product

PRODUCTS: tuple[str, ...] = get_args(Product)
PREFERRED = ("Professional", "Enterprise", "EnterpriseEval", "EnterpriseS")
"""Edition ids of clients, the best suggestion first."""
BIOS_ONLY = ("windows-7", "windows-server-2008-r2")
"""They know no Secure Boot, and hardly any virtual UEFI starts them (windows-setup.md §13)."""
NONE = "none"
DRIVER_FOLDERS = (Path("/usr/share/virtio-win"),)
"""Where Fedora's package virtio-win puts the ISO."""
FIRMWARES = (
    ("secure-boot", "UEFI with Microsoft's keys, as a new PC has it"),
    ("uefi", "UEFI without Secure Boot"),
    ("bios", "for what is older"),
)


def interview(
    questions: Questions,
    *,
    environment: Environment,
    config: Config,
    iso: str | None,
    file_stem: str | None,
    taken: Collection[str],
) -> Wanted:
    """Everything a profile needs. `iso` is the disc on the command line, `file_stem` the name of
    the profile's file where it was given, `taken` are names not to suggest.
    """
    facts = _install_disc(questions, environment, config, iso)
    if facts is not None:
        product, edition = _supported(facts), _edition(questions, facts)
    else:
        product = questions.choose("Windows", [(p, "") for p in PRODUCTS], "windows-11")
        edition = None
    server = product.startswith("windows-server")
    language = _language(questions, facts, edition)
    shown_language = language or (edition.default_language if edition else None) or "en-US"
    host_format = _host_format(environment.variables) or shown_language
    formats = str(questions.ask("Formats and keyboard", host_format, LanguageTag))
    timezone = str(questions.ask("Time zone", _host_timezone(environment.variables), TimeZone))
    name = str(questions.ask("Name of the machine", _name(product, file_stem, taken), MachineName))
    user = _user(questions, environment.variables, server=server)
    drivers = _drivers(questions, environment, config, facts)
    firmware = _firmware(questions, facts, product)
    return Wanted(
        name=name,
        product=product,
        edition=_edition_text(facts, edition, product),
        editions=listed(facts.editions) if facts is not None and len(facts.editions) < 7 else "",
        architecture=(facts.architecture if facts is not None else None) or "amd64",
        install=_written(facts.path, environment.home) if facts is not None else None,
        drivers=_written(drivers, environment.home) if drivers is not None else None,
        language=language,
        format=formats if formats != shown_language else None,
        timezone=timezone,
        user=user,
        computer_name=_computer_name(name, user),
        firmware=firmware,
    )


def _install_disc(
    questions: Questions, environment: Environment, config: Config, iso: str | None
) -> MediaFacts | None:
    def look(text: str) -> MediaFacts | None:
        if text in ("", NONE):
            return None
        path = host_path(text, folder=environment.cwd, home=environment.home)
        found = inspect(path)
        require_windows(found)
        _supported(found)
        return found

    if iso is not None:
        facts = look(iso)
    else:
        configured = config["media.install"].text
        facts = questions.ask("ISO image of Windows", configured or NONE, look)
    if facts is not None:
        build = f", build {facts.build}" if facts.build else ""
        count = len(facts.editions)
        editions = "one edition" if count == 1 else f"{count} editions"
        questions.explain(
            f"{facts.path.name}: {facts.product}{build}, {facts.architecture}, {editions}"
        )
    return facts


def _supported(facts: MediaFacts) -> str:
    if facts.product in PRODUCTS:
        return str(facts.product)
    raise MediaError(
        f"{facts.path.name} holds {facts.product or 'a Windows of unknown kind'}, which provisioner"
        " does not install",
        hint=f"it installs {', '.join(PRODUCTS)}",
    )


def _edition(questions: Questions, facts: MediaFacts) -> Edition:
    if len(facts.editions) == 1:
        return facts.editions[0]
    for edition in facts.editions:
        questions.explain(f"  {edition.index:>2}  {short_name(edition)}")
    suggestion = _preferred(facts)
    return questions.ask(
        "Edition", str(suggestion.index), lambda text: resolve_edition(facts, text)
    )


def _preferred(facts: MediaFacts) -> Edition:
    for wanted in PREFERRED:
        for edition in facts.editions:
            if edition.edition_id == wanted:
                return edition
    for edition in facts.editions:
        if edition.installation_type == "Server" and "Standard" in edition.edition_id:
            return edition
    return facts.editions[0]


def _edition_text(
    facts: MediaFacts | None, edition: Edition | None, product: str
) -> str | int | None:
    """What means this edition on this disc, in the form that says most to a person."""
    if facts is None or edition is None:
        server = product.startswith("windows-server")
        return "Standard Desktop Experience" if server else "Professional"
    desktop = "Desktop Experience" if edition.installation_type == "Server" else "Core"
    family = re.sub(r"^Server|(Eval)?(Core?)?$", "", edition.edition_id)
    words = f"{family} {desktop}" if edition.installation_type.startswith("Server") else ""
    for text in (words, edition.edition_id, edition.display_name, edition.name):
        try:
            if text and text.isprintable() and resolve_edition(facts, text) == edition:
                return text
        except MediaError:
            continue
    return edition.index


def _language(
    questions: Questions, facts: MediaFacts | None, edition: Edition | None
) -> str | None:
    """Asked, and written, only where the image holds several."""
    if facts is None or edition is None or len(edition.languages) < 2:
        return None
    options = [(language, "") for language in edition.languages]
    suggestion = edition.default_language or edition.languages[0]
    return questions.choose("Language", options, suggestion)


def _user(questions: Questions, variables: Mapping[str, str], *, server: bool) -> str | None:
    def read(text: str) -> str | None:
        if text == NONE:
            return None
        if text.casefold() == "administrator":
            raise BadValue(
                "Administrator is there already", rule="windows.administrator", hint="another name"
            )
        return str(UserName(text))

    if server:
        return questions.ask("A user beside Administrator", NONE, read)
    login = variables.get("USER") or variables.get("LOGNAME") or ""
    try:
        suggestion = str(UserName(login)) if login != "root" else "user"
    except BadValue:
        suggestion = "user"
    if suggestion.casefold() in ("administrator", NONE):
        suggestion = "user"
    return questions.ask("User who may log on", suggestion, lambda text: str(UserName(text)))


def _drivers(
    questions: Questions, environment: Environment, config: Config, facts: MediaFacts | None
) -> Path | None:
    def look(text: str) -> Path | None:
        if text == NONE:
            return None
        path = host_path(text, folder=environment.cwd, home=environment.home)
        found = inspect(path)
        if found.kind is not MediaKind.VIRTIO_DRIVERS:
            raise MediaError(
                f"{path.name} is not a virtio-win driver disc", hint=f"'{NONE}' goes without"
            )
        return path

    candidates = [Path(text)] if (text := config["media.drivers"].text) else []
    folders = [environment.cwd, *DRIVER_FOLDERS]
    if facts is not None:
        folders.insert(0, facts.path.parent)
    for folder in folders:
        candidates += sorted(folder.glob("virtio-win*.iso"), reverse=True)
    suggestion = NONE
    for candidate in candidates:
        try:
            look(str(candidate))
        except ProvisionerError:
            continue
        suggestion = str(candidate)
        break
    return questions.ask("Driver disc (virtio-win ISO)", suggestion, look)


def _firmware(questions: Questions, facts: MediaFacts | None, product: str) -> str:
    suggestion = "secure-boot"
    no_uefi = facts is not None and not any(e.platform is Platform.UEFI for e in facts.boot)
    if product in BIOS_ONLY or no_uefi:
        suggestion = "bios"
    elif facts is not None and not any(loader.authorities for loader in facts.loaders):
        questions.explain("  Nothing on this disc is signed, so Secure Boot would not start it.")
        suggestion = "uefi"
    return questions.choose("Firmware", FIRMWARES, suggestion)


def _name(product: str, file_stem: str | None, taken: Collection[str]) -> str:
    if file_stem is not None:
        try:
            return str(MachineName(file_stem))
        except BadValue:
            pass
    stem = product.replace("windows-server-", "server").replace("windows-", "win")
    number = 1
    while (name := stem if number == 1 else f"{stem}-{number}") in taken:
        number += 1
    return name


def _computer_name(name: str, user: str | None) -> str | None:
    """What the profile has to say because the machine's name would not do; None where it does."""
    accounts = {"ADMINISTRATOR", (user or "").upper()}
    made = name.upper().replace("_", "-").replace(".", "-")
    try:
        if ComputerName(made) not in accounts:
            return None
    except BadValue:
        made = re.sub(r"[^A-Z0-9-]", "", made)
    short = made[:15].strip("-") or "PC"
    if short.isdigit() or short in accounts:
        short = f"{short[:12].rstrip('-')}-PC"
    return short


def _host_format(variables: Mapping[str, str]) -> str | None:
    """`de-DE` from `LANG=de_DE.UTF-8`; None for the C locale and what Windows does not know."""
    for variable in ("LC_ALL", "LC_TIME", "LANG"):
        if value := variables.get(variable):
            tag = re.split(r"[.@]", value)[0].replace("_", "-")
            return tag if tag in languages() else None
    return None


def _host_timezone(variables: Mapping[str, str]) -> str:
    """The zone this host is set to: TZ, the link /etc/localtime, Debian's /etc/timezone."""
    linked = os.path.realpath("/etc/localtime").rpartition("/zoneinfo/")[2]
    candidates = [variables.get("TZ", "").removeprefix(":"), linked]
    with contextlib.suppress(OSError):
        candidates.append(Path("/etc/timezone").read_text(encoding="ascii", errors="replace"))
    for candidate in filter(None, map(str.strip, candidates)):
        try:
            zone = str(TimeZone(candidate))
        except BadValue:
            continue
        return "UTC" if zone.endswith("/UTC") else zone
    return "UTC"


def _written(path: Path, home: Path) -> str:
    """A path as it stands in the file: whole, and `~` for the home folder."""
    if path.is_relative_to(home) and home != Path("/"):
        return f"~/{path.relative_to(home)}"
    return str(path)
