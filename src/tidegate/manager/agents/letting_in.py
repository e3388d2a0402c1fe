"""Letting agents in: all that ask at the same time in one transaction, as each has to wait for the audit log's end."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.enrolment import EnrolError, TakenError
from tidegate.manager.agents.keys import ManagerKeys
from tidegate.manager.agents.newest_key import check
from tidegate.manager.people.audit import Act, Actor, record_all
from tidegate.manager.people.secrets import ENROLMENT, read_token
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import agents, clusters, enrolments, outbox
from tidegate.manager.telling.feed import tell_all
from tidegate.protocol.messages import EnrolRequest
from tidegate.protocol.problems import Code
from tidegate.protocol.requests import proof_holds
from tidegate.protocol.signed import UnsignedError, read_document

_MAKE_ANOTHER = "`tidegate agents enrol` makes a new one"


@dataclass(frozen=True, slots=True)
class Asked:
    """Who wants to come in, and the address that it asks from."""

    it: EnrolRequest
    address: str = ""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Who an agent is from now on; `manager_key` is what it pins."""

    agent: str
    name: str
    manager_key: str


class LettingIn:
    """The work of a `Gathering`. The same token with the same key is answered the same: answers get lost."""

    def __init__(self, db: Database, keys: Callable[[], ManagerKeys], clock: Callable[[], datetime]) -> None:
        self._db, self._keys, self._clock = db, keys, clock

    async def __call__(self, asked: Sequence[Asked]) -> list[Enrolled | Exception]:
        """For each who it is, or an `EnrolError`. Raises `StoreUnavailableError` and `KeyBehindError`."""
        try:
            async with self._db.write() as conn:
                group = await _Group.read(conn, asked, self._keys(), self._clock())
                await check(conn, group.keys, group.now)
                answers = [await group.answer(one) for one in asked]
                await group.write()
        except IntegrityError:  # a replica has let in another one with such a name at the same time
            if len(asked) == 1:
                return [TakenError(asked[0].it.name)]
            return [answer for one in asked for answer in await self([one])]
        return answers


@dataclass
class _Group:
    """What the database has of a group's tokens (by id) and names, and who is new in it (by the token's id)."""

    conn: AsyncConnection
    keys: ManagerKeys
    now: datetime
    tokens: dict[int, Row[Any]]
    known: dict[str, Row[Any]]
    new: dict[int, "_New"] = field(default_factory=dict)

    @classmethod
    async def read(cls, conn: AsyncConnection, asked: Sequence[Asked], keys: ManagerKeys, now: datetime) -> "_Group":
        """Hold the tokens, then the names, both in an order that every group has."""
        shown = {token.id for one in asked if (token := read_token(ENROLMENT, one.it.token)) is not None}
        theirs = select(enrolments).where(enrolments.c.id.in_(shown)).order_by(enrolments.c.id).with_for_update()
        tokens = {row.id: row for row in await conn.execute(theirs)}
        names = select(agents).where(agents.c.name.in_({one.it.name for one in asked}))
        known = {row.name: row for row in await conn.execute(names.order_by(agents.c.id).with_for_update())}
        return cls(conn, keys, now, tokens, known)

    async def answer(self, one: Asked) -> Enrolled | Exception:
        """Who it is, or why it is not let in."""
        try:
            return await self._decided(one)
        except EnrolError as error:
            return error

    async def _decided(self, one: Asked) -> Enrolled:
        row = self._token(one.it)
        if row.id in self.new:
            _check_key(self.new[row.id].asked.it.public_key, one.it)
            return self.new[row.id].enrolled
        if row.used_at is not None:
            return await self._again(row, one.it)
        _check(row, one.it, self.now)
        old = self._before(one.it.name)
        before, labels = (str(old.id), old.labels | row.labels) if old is not None else ("", row.labels)
        new = _New(one, row, Enrolled(uuid.uuid4().hex, one.it.name, self.keys.public), before, labels)
        self.new[row.id] = new
        return new.enrolled

    def _token(self, it: EnrolRequest) -> Row[Any]:
        if not proof_holds(it.public_key, it.token, it.proof):
            what = "`proof` is not the signature of `public_key`'s other half over the token"
            raise EnrolError(Code.BAD_SIGNATURE, what)
        shown = read_token(ENROLMENT, it.token)
        row = self.tokens.get(shown.id) if shown is not None else None
        if shown is None or row is None or not shown.matches(row.token_hash):
            raise EnrolError(Code.BAD_TOKEN, f"it is no enrolment token of this manager; {_MAKE_ANOTHER}")
        return row

    async def _again(self, row: Row[Any], it: EnrolRequest) -> Enrolled:
        agent = (await self.conn.execute(select(agents).where(agents.c.id == row.agent_id))).one()
        _check_key(agent.public_key, it)
        if agent.revoked_at is not None:
            what = f"agent {agent.name} was revoked; it needs a new enrolment token, and a new key"
            raise EnrolError(Code.REVOKED, what)
        first = select(outbox).where(outbox.c.agent_id == agent.id).order_by(outbox.c.seq).limit(1)
        waiting = (await self.conn.execute(first)).one_or_none()
        return Enrolled(agent.id, agent.name, _signed_by(self.keys, waiting) or agent.manager_key)

    def _before(self, name: str) -> Row[Any] | None:
        """The agent that had this name until it was revoked. Raises `TakenError` where one has it."""
        old = self.known.get(name)
        if (old is not None and old.revoked_at is None) or any(new.enrolled.name == name for new in self.new.values()):
            raise TakenError(name)
        return old

    async def write(self) -> None:
        """Have all who are new in the database, with what others are told of it."""
        if not self.new:
            return
        new = list(self.new.values())
        for one in new:
            if one.before:
                await self._free(one)
        await self.conn.execute(insert(agents), [one.row(self.keys, self.now) for one in new])
        taken = {one.enrolled.agent: await self._take_over(one) for one in new if one.before}
        used = update(enrolments).where(enrolments.c.id == bindparam("token"))
        used = used.values(used_at=self.now, agent_id=bindparam("agent"))
        await self.conn.execute(used, [{"token": one.token.id, "agent": one.enrolled.agent} for one in new])
        await record_all(self.conn, [one.act(taken.get(one.enrolled.agent, ())) for one in new], self.now)
        await tell_all(self.conn, [one.event() for one in new], self.now)

    async def _free(self, one: "_New") -> None:
        """Its name; its clusters are the new one's from then on."""
        freed = f"{one.enrolled.name} (revoked {one.before[:8]})"  # no agent may be called that
        await self.conn.execute(update(agents).where(agents.c.id == one.before).values(name=freed))

    async def _take_over(self, one: "_New") -> list[str]:
        """The names of the clusters that are the new one's now. Labels of its token are theirs, beside those they have.

        Which windows, waves and freezes that puts them in counts from when the new agent has told what it has: until
        then nothing is offered to them.
        """
        theirs = update(clusters).where(clusters.c.agent_id == one.before).values(agent_id=one.enrolled.agent)
        rows = (await self.conn.execute(theirs.returning(clusters.c.id, clusters.c.name, clusters.c.labels))).all()
        changed = [
            {"which": row.id, "new": after} for row in rows if (after := row.labels | one.token.labels) != row.labels
        ]
        if changed:
            await self.conn.execute(_LABEL, changed)
        return sorted(row.name for row in rows)


