"""Who logs on first, so that the first-logon script can run.

The script always has to run: it installs drivers and the agent, runs the steps, reports on the
serial port, switches the machine off where that is the sign of being ready, and removes the cached
answers. So a machine without a configured autologon gets exactly one.
"""

from __future__ import annotations

from provisioner.errors import Problem, ProfileError
from provisioner.frozen import frozen
from provisioner.profile.windows import Windows
from provisioner.templating import NamedSecret

BUILT_IN = "Administrator"
ADMINISTRATORS = "administrators"


@frozen
class Autologon:
    """The automatic logons. `added` says that the profile did not ask for them."""

    user: str
    password: NamedSecret
    logons: int
    added: bool

    @property
    def logon_count(self) -> int:
        """What `LogonCount` has to say for this many logons.

        Windows adds one to every count above 0, so N logons are N-1, and exactly one is 1 with
        Winlogon's AutoLogonCount set to 0 by the first-logon script (windows-setup.md §5.3;
        Microsoft, "LogonCount"; practised by unattend-generator and KubeVirt).
        """
        return max(self.logons - 1, 1)

    @property
    def ends_with_first(self) -> bool:
        """Whether the first-logon script takes the autologon out again."""
        return self.logons == 1

    def describe(self) -> str:
        """One line for plans."""
        times = "once" if self.logons == 1 else f"{self.logons} times"
        why = ", added because the first-logon script needs it, removed afterwards"
        return f"{self.user}, {times}{why if self.added else ''}"


def administrator_enabled(windows: Windows, *, server: bool) -> bool:
    """Whether the built-in Administrator can be used: on servers by default, on clients on request.

    Windows clients leave it disabled unless a logon of it is configured (§5.2).
    """
    wanted = windows.administrator.enabled
    return server if wanted is None else wanted


def decide(windows: Windows, *, server: bool) -> Autologon:
    """The autologon of this machine, or ProfileError with everything that stands in its way."""
    problems = _problems(windows, server=server)
    configured = windows.autologon
    if configured is not None:
        found = _account(windows, configured.user)
        if found is None:
            problems.append(_unusable(windows, configured.user))
        elif not problems:
            user, password = found
            return Autologon(user=user, password=password, logons=configured.times, added=False)
    else:
        first = next((u for u in windows.users if _is_administrator(u.groups)), None)
        name = first.name if first else BUILT_IN
        usable = first is not None or administrator_enabled(windows, server=server)
        found = _account(windows, name) if usable else None
        if found is not None and not problems:
            user, password = found
            return Autologon(user=user, password=password, logons=1, added=True)
        if found is None and not problems:
            problems.append(
                Problem(
                    message="nobody on this machine could run the first-logon script: no user is "
                    "in Administrators and the built-in Administrator is not enabled",
                    rule="windows.users",
                    hint="add a user with `groups: [Administrators]`, or set "
                    "`administrator: {enabled: true, password: {generate: 20}}`",
                )
            )
    raise ProfileError(problems)


def _problems(windows: Windows, *, server: bool) -> list[Problem]:
    """Accounts that Setup would stop at."""
    administrator = windows.administrator
    if administrator.password is not None:
        return []
    if server:
        message = "Windows Server asks for the Administrator's password if it gets none"
    elif administrator.enabled:
        message = "the built-in Administrator is enabled and has no password"
    else:
        return []
    return [
        Problem(
            message=message,
            rule="windows.administrator-password",
            hint="set `administrator: {password: {generate: 20}}`",
        )
    ]


def _account(windows: Windows, name: str) -> tuple[str, NamedSecret] | None:
    """A local administrator of that name as the profile spells it, and the password."""
    if name.casefold() == BUILT_IN.casefold():
        administrator = windows.administrator
        if administrator.password is None or administrator.enabled is False:
            return None
        return BUILT_IN, NamedSecret(name="administrator", reference=administrator.password)
    for user in windows.users:
        if user.name.casefold() == name.casefold() and _is_administrator(user.groups):
            return user.name, NamedSecret(name=f"users.{user.name}", reference=user.password)
    return None


def _is_administrator(groups: tuple[str, ...]) -> bool:
    return any(group.casefold() == ADMINISTRATORS for group in groups)


def _unusable(windows: Windows, name: str) -> Problem:
    """Why the configured autologon user cannot be the first to log on."""
    if name.casefold() == BUILT_IN.casefold():
        message = "autologon.user is Administrator, which is not enabled or has no password"
        hint = "give the Administrator a password, or name another user"
    elif name.casefold() in {user.name.casefold() for user in windows.users}:
        # First-logon commands run with the rights of that user, without elevation (§5.4).
        message = f"autologon.user {name} is not in Administrators, and the first logon sets up"
        hint = f"add Administrators to the groups of {name}, or name an administrator"
    else:
        message = f"autologon.user {name} is not one of the users"
        hint = "name one of `users`, or Administrator"
    return Problem(message=message, rule="windows.autologon", hint=hint)
