"""Who is let in by which claims."""

from typing import Any

import pytest

from tidegate.manager.oidc.errors import NotLetInError, told
from tidegate.manager.oidc.person import Person, Rules, person
from tidegate.manager.people.roles import Role

ROLES = (("ops", Role.ADMIN), ("sre", Role.APPROVER), ("a=b", Role.VIEWER))
RULES = Rules("email", "groups", ROLES)
ANNA: dict[str, Any] = {"sub": "u1", "email": "anna@example.com", "email_verified": True, "groups": ["staff", "sre"]}


def test_the_address_is_the_name_and_a_group_gives_the_role() -> None:
    assert person(ANNA, RULES) == Person("u1", "anna@example.com", Role.APPROVER)


def test_of_several_the_first_that_was_set_counts() -> None:
    assert person(ANNA | {"groups": ["sre", "ops"]}, RULES).role is Role.ADMIN


def test_a_claim_may_be_one_value() -> None:
    assert person(ANNA | {"groups": "a=b"}, RULES).role is Role.VIEWER


@pytest.mark.parametrize("groups", [[], ["staff"], "", "ops,sre", ["OPS"], [["ops"]], None, {"ops": True}, 7])
def test_who_has_no_value_that_was_set_is_not_let_in(groups: Any) -> None:
    with pytest.raises(NotLetInError, match=r"the claim groups is .* nothing of that is given a role"):
        person(ANNA | {"groups": groups}, RULES)


def test_it_says_which_claims_came_where_the_one_is_not_there() -> None:
    claims = {name: value for name, value in ANNA.items() if name != "groups"}
    with pytest.raises(NotLetInError, match=r"not say the claim groups, only email, email_verified, sub; .*ROLE_CLAIM"):
        person(claims, RULES)


@pytest.mark.parametrize("verified", [False, None, "true", 1])
@pytest.mark.parametrize("rules", [RULES, Rules("sub", "email", (("anna@example.com", Role.ADMIN),))])
def test_an_address_that_was_not_verified_is_nobodys_and_gives_nothing(verified: Any, rules: Rules) -> None:
    with pytest.raises(NotLetInError, match="is verified"):
        person(ANNA | {"email_verified": verified}, rules)


@pytest.mark.parametrize("name", ["", "anna berg", "agent x", "tidegate", "tg_1_x", "a" * 65, ["anna"], None, 7])
def test_nobody_has_a_name_that_no_user_can_have(name: Any) -> None:
    with pytest.raises(NotLetInError, match="no user can be called that"):
        person(ANNA | {"preferred_username": name}, Rules("preferred_username", "groups", ROLES))


def test_more_is_asked_for_where_a_claim_is_not_in_the_id_token() -> None:
    assert RULES.answered_by(ANNA)
    assert not any(RULES.answered_by({k: v for k, v in ANNA.items() if k != name}) for name in ANNA if name != "sub")


def test_what_others_say_is_in_one_line_and_bounded() -> None:
    assert told("a\r\n\x1bb   c") == "a b c"
    assert len(told("x" * 5000)) == 301
