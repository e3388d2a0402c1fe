"""What is on its way to agents: signed, numbered for each of them, and kept until they have it on their disks."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import bindparam, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.assignment import Assignment
from tidegate.manager.agents.keys import ManagerKeys
from tidegate.manager.agents.newest_key import check
from tidegate.manager.store.bus import publish
from tidegate.manager.store.pieces import pieces
from tidegate.manager.store.schema import agents, outbox
from tidegate.manager.store.topics import AGENTS
from tidegate.protocol.keys import Key
from tidegate.protocol.signed import Pin, Withdraw, is_sealed, read_unverified, seal, write_document
from tidegate.protocol.version import may_send

_AT_ONCE = 1000
_UNKNOWN_KEY = (
    "an agent knows the manager by a key that is not in the file of signing keys, and refuses what another one signs; "
    "put that key back behind the others, or enrol the agent anew"
)
_log = structlog.get_logger(__name__)

Document = Assignment | Withdraw


@dataclass(frozen=True, slots=True)
class _Mail:
    """What one agent gets: numbered documents with their signatures, and the key that it knows after them."""

    agent: str
    letters: tuple[tuple[int, str, str], ...]
    key: str


async def send(conn: AsyncConnection, keys: ManagerKeys, documents: Sequence[tuple[str, Document]]) -> None:
    """Sign documents and send each to the agent with that id, in their order, once the transaction is committed.

    Who was revoked, or is not known, is sent nothing. Locks the agents' rows, in the order of their ids.
    Raises `KeyBehindError`, as everything here does that signs.
    """
    if not documents:
        return
    mail: dict[str, list[Document]] = {}
    for agent, document in documents:
        mail.setdefault(agent, []).append(document)
    await _post(conn, keys, mail, documents[0][1].issued_at)


async def send_pins(conn: AsyncConnection, keys: ManagerKeys, now: datetime, *, most: int = _AT_ONCE) -> int:
    """Tell agents that know the manager by an older key of the key that signs now; how many were told."""
    older = [one for one in map(_public, keys.all) if one != keys.public]
    behind = agents.c.manager_key.in_(older), agents.c.revoked_at.is_(None), agents.c.protocol >= 1
    ids = (await conn.execute(select(agents.c.id).where(*behind).order_by(agents.c.id).limit(most))).scalars().all()
    await _post(conn, keys, {id_: [] for id_ in ids}, now)
    return len(ids)


async def forget(conn: AsyncConnection, keys: ManagerKeys, cursors: Mapping[str, int], now: datetime) -> None:
    """Drop what agents have: by their ids, up to which number. Numbers that they have are not given again.

    Who has more than it was sent knows a manager whose database was put back since: what waits gets numbers after that.
    """
    for some in pieces(sorted(cursors), _AT_ONCE):
        ids, upto = list(some), [cursors[id_] for id_ in some]
        rows = [{"which": id_, "upto": cursors[id_]} for id_ in some]
        last = {row.id: row.outbox_last for row in await _lock(conn, some)}
        ahead = [id_ for id_ in some if last.get(id_, cursors[id_]) < cursors[id_]]
        waiting = {id_: await _waiting(conn, id_, 0) for id_ in ahead}
        if conn.dialect.name == "postgresql":
            await conn.execute(_PG_DROP, {"ids": ids, "upto": upto})
            await conn.execute(_PG_SEEN, {"ids": ids, "upto": upto})
        else:
            await conn.execute(_DROP, rows)
            await conn.execute(_SEEN, rows)
        await _post(conn, keys, {id_: _documents(letters) for id_, letters in waiting.items() if letters}, now)


@dataclass(frozen=True, slots=True)
class Known:
    """What an agent says of itself: the manager's key that it has pinned, and the last number that it has."""

    agent: str
    key: str
    cursor: int


async def lead(conn: AsyncConnection, keys: ManagerKeys, it: Known, now: datetime) -> bool:
    """Have what waits for an agent signed by a key that it knows; whether that was not so.

    Its state may be from before a change of keys, or another replica has signed with a key that is none any more.
    """
    agent, known = it.agent, it.key
    rows = await _lock(conn, [agent])
    waiting = await _waiting(conn, agent, it.cursor)
    if not rows or _can_go_on(rows[0], waiting, known):
        return False
    if keys.known_as(known) is None:
        _log.error(_UNKNOWN_KEY, agent=agent)
        return False
    _log.warning("an agent knows the manager by an older key than it was told; it is told anew", agent=agent)
    await conn.execute(delete(outbox).where(outbox.c.agent_id == agent))
    await conn.execute(update(agents).where(agents.c.id == agent).values(manager_key=known))
    await _post(conn, keys, {agent: _documents(waiting)}, now)
    return True


async def _waiting(conn: AsyncConnection, agent: str, after: int) -> Sequence[Any]:
    theirs = outbox.c.agent_id == agent, outbox.c.seq > after
    return (await conn.execute(select(outbox).where(*theirs).order_by(outbox.c.seq))).all()


