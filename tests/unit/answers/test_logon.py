"""Who logs on first, and what LogonCount has to say for it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from provisioner.answers.logon import Autologon, decide
from provisioner.errors import ProfileError
from provisioner.profile.windows import Windows

ADMIN = {"name": "dev", "groups": ["Users", "ADMINISTRATORS"], "password": {"env": "DEV"}}
USER = {"name": "worker", "password": {"env": "WORKER"}}


def logon(*, server: bool = False, **windows: Any) -> Autologon:
    data = {"product": "windows-11", **windows}
    return decide(Windows.model_validate_json(json.dumps(data)), server=server)


def refusal(*, server: bool = False, **windows: Any) -> str:
    with pytest.raises(ProfileError) as caught:
        logon(server=server, **windows)
    return " ".join(problem.rule for problem in caught.value.problems)


def test_one_logon_of_the_first_administrator_is_added() -> None:
    found = logon(users=[USER, ADMIN])
    assert (found.user, found.password.name) == ("dev", "users.dev")
    assert (found.logons, found.logon_count, found.added) == (1, 1, True)
    assert found.ends_with_first


def test_on_a_server_the_built_in_administrator_is_one() -> None:
    found = logon(server=True, administrator={"password": {"generate": 20}})
    assert (found.user, found.password.name, found.added) == (
        "Administrator",
        "administrator",
        True,
    )


def test_a_user_goes_before_the_built_in_administrator() -> None:
    found = logon(server=True, users=[ADMIN], administrator={"password": {"generate": 20}})
    assert found.user == "dev"


def test_on_a_client_the_built_in_administrator_must_be_enabled() -> None:
    password = {"generate": 20}
    assert refusal(administrator={"password": password}) == "windows.users"
    assert logon(administrator={"password": password, "enabled": True}).user == "Administrator"


@pytest.mark.parametrize(("times", "count"), [(1, 1), (2, 1), (3, 2), (999, 998)])
def test_logon_count_takes_windows_defect_into_account(times: int, count: int) -> None:
    """N logons are N-1; exactly one is 1 and a reset by the script (§5.3)."""
    found = logon(users=[ADMIN], autologon={"user": "dev", "times": times})
    assert (found.logon_count, found.added) == (count, False)
    assert found.ends_with_first is (times == 1)


def test_the_configured_user_is_spelt_as_among_the_users() -> None:
    assert logon(users=[ADMIN], autologon={"user": "DEV"}).user == "dev"
    found = logon(administrator={"password": {"env": "A"}}, autologon={"user": "administrator"})
    assert found.user == "Administrator"


@pytest.mark.parametrize(
    ("windows", "rule"),
    [
        ({"users": [USER]}, "windows.users"),
        ({}, "windows.users"),
        ({"users": [USER], "autologon": {"user": "worker"}}, "windows.autologon"),
        ({"users": [ADMIN], "autologon": {"user": "nobody"}}, "windows.autologon"),
        ({"users": [ADMIN], "autologon": {"user": "Administrator"}}, "windows.autologon"),
        (
            {"users": [ADMIN], "administrator": {"enabled": True}},
            "windows.administrator-password",
        ),
        (
            {
                "administrator": {"enabled": False, "password": {"env": "A"}},
                "autologon": {"user": "Administrator"},
            },
            "windows.autologon",
        ),
    ],
)
def test_refused(windows: dict[str, Any], rule: str) -> None:
    assert refusal(**windows) == rule


def test_a_server_needs_the_administrators_password() -> None:
    assert refusal(server=True, users=[ADMIN]) == "windows.administrator-password"


@pytest.mark.parametrize(("times", "count", "left"), [(1, 2, 0), (2, 2, 1), (3, 3, 2)])
def test_with_steps_one_logon_is_kept_in_reserve(times: int, count: int, left: int) -> None:
    """Restarts among them need the password; the script takes the reserve away at the end."""
    found = logon(
        users=[ADMIN],
        autologon={"user": "dev", "times": times},
        steps=[{"name": "a", "cmd": "x"}],
    )
    assert (found.logon_count, found.left) == (count, left)


def test_describe() -> None:
    assert logon(users=[ADMIN]).describe() == (
        "dev, once, added because the first-logon script needs it, removed afterwards"
    )
    assert logon(users=[ADMIN], autologon={"user": "dev", "times": 3}).describe() == "dev, 3 times"
