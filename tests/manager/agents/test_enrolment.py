"""How agents come in: with a token, once, under a name that nobody else has."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import aiohttp
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.support.bare_agent import BareAgent, inventory, target
from tests.support.planted import count, kinds, rows
from tests.support.real_manager import ANN, RealManager

from tidegate.domain.audit import Entry, fault
from tidegate.manager.agents import revocation
from tidegate.manager.agents.enrolment import TakenError, withdraw_enrolment
from tidegate.manager.agents.keys import KeyFile
from tidegate.manager.agents.letting_in import Asked, Enrolled, LettingIn
from tidegate.manager.parts import now
from tidegate.manager.store import schema
from tidegate.manager.store.counters import advance
from tidegate.manager.store.database import Database
from tidegate.protocol.keys import load_key, make_key, public_text
from tidegate.protocol.messages import EnrolRequest
from tidegate.protocol.requests import enrol_proof
from tidegate.protocol.version import PROTOCOL

Session = aiohttp.ClientSession


async def test_an_agent_is_what_its_token_says(manager: RealManager, session: Session) -> None:
    agent = BareAgent(manager.url, session, "berlin1")
    answer = await agent.enrol(await manager.token("berlin1", region="eu"))
    assert (answer.status, answer.body["name"]) == (200, "berlin1")
    await agent.events(1, inventory(target("shop/web")))
    assert await rows(manager.parts.db, "agents", "name", "labels", "version") == [("berlin1", {"region": "eu"}, "1.0")]
    assert await rows(manager.parts.db, "clusters", "name", "labels") == [("shop@berlin1", {"region": "eu"})]
    assert "agent.enrolled" in await kinds(manager.parts.db)
    assert await rows(manager.parts.db, "audit", "actor", "action") == [
        ("ann", "enrolment.create"),
        ("agent berlin1", "agent.enrol"),
    ]


async def test_the_secret_of_a_token_is_kept_nowhere(manager: RealManager, session: Session) -> None:
    token = await manager.token()
    await BareAgent(manager.url, session, "berlin1").enrol(token)
    secret = token.split("_", 2)[2]
    for table in ("enrolments", "audit", "feed", "agents"):
        assert secret not in str(await rows(manager.parts.db, table))


async def test_one_token_lets_one_agent_in_however_many_come_at_once(manager: RealManager, session: Session) -> None:
    token = await manager.token()
    crowd = [BareAgent(manager.url, session, f"berlin{number}") for number in range(8)]
    answers = await asyncio.gather(*(one.enrol(token) for one in crowd))
    assert sorted(one.status for one in answers) == [200] + [401] * 7
    assert await count(manager.parts.db, "agents") == 1


async def test_the_same_agent_that_asks_many_times_at_once_is_let_in_once(
    manager: RealManager, session: Session
) -> None:
    token, agent = await manager.token(), BareAgent(manager.url, session, "berlin1")
    answers = await asyncio.gather(*(agent.enrol(token) for _ in range(8)))
    assert {one.body["agent"] for one in answers} == {agent.id}
    assert await count(manager.parts.db, "agents") == 1


async def test_a_name_that_is_taken_is_told_and_leaves_the_token_good(
    manager: RealManager, session: Session, agent: BareAgent
) -> None:
    token, twin = await manager.token(), BareAgent(manager.url, session, agent.name)
    refused = await twin.enrol(token)
    assert (refused.status, refused.code) == (409, "name-taken")
    assert "another name" in refused.body["detail"]
    twin.name = "berlin2"
    assert (await twin.enrol(token)).status == 200


async def test_of_agents_that_come_with_one_name_at_once_one_is_let_in(manager: RealManager, session: Session) -> None:
    tokens = [await manager.token() for _ in range(4)]
    twins = [BareAgent(manager.url, session, "berlin1") for _ in tokens]
    answers = await asyncio.gather(*(one.enrol(token) for one, token in zip(twins, tokens, strict=True)))
    assert sorted(one.status for one in answers) == [200, 409, 409, 409]


async def test_a_token_for_another_name_says_whose_it_is(manager: RealManager, session: Session) -> None:
    refused = await BareAgent(manager.url, session, "berlin1").enrol(await manager.token("paris1"))
    assert (refused.status, refused.code) == (409, "wrong-name")
    assert "paris1" in refused.body["detail"]


async def test_a_token_that_was_withdrawn_lets_nobody_in(manager: RealManager, session: Session) -> None:
    token = await manager.token()
    async with manager.parts.db.write() as conn:
        number = int(token.split("_")[1])
        assert await withdraw_enrolment(conn, number, ANN, manager.parts.clock())
        assert not await withdraw_enrolment(conn, number, ANN, manager.parts.clock())
    refused = await BareAgent(manager.url, session, "berlin1").enrol(token)
    assert (refused.status, refused.code) == (401, "bad-token")
    assert "withdrawn" in refused.body["detail"]


async def test_a_token_that_is_over_says_since_when(manager: RealManager, session: Session) -> None:
    refused = await BareAgent(manager.url, session, "x").enrol(await manager.token(expires_in=timedelta(seconds=-1)))
    assert "expired at" in refused.body["detail"]


async def test_who_enrols_anew_under_the_name_of_a_revoked_agent_gets_its_clusters(
    manager: RealManager, session: Session, agent: BareAgent
) -> None:
    await agent.events(1, inventory(target("shop/web")))
    async with manager.parts.db.write() as conn:
        await revocation.revoke(conn, agent.id, ANN, manager.parts.clock())
    again = await BareAgent.enrolled(manager, session, agent.name)
    assert (await again.events(1, inventory(target("shop/web")))).status == 200
    assert await rows(manager.parts.db, "clusters", "name", "agent_id") == [("shop@berlin1", again.id)]
    assert await count(manager.parts.db, "targets") == 1
    assert (await agent.ask()).code == "revoked"
    [*_, (action, before, after)] = await rows(manager.parts.db, "audit", "action", "before", "after")
    assert (action, before) == ("agent.enrol", {"id": agent.id, "revoked": True, "clusters": ["shop@berlin1"]})
    assert (after["id"], after["clusters"]) == (again.id, ["shop@berlin1"])


async def test_an_answer_that_was_lost_names_the_key_that_signs_what_waits(
    manager: RealManager, session: Session
) -> None:
    token, agent = await manager.token(), BareAgent(manager.url, session, "berlin1")
    await agent.enrol(token)
    first = agent.manager_key
    await manager.pin(agent.id)
    await agent.enrol(token)
    assert agent.manager_key == first


async def test_who_is_refused_spoils_nothing_for_those_who_come_at_the_same_time(
    manager: RealManager, session: Session, agent: BareAgent
) -> None:
    crowd = [BareAgent(manager.url, session, f"paris{number}") for number in range(12)]
    tokens = [await manager.token() for _ in crowd]
    crowd[3].name, crowd[7].name, tokens[5] = agent.name, crowd[6].name, f"te_999_{'x' * 43}"
    answers = await asyncio.gather(*(one.enrol(token) for one, token in zip(crowd, tokens, strict=True)))
    assert [one.status for one in answers] == [200, 200, 200, 409, 200, 401, 200, 409, *[200] * 4]
    assert await count(manager.parts.db, "agents") == 1 + 9
    numbers = await rows(manager.parts.db, "audit", "number")
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert await verified(manager.parts.db)


async def test_of_agents_that_come_with_one_name_to_two_replicas_one_is_let_in(
    manager: RealManager, database_url: str
) -> None:
    other, db = Database.at(database_url), manager.parts.db
    names = [f"host{number}" for number in range(8)]
    groups = [[await asked(manager, name) for name in some] for some in (names, reversed(names))]
    letting = [LettingIn(one, KeyFile(manager.parts.settings.signing_key_file), now) for one in (db, other)]
    async with db.write() as conn:
        if db.is_postgres:  # neither gets to its end before both have looked
            await advance(conn, "audit", 0)
        coming = [asyncio.create_task(let(group)) for let, group in zip(letting, groups, strict=True)]
        async with asyncio.timeout(60):
            while db.is_postgres and await waiting(conn) < len(coming):
                await asyncio.sleep(0.01)
    answers = await asyncio.gather(*coming)
    came = [one.name for some in answers for one in some if isinstance(one, Enrolled)]
    assert sorted(came) == sorted(names)
    assert sum(isinstance(one, TakenError) for some in answers for one in some) == len(names)
    assert await verified(db)
    await other.close()


async def waiting(conn: AsyncConnection) -> int:
    """How many transactions wait for another one."""
    statement = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
    return int((await conn.execute(text(statement))).scalar_one())


async def asked(manager: RealManager, name: str) -> Asked:
    key, token = load_key(make_key()), await manager.token()
    return Asked(EnrolRequest(PROTOCOL, token, name, public_text(key), "1.0", enrol_proof(key, token)))


async def verified(db: Database) -> bool:
    """Whether the audit log holds."""
    async with db.read() as conn:
        entries = await conn.execute(select(schema.audit).order_by(schema.audit.c.number))
        return fault(Entry(**row._mapping) for row in entries) is None