def _can_go_on(row: Any, waiting: Sequence[Any], known: str) -> bool:
    """Whether the first that waits is signed by that key; where nothing waits, the agent is told of keys in time."""
    if waiting:
        return is_sealed(known, waiting[0].document, waiting[0].signature)
    return bool(row.manager_key == known)


def _documents(letters: Sequence[Any]) -> list[Document]:
    """What they say, to be signed anew; keys are told by who posts them."""
    found = [read_unverified(letter.document) for letter in letters]
    return [one for one in found if isinstance(one, Assignment | Withdraw)]


async def _post(
    conn: AsyncConnection, keys: ManagerKeys, documents: Mapping[str, Sequence[Document]], now: datetime
) -> None:
    for some in pieces(sorted(documents), _AT_ONCE):
        rows = await _lock(conn, some)
        await check(conn, keys, now)
        if len(rows) < len(some):
            _log.warning("documents for agents that are revoked or unknown are dropped", agents=len(some) - len(rows))
        mail = await asyncio.to_thread(lambda: [_mail(keys, row, documents[row.id], now) for row in rows])  # noqa: B023
        mail = [one for one in mail if one.letters]
        if mail:
            await _write(conn, mail)
            publish(conn, AGENTS, *(one.agent for one in mail))


async def _lock(conn: AsyncConnection, ids: Sequence[str]) -> Sequence[Any]:
    statement = (
        select(agents.c.id, agents.c.outbox_last, agents.c.manager_key, agents.c.protocol)
        .where(agents.c.id.in_(ids), agents.c.revoked_at.is_(None))
        .order_by(agents.c.id)
        .with_for_update(key_share=True)
    )
    return (await conn.execute(statement)).all()


def _mail(keys: ManagerKeys, row: Any, documents: Sequence[Document], now: datetime) -> _Mail:
    """An agent goes by the key that it knows; a newer one it learns by a document that the known one has signed."""
    letters, public = list[tuple[int, str, str]](), row.manager_key or keys.public
    signing = keys.known_as(public)
    if signing is None:
        _log.error(_UNKNOWN_KEY, agent=row.id)
        signing = keys.signing
    elif signing is not keys.signing and may_send("pin", row.protocol):
        letters.append(_letter(signing, Pin(row.id, keys.public, now), row.outbox_last + 1))
        signing, public = keys.signing, keys.public
    first = row.outbox_last + 1 + len(letters)
    letters += [_letter(signing, document, seq) for seq, document in enumerate(documents, first)]
    return _Mail(row.id, tuple(letters), public)


def _letter(key: Key, document: Document | Pin, seq: int) -> tuple[int, str, str]:
    """The number is signed with the rest, so that nobody on the way can have another one passed over by it."""
    text = write_document(document, seq)
    return seq, text, seal(key, text)


async def _write(conn: AsyncConnection, mail: Sequence[_Mail]) -> None:
    letters = [
        {"agent_id": one.agent, "seq": seq, "document": document, "signature": signature}
        for one in mail
        for seq, document, signature in one.letters
    ]
    latest = [{"which": one.agent, "latest": one.letters[-1][0], "key": one.key} for one in mail]
    if conn.dialect.name == "postgresql":
        await conn.execute(_PG_INSERT, _columns(letters))
        await conn.execute(_PG_LATEST, _columns(latest))
    else:
        await conn.execute(insert(outbox), letters)
        await conn.execute(_LATEST, latest)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _public(key: Any) -> str:
    return ManagerKeys((key,)).public


# PostgreSQL takes all rows in one statement

_PG_INSERT = text(
    "INSERT INTO outbox (agent_id, seq, document, signature) SELECT * FROM unnest(CAST(:agent_id AS text[]), "
    "CAST(:seq AS bigint[]), CAST(:document AS text[]), CAST(:signature AS text[]))"
)
_PG_LATEST = text(
    "UPDATE agents SET outbox_last = new.latest, manager_key = new.key FROM unnest(CAST(:which AS text[]), "
    "CAST(:latest AS bigint[]), CAST(:key AS text[])) AS new(which, latest, key) WHERE id = new.which"
)
_PG_DROP = text(
    "DELETE FROM outbox USING unnest(CAST(:ids AS text[]), CAST(:upto AS bigint[])) AS have(which, upto) "
    "WHERE agent_id = have.which AND seq <= have.upto"
)
_PG_SEEN = text(
    "UPDATE agents SET outbox_seen = greatest(outbox_seen, have.upto), outbox_last = greatest(outbox_last, have.upto) "
    "FROM unnest(CAST(:ids AS text[]), CAST(:upto AS bigint[])) AS have(which, upto) WHERE id = have.which"
)

_LATEST = (
    update(agents)
    .where(agents.c.id == bindparam("which"))
    .values(outbox_last=bindparam("latest"), manager_key=bindparam("key"))
)
_DROP = delete(outbox).where(outbox.c.agent_id == bindparam("which"), outbox.c.seq <= bindparam("upto"))
_SEEN = (
    update(agents)
    .where(agents.c.id == bindparam("which"))
    .values(
        outbox_seen=func.max(agents.c.outbox_seen, bindparam("upto")),
        outbox_last=func.max(agents.c.outbox_last, bindparam("upto")),
    )
)
