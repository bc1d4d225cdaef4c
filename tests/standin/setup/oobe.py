"""The oobeSystem pass: accounts, pages, automatic logon, first-logon commands (facts §5)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.standin.setup.answers import AnswerFile
from tests.standin.setup.elements import Element
from tests.standin.setup.outcome import INVALID, SetupStopped, page_shown, refused
from tests.standin.setup.passwords import read_password
from tests.standin.setup.requirements import require_password
from tests.standin.setup.windows_pe import Command, read_commands

BUILT_IN_ACCOUNTS = frozenset(
    {"administrator", "guest", "defaultaccount", "wdagutilityaccount", "system", "none"}
)
FORBIDDEN_IN_ACCOUNTS = frozenset('/\\[]:|<>+=;,?*%@"')
LOCAL_GROUPS = frozenset(
    {
        "administrators",
        "backup operators",
        "guests",
        "hyper-v administrators",
        "network configuration operators",
        "performance log users",
        "performance monitor users",
        "power users",
        "remote desktop users",
        "remote management users",
        "users",
    }
)
"""Names of an English system (facts §5.2: templates write English names)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A local account; the password is the decoded one."""

    name: str
    display_name: str
    description: str
    groups: tuple[str, ...]
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoLogon:
    """Automatic logon; `count` is None where the file gives none (facts §5.3)."""

    username: str
    domain: str
    count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experience:
    """What the pass set up."""

    accounts: tuple[Account, ...]
    administrator_password: str | None
    auto_logon: AutoLogon | None
    international: dict[str, str]
    first_logon_commands: tuple[Command, ...]
    notes: tuple[str, ...]


def out_of_box(answer: AnswerFile, *, computer_name: str, server: bool = False) -> Experience:
    """Apply the pass; raises `SetupStopped` for errors and for every page nobody answers."""
    shell = answer.component("oobeSystem", "Shell-Setup")
    notes: list[str] = []
    accounts = _accounts(answer, shell, computer_name)
    administrator = shell.find("UserAccounts/AdministratorPassword") if shell else None
    administrator_password = (
        None if administrator is None else read_password(administrator, "AdministratorPassword")
    )
    if server:
        if administrator_password is not None:
            require_password(administrator_password, name="Administrator")
        for account in accounts:
            require_password(account.password, name=account.name)
    auto_logon = _auto_logon(answer, shell, accounts, administrator_password, computer_name, notes)
    international = _check_pages(answer, shell, accounts, auto_logon, notes)
    commands = read_commands(shell, "FirstLogonCommands/SynchronousCommand", text="CommandLine")
    if len(commands) > 1:
        notes.append(
            f"{len(commands)} FirstLogonCommands: Windows 10 and later start them all at once"
        )
    return Experience(
        accounts=accounts,
        administrator_password=administrator_password,
        auto_logon=auto_logon,
        international=international,
        first_logon_commands=commands,
        notes=tuple(notes),
    )


def account_name_problem(name: str) -> str | None:
    """Why an account name is refused, or None (facts §5.2)."""
    if len(name) > 20:
        return f"{len(name)} characters, at most 20 are allowed"
    bad = sorted(set(name) & FORBIDDEN_IN_ACCOUNTS)
    if bad:
        return f"it has {' '.join(map(repr, bad))}"
    if name.lower() in BUILT_IN_ACCOUNTS:
        return "it is a built-in name"
    if not name.strip(" .") or not all(character.isprintable() for character in name):
        return "it is blank or has control characters"
    return None


def _accounts(answer: AnswerFile, shell: Element | None, computer_name: str) -> tuple[Account, ...]:
    holder = shell.find("UserAccounts/LocalAccounts") if shell else None
    accounts = []
    for item in holder.all("LocalAccount") if holder else ():
        name = item.value("Name") or ""
        problem = account_name_problem(name)
        if problem is None and name.lower() == computer_name.lower():
            problem = "it is the computer's name"
        groups = tuple(g.strip() for g in (item.value("Group") or "Users").split(";") if g.strip())
        unknown = [group for group in groups if group.lower() not in LOCAL_GROUPS]
        if problem is None and unknown:
            problem = f"there is no group {', '.join(unknown)}"
        if problem is not None:
            raise refused(answer.path, "oobeSystem", INVALID, f"LocalAccount {name!r}: {problem}")
        accounts.append(
            Account(
                name=name,
                display_name=item.value("DisplayName") or "",
                description=item.value("Description") or "",
                groups=groups,
                password=read_password(item.find("Password"), "Password"),
            )
        )
    return tuple(accounts)


def _auto_logon(
    answer: AnswerFile,
    shell: Element | None,
    accounts: tuple[Account, ...],
    administrator_password: str | None,
    computer_name: str,
    notes: list[str],
) -> AutoLogon | None:
    element = shell.find("AutoLogon") if shell else None
    if element is None:
        specialized = answer.component("specialize", "Shell-Setup")
        element = specialized.find("AutoLogon") if specialized else None
    if element is None or not element.flag("Enabled"):
        return None
    username = element.value("Username") or ""
    if not username:
        raise refused(answer.path, "oobeSystem", INVALID, "AutoLogon without Username")
    domain = element.value("Domain") or ""
    if domain and domain.lower() not in {".", computer_name.lower()}:
        raise SetupStopped(f"automatic logon: domain {domain} is not this computer")
    if username.lower() == "administrator":
        expected = administrator_password or ""
    else:
        account = next((a for a in accounts if a.name.lower() == username.lower()), None)
        if account is None:
            raise SetupStopped(f"automatic logon: there is no account {username}")
        expected = account.password
    if read_password(element.find("Password"), "Password") != expected:
        raise SetupStopped(f"automatic logon: the password of {username} is wrong")
    count = element.value("LogonCount")
    if count is None:
        notes.append("AutoLogon without LogonCount, which the reference requires")
    elif int(count) < 1:
        notes.append(f"AutoLogon with LogonCount {count}: nobody is logged on")
        return None
    return AutoLogon(username=username, domain=domain, count=None if count is None else int(count))


def _check_pages(
    answer: AnswerFile,
    shell: Element | None,
    accounts: tuple[Account, ...],
    auto_logon: AutoLogon | None,
    notes: list[str],
) -> dict[str, str]:
    """Return International-Core's values, or stop at the first page that would be shown."""
    oobe = shell.find("OOBE") if shell else None
    international = answer.component("oobeSystem", "International-Core")
    values = {child.name: child.text for child in international.children} if international else {}
    if oobe is not None and oobe.flag("SkipMachineOOBE") and oobe.flag("SkipUserOOBE"):
        notes.append("OOBE skipped by SkipMachineOOBE and SkipUserOOBE, which are deprecated")
        return values
    if international is None:
        raise page_shown("OOBE region", "oobeSystem has no International-Core (facts §5.5)")
    if oobe is None or not oobe.flag("HideEULAPage"):
        raise page_shown("OOBE license terms", "OOBE/HideEULAPage is not true")
    if oobe.value("ProtectYourPC") is None:
        raise page_shown("OOBE privacy", "OOBE/ProtectYourPC has no default")
    if not accounts and auto_logon is None:
        raise page_shown("OOBE account", "no LocalAccount and no AutoLogon")
    return values
