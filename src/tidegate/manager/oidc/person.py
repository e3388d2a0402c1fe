"""Who somebody is, and what they may, by the claims of a provider. Who is given no role is not let in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.manager.oidc.errors import NotLetInError, told
from tidegate.manager.people.names import NAME_TAKES, is_user_name
from tidegate.manager.people.roles import Role

_EMAIL, _VERIFIED = "email", "email_verified"


@dataclass(frozen=True, slots=True)
class Rules:
    """The claim that is the user's name, the one that gives a role, and which value of it gives which, in order."""

    user_claim: str
    role_claim: str
    roles: tuple[tuple[str, Role], ...]

    def answered_by(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claims that are asked for are there."""
        wanted = {self.user_claim, self.role_claim}
        return wanted | ({_VERIFIED} if _EMAIL in wanted else set()) <= claims.keys()


@dataclass(frozen=True, slots=True)
class Person:
    """`sub` is what the provider calls the account for ever; the name may change, or become another's."""

    sub: str
    user: str
    role: Role


def person(claims: Mapping[str, Any], rules: Rules) -> Person:
    """Who it is. Raises `NotLetInError`."""
    user = _claim(claims, rules.user_claim, "TIDEGATE_OIDC_USER_CLAIM")
    if not isinstance(user, str) or not is_user_name(user):
        raise NotLetInError(
            f"the claim {rules.user_claim} is {told(repr(user))}, and no user can be called that: it takes {NAME_TAKES}"
        )
    return Person(claims["sub"], user, _role(claims, rules))


def _role(claims: Mapping[str, Any], rules: Rules) -> Role:
    said = _claim(claims, rules.role_claim, "TIDEGATE_OIDC_ROLE_CLAIM")
    values = said if isinstance(said, list) else [said]
    for value, role in rules.roles:
        if value in values:
            return role
    raise NotLetInError(
        f"the claim {rules.role_claim} is {told(', '.join(map(str, values))) or 'empty'}, and nothing of that is given "
        "a role: TIDEGATE_OIDC_ROLES has those that are"
    )


def _claim(claims: Mapping[str, Any], name: str, setting: str) -> Any:
    """An address that was not verified is whatever somebody typed, and may be another's."""
    if name not in claims:
        there = told(", ".join(sorted(claims)))
        raise NotLetInError(
            f"the provider does not say the claim {name}, only {there}; have it say that one, ask for it by "
            f"TIDEGATE_OIDC_SCOPES, or name another as {setting}"
        )
    if name == _EMAIL and claims.get(_VERIFIED) is not True:
        raise NotLetInError(
            f"the provider does not say that the address {told(claims[name])} is verified ({_VERIFIED}); verify it "
            f"there, or name another claim as {setting}"
        )
    return claims[name]
