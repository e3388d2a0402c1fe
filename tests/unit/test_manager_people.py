"""Roles and tokens."""

import re

import pytest
from tests.support.pages import ROOT

from tidegate.manager.people import secrets
from tidegate.manager.people.names import is_user_name
from tidegate.manager.people.roles import PERMISSIONS, Permission, Role, allowed, roles_with


def test_the_roles_are_what_the_documentation_says() -> None:
    table = {str(role): {str(one) for one in PERMISSIONS[role]} for role in Role}
    assert table == {
        "viewer": {"read"},
        "operator": {"read", "operate", "quarantine"},
        "approver": {"read", "approve"},
        "admin": {
            "read",
            "operate",
            "approve",
            "quarantine",
            "release-quarantine",
            "policies",
            "agents",
            "tokens",
        },
    }


SAID_OF = {
    Permission.READ: "read",
    Permission.OPERATE: "start, pause, abort and roll back rollouts; windows, freezes, labels of clusters; poll",
    Permission.APPROVE: "approve and reject",
    Permission.QUARANTINE: "put digests in quarantine",
    Permission.RELEASE_QUARANTINE: "releasing from quarantine",
    Permission.POLICIES: "policies",
    Permission.AGENTS: "agents and their enrolment",
    Permission.TOKENS: "tokens",
}
"""How the page for people names a permission where a role has it."""


def test_the_page_for_people_says_what_each_role_may() -> None:
    text = (ROOT / "docs/manager.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(viewer|operator|approver|admin)` \| (.*) \|$", text, re.MULTILINE))
    assert set(rows) == set(Role)
    said = {role: words(row) for role, row in rows.items()}
    said["operator"] |= said["viewer"]  # "also", beside what the row above says
    said["admin"] |= set.union(*said.values())  # "everything"
    assert said == {str(role): set(PERMISSIONS[role]) for role in Role}


def words(row: str) -> set[Permission]:
    """The permissions that a row of the table names; not what it makes an exception of."""
    return {permission for permission, name in SAID_OF.items() if name in row.partition(" but ")[0]}


def test_who_asks_for_a_rollout_cannot_approve_it_by_the_same_role() -> None:
    assert not allowed(Role.OPERATOR, Permission.APPROVE)
    assert not allowed(Role.APPROVER, Permission.OPERATE)
    assert roles_with(Permission.APPROVE) == [Role.APPROVER, Role.ADMIN]


def test_a_token_is_read_as_it_was_written_and_matches_what_was_kept() -> None:
    secret = secrets.new_secret()
    shown = secrets.read_token(secrets.PERSON, secrets.token_text(secrets.PERSON, 12, secret))
    assert shown is not None
    assert (shown.id, shown.matches(secrets.hashed(secret))) == (12, True)
    assert not shown.matches(secrets.hashed(secrets.new_secret()))
    assert secret not in repr(shown)


def test_a_secret_has_256_bits_and_is_another_each_time() -> None:
    some = {secrets.new_secret() for _ in range(100)}
    assert len(some) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", one) for one in some)


@pytest.mark.parametrize(
    "text", ["", "tg_1", "tg__x" * 9, "te_1_" + "x" * 43, "tg_-1_" + "x" * 43, "tg_\u0661_" + "x" * 43]
)
def test_what_has_not_the_form_of_a_token_is_none(text: str) -> None:
    assert secrets.read_token(secrets.PERSON, text) is None


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("anna", True),
        ("a.b-c@d+e", True),
        ("tidegate", False),
        ("agent x", False),
        ("tg_1_abc", False),
        ("te_1_abc", False),
    ],
)
def test_nobody_can_be_called_what_the_manager_or_an_agent_is(name: str, good: bool) -> None:
    assert is_user_name(name) is good