@dataclass(frozen=True, slots=True)
class _New:
    """Who is let in by a token; `before` is who had its name. `labels` are the token's, beside those of that one."""

    asked: Asked
    token: Row[Any]
    enrolled: Enrolled
    before: str
    labels: dict[str, str]

    def row(self, keys: ManagerKeys, now: datetime) -> dict[str, Any]:
        it = self.asked.it
        values: dict[str, Any] = {"id": self.enrolled.agent, "name": it.name, "public_key": it.public_key}
        values |= {"version": it.version, "protocol": it.protocol}
        values |= {"address": self.asked.address, "labels": self.labels}
        return values | {"enrolled_at": now, "manager_key": keys.public}

    def act(self, taken: Sequence[str]) -> Act:
        """What is entered; `taken` is what it takes over from who had its name."""
        it = self.asked.it
        after: dict[str, Any] = {"id": self.enrolled.agent, "enrolment": self.token.id}
        after |= {"public_key": it.public_key, "labels": self.labels}
        before = {"id": self.before, "revoked": True, "clusters": list(taken)} if self.before else None
        after |= {"clusters": list(taken)} if self.before else {}
        return Act(Actor(f"agent {it.name}", self.asked.address), "agent.enrol", f"agent {it.name}", before, after)

    def event(self) -> tuple[str, str, dict[str, Any]]:
        it = self.asked.it
        return "agent.enrolled", f"agent {it.name}", {"agent": it.name, "version": it.version}


_LABEL = (
    update(clusters)
    .where(clusters.c.id == bindparam("which"))
    .values(labels=bindparam("new", type_=clusters.c.labels.type), edition=clusters.c.edition + 1)
)


def _check(row: Row[Any], it: EnrolRequest, now: datetime) -> None:
    if row.revoked_at is not None:
        raise EnrolError(Code.BAD_TOKEN, f"this enrolment token was withdrawn; {_MAKE_ANOTHER}")
    if now >= row.expires_at:
        what = f"this enrolment token expired at {row.expires_at:%Y-%m-%d %H:%M} UTC; {_MAKE_ANOTHER}"
        raise EnrolError(Code.BAD_TOKEN, what)
    if row.name and row.name != it.name:
        raise EnrolError("wrong-name", f"this enrolment token is for an agent called {row.name}, and not {it.name}")


def _check_key(public_key: str, it: EnrolRequest) -> None:
    if public_key != it.public_key:
        what = "this enrolment token was used already, by an agent with another key; make a new one"
        raise EnrolError(Code.BAD_TOKEN, what)


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
