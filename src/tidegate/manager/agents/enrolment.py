"""Enrolment: one-time tokens, and why an agent is not let in with one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, insert, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.people.audit import Actor, record
from tidegate.manager.people.secrets import ENROLMENT, hashed, new_secret, token_text
from tidegate.manager.store.schema import enrolments

LASTS = timedelta(hours=1)
"""How long a token may be used if nothing else is said."""


class EnrolError(Exception):
    """An agent is not let in; `code` is that of the problem, the message says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TakenError(EnrolError):
    """The name is that of another agent."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "name-taken",
            f"an agent called {name} is enrolled already: give this one another name, or have an admin revoke that one",
        )


@dataclass(frozen=True, slots=True)
class NewEnrolment:
    """A token as it is shown, once."""

    id: int
    token: str = field(repr=False)
    expires_at: datetime


async def make_enrolment(
    conn: AsyncConnection,
    by: Actor,
    now: datetime,
    *,
    name: str = "",
    labels: Mapping[str, str] | None = None,
    lasts: timedelta = LASTS,
) -> NewEnrolment:
    """A token for one agent, which has to be called `name` unless that is empty, and has these labels."""
    secret, expires_at = new_secret(), now + lasts
    values = {"token_hash": hashed(secret), "name": name, "labels": dict(labels or {}), "created_by": by.name}
    statement = insert(enrolments).values(**values, created_at=now, expires_at=expires_at)
    id_ = int((await conn.execute(statement.returning(enrolments.c.id))).scalar_one())
    after = {"name": name, "labels": values["labels"], "expires_at": expires_at.isoformat()}
    await record(conn, by, "enrolment.create", f"enrolment {id_}", now, after=after)
    return NewEnrolment(id_, token_text(ENROLMENT, id_, secret), expires_at)


def can_be_used(now: datetime) -> ColumnElement[bool]:
    """Whether the token of a row of `enrolments` would let an agent in."""
    return and_(_is_unspent(), enrolments.c.expires_at > now)


def _is_unspent() -> ColumnElement[bool]:
    return and_(enrolments.c.used_at.is_(None), enrolments.c.revoked_at.is_(None))


async def withdraw_enrolment(conn: AsyncConnection, id_: int, by: Actor, now: datetime) -> bool:
    """Have a token let nobody in any more; whether it would have."""
    this = enrolments.c.id == id_, _is_unspent()
    done = await conn.execute(update(enrolments).where(*this).values(revoked_at=now).returning(enrolments.c.name))
    name = done.scalar_one_or_none()
    if name is None:
        return False
    before, after = ({"name": name, "revoked": is_so} for is_so in (False, True))
    await record(conn, by, "enrolment.revoke", f"enrolment {id_}", now, before=before, after=after)
    return True
