"""Enrolment: one-time tokens, and the agents that come with them."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.keys import ManagerKeys
from tidegate.manager.people.audit import Actor, record
from tidegate.manager.people.secrets import ENROLMENT, hashed, new_secret, read_token, token_text
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import agents, clusters, enrolments, outbox
from tidegate.manager.telling.feed import tell
from tidegate.protocol.messages import EnrolRequest
from tidegate.protocol.problems import Code
from tidegate.protocol.requests import proof_holds
from tidegate.protocol.signed import UnsignedError, read_document

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


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Who an agent is from now on; `manager_key` is what it pins."""

    agent: str
    name: str
    manager_key: str


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


async def withdraw_enrolment(conn: AsyncConnection, id_: int, by: Actor, now: datetime) -> bool:
    """Have a token let nobody in any more; whether it would have."""
    unused = enrolments.c.used_at.is_(None), enrolments.c.revoked_at.is_(None)
    done = await conn.execute(update(enrolments).where(enrolments.c.id == id_, *unused).values(revoked_at=now))
    if done.rowcount != 1:
        return False
    await record(conn, by, "enrolment.revoke", f"enrolment {id_}", now, after={"revoked": True})
    return True


async def enrol(db: Database, keys: ManagerKeys, it: EnrolRequest, now: datetime, *, address: str = "") -> Enrolled:
    """Let an agent in. Raises `EnrolError` and `StoreUnavailableError`.

    The same token with the same key is answered the same: the answer may have been lost.
    """
    if not proof_holds(it.public_key, it.token, it.proof):
        raise EnrolError(Code.BAD_SIGNATURE, "`proof` is not the signature of `public_key`'s other half over the token")
    try:
        async with db.write() as conn:
            row = await _enrolment(conn, it.token)
            if row.used_at is not None:
                return await _again(conn, keys, row, it)
            _check(row, it, now)
            return await _let_in(conn, keys, row, it, now=now, address=address)
    except IntegrityError as error:  # another one with this name, at the same time
        raise TakenError(it.name) from error


async def _enrolment(conn: AsyncConnection, token: str) -> Row[Any]:
    shown = read_token(ENROLMENT, token)
    if shown is not None:
        statement = select(enrolments).where(enrolments.c.id == shown.id).with_for_update()
        row = (await conn.execute(statement)).one_or_none()
        if row is not None and shown.matches(row.token_hash):
            return row
    raise EnrolError(Code.BAD_TOKEN, "it is no enrolment token of this manager; `tidegate agents enrol` makes one")


def _check(row: Row[Any], it: EnrolRequest, now: datetime) -> None:
    again = "`tidegate agents enrol` makes a new one"
    if row.revoked_at is not None:
        raise EnrolError(Code.BAD_TOKEN, f"this enrolment token was withdrawn; {again}")
    if now >= row.expires_at:
        raise EnrolError(
            Code.BAD_TOKEN, f"this enrolment token expired at {row.expires_at:%Y-%m-%d %H:%M} UTC; {again}"
        )
    if row.name and row.name != it.name:
        raise EnrolError("wrong-name", f"this enrolment token is for an agent called {row.name}, and not {it.name}")


async def _again(conn: AsyncConnection, keys: ManagerKeys, row: Row[Any], it: EnrolRequest) -> Enrolled:
    agent = (await conn.execute(select(agents).where(agents.c.id == row.agent_id))).one()
    if agent.public_key != it.public_key:
        raise EnrolError(
            Code.BAD_TOKEN, "this enrolment token was used already, by an agent with another key; make a new one"
        )
    if agent.revoked_at is not None:
        raise EnrolError(Code.REVOKED, f"agent {agent.name} was revoked; it needs a new enrolment token, and a new key")
    first = select(outbox).where(outbox.c.agent_id == agent.id).order_by(outbox.c.seq).limit(1)
    waiting = (await conn.execute(first)).one_or_none()
    return Enrolled(agent.id, agent.name, _signed_by(keys, waiting) or agent.manager_key)


def _signed_by(keys: ManagerKeys, letter: Row[Any] | None) -> str:
    """The key that signed what waits for an agent: keys may have been changed since it enrolled."""
    if letter is None:
        return ""
    for key in keys.all:
        public = ManagerKeys((key,)).public
        try:
            read_document(public, letter.document, letter.signature)
        except UnsignedError:
            continue
        return public
    return ""


async def _let_in(
    conn: AsyncConnection, keys: ManagerKeys, row: Row[Any], it: EnrolRequest, *, now: datetime, address: str
) -> Enrolled:
    id_ = uuid.uuid4().hex
    before = await _make_way(conn, it.name)
    values = {"id": id_, "name": it.name, "public_key": it.public_key, "version": it.version, "address": address}
    more = {"protocol": it.protocol, "labels": row.labels, "enrolled_at": now, "manager_key": keys.public}
    await conn.execute(insert(agents).values(**values, **more))
    if before:
        await conn.execute(update(clusters).where(clusters.c.agent_id == before).values(agent_id=id_))
    await conn.execute(update(enrolments).where(enrolments.c.id == row.id).values(used_at=now, agent_id=id_))
    after = {"id": id_, "enrolment": row.id, "public_key": it.public_key, "labels": row.labels}
    await record(conn, Actor(f"agent {it.name}", address), "agent.enrol", f"agent {it.name}", now, after=after)
    await tell(conn, "agent.enrolled", f"agent {it.name}", now, agent=it.name, version=it.version)
    return Enrolled(id_, it.name, keys.public)


async def _make_way(conn: AsyncConnection, name: str) -> str:
    """Free the name of an agent that was revoked; its id. Its clusters are the new one's from then on."""
    columns = agents.c.id, agents.c.revoked_at
    old = (await conn.execute(select(*columns).where(agents.c.name == name).with_for_update())).one_or_none()
    if old is None:
        return ""
    if old.revoked_at is None:
        raise TakenError(name)
    freed = f"{name} (revoked {old.id[:8]})"  # no agent may be called that
    await conn.execute(update(agents).where(agents.c.id == old.id).values(name=freed))
    return str(old.id)
