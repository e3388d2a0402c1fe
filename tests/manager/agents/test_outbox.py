"""What is sent to agents is numbered, signed, kept until they have it, and told nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.bare_agent import NEW, REPOSITORY, BareAgent
from tests.support.planted import alter, count, plant_agent, plant_agents, rows
from tests.support.real_manager import RealManager
from tests.support.simulated_agents import SimulatedAgent, World

from tidegate.domain.assignment import Assignment
from tidegate.manager.agents import fetching, outbox
from tidegate.manager.agents.keys import KeyFile, KeysError, ManagerKeys, make_key_file, read_keys, rotate
from tidegate.manager.parts import now as clock
from tidegate.manager.store.bus import publish
from tidegate.manager.store.database import Database
from tidegate.protocol.keys import load_key, make_key, public_text
from tidegate.protocol.messages import Item
from tidegate.protocol.signed import Document, Pin, UnsignedError, read_document

KEYS = ManagerKeys((load_key(make_key()),))


def assignment(agent: str, generation: int = 1) -> tuple[str, Assignment]:
    now = clock()
    until = now + timedelta(hours=1)
    return agent, Assignment(f"{agent}.{generation}", agent, "shop/web", REPOSITORY, NEW, generation, now, until)


async def send(db: Database, documents: Sequence[tuple[str, Assignment]], keys: ManagerKeys = KEYS) -> None:
    async with db.write() as conn:
        await outbox.send(conn, keys, documents)


async def waiting(db: Database, agent: str, cursor: int = 0) -> list[Item]:
    async with db.read() as conn:
        return (await fetching.fetch(conn, {agent: cursor}))[agent]


async def test_documents_are_numbered_for_each_agent_in_their_order(db: Database) -> None:
    one, two = [await plant_agent(db, clock(), name, KEYS.public) for name in ("berlin1", "paris1")]
    await send(db, [assignment(two), assignment(one, 1), assignment(one, 2)])
    await send(db, [assignment(one, 3)])
    found = await waiting(db, one)
    assert [(item.seq, read_generation(KEYS, item)) for item in found] == [(1, 1), (2, 2), (3, 3)]
    assert [item.seq for item in await waiting(db, two)] == [1]
    assert [item.seq for item in await waiting(db, one, cursor=2)] == [3]


def read_generation(keys: ManagerKeys, item: Item) -> int:
    found = read_document(keys.public, item.document, item.signature)
    assert isinstance(found, Assignment)
    return found.generation


async def test_who_sends_at_once_gives_no_number_twice_and_none_is_left_out(db: Database) -> None:
    ids = [await plant_agent(db, clock(), f"berlin{number}", KEYS.public) for number in range(5)]
    await asyncio.gather(*(send(db, [assignment(id_, number) for id_ in ids]) for number in range(1, 9)))
    for id_ in ids:
        assert [item.seq for item in await waiting(db, id_)] == list(range(1, 9))


async def test_what_an_agent_has_is_forgotten_and_its_numbers_are_not_given_again(db: Database) -> None:
    id_ = await plant_agent(db, clock(), "berlin1", KEYS.public)
    await send(db, [assignment(id_, number) for number in range(1, 4)])
    async with db.write() as conn:
        await outbox.forget(conn, KEYS, {id_: 2}, clock())
    assert [item.seq for item in await waiting(db, id_)] == [3]
    assert await rows(db, "agents", "outbox_last", "outbox_seen") == [(3, 2)]


async def test_what_waits_for_an_agent_that_has_more_than_the_manager_gets_numbers_after_that(db: Database) -> None:
    id_ = await plant_agent(db, clock(), "berlin1", KEYS.public)
    await send(db, [assignment(id_, 1), assignment(id_, 2)])
    async with db.write() as conn:  # a backup of the manager was put back, and this was sent before the agent asked
        await outbox.forget(conn, KEYS, {id_: 40}, clock())
    await send(db, [assignment(id_, 3)])
    found = await waiting(db, id_, cursor=40)
    assert [(item.seq, read_generation(KEYS, item)) for item in found] == [(41, 1), (42, 2), (43, 3)]
    assert await waiting(db, id_) == found


async def test_a_transaction_that_fails_sends_nothing(db: Database) -> None:
    id_ = await plant_agent(db, clock(), "berlin1", KEYS.public)
    heard: list[str] = []

    async def fail() -> None:
        async with db.write() as conn:
            await outbox.send(conn, KEYS, [assignment(id_)])
            raise RuntimeError

    with db.bus.listening("agents", heard.extend), pytest.raises(RuntimeError):
        await fail()
    assert (heard, await count(db, "outbox")) == ([], 0)


async def test_many_agents_are_sent_to_in_one_transaction(db: Database) -> None:
    ids = await plant_agents(db, clock(), {f"berlin{number}": "" for number in range(1200)}, KEYS.public)
    heard: list[str] = []
    with db.bus.listening("agents", heard.extend):
        await send(db, [assignment(id_) for id_ in ids])
    assert sorted(heard) == sorted(ids)
    async with db.read() as conn:
        found = await fetching.fetch(conn, dict.fromkeys(ids, 0))
        assert await fetching.latest(conn) == dict.fromkeys(ids, 1)
    assert {len(items) for items in found.values()} == {1}


async def test_more_than_is_read_at_once_is_left_to_be_asked_for_again(db: Database) -> None:
    ids = sorted([await plant_agent(db, clock(), f"berlin{number}", KEYS.public) for number in range(3)])
    await send(db, [assignment(id_, number) for id_ in ids for number in range(1, 2500)])
    async with db.read() as conn:
        found = await fetching.fetch(conn, dict.fromkeys(ids, 0))
    assert {id_: [item.seq for item in items] for id_, items in found.items()} == {
        id_: list(range(1, fetching.MOST_ITEMS + 1)) for id_ in ids[:2]
    }


# keys


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    make_key_file(tmp_path / "signing.key")
    return tmp_path / "signing.key"


async def test_a_new_key_is_told_with_the_next_document_and_signs_it(db: Database, key_file: Path) -> None:
    old = read_keys(key_file)
    id_ = await plant_agent(db, clock(), "berlin1", old.public)
    new = rotate(key_file)
    await send(db, [assignment(id_, 1), assignment(id_, 2)], new)
    pin, first, second = await waiting(db, id_)
    told = read_document(old.public, pin.document, pin.signature)
    assert isinstance(told, Pin)
    assert (told.key, told.agent) == (new.public, id_)
    assert [read_generation(new, one) for one in (first, second)] == [1, 2]
    await send(db, [assignment(id_, 3)], new)
    assert len(await waiting(db, id_)) == 4


async def test_an_agent_of_an_earlier_protocol_is_signed_for_with_the_key_that_it_knows(
    db: Database, key_file: Path
) -> None:
    old = read_keys(key_file)
    id_ = await plant_agent(db, clock(), "berlin1", old.public, protocol=0)
    new = rotate(key_file)
    await send(db, [assignment(id_)], new)
    async with db.write() as conn:
        assert await outbox.send_pins(conn, new, clock()) == 0
    [item] = await waiting(db, id_)
    assert read_generation(old, item) == 1


async def test_who_is_told_nothing_else_is_told_of_a_new_key_too_once(db: Database, key_file: Path) -> None:
    old = read_keys(key_file)
    ids = [await plant_agent(db, clock(), f"berlin{number}", old.public) for number in range(5)]
    new = rotate(key_file)
    async with db.write() as conn:
        told = [await outbox.send_pins(conn, new, clock(), most=3) for _ in range(3)]
    assert told == [3, 2, 0]
    assert {len(await waiting(db, id_)) for id_ in ids} == {1}


async def test_a_key_that_is_lost_leaves_agents_that_refuse_and_no_rollout_that_cannot_go_on(
    db: Database, key_file: Path
) -> None:
    id_ = await plant_agent(db, clock(), "berlin1", KEYS.public)
    now = read_keys(key_file)
    await send(db, [assignment(id_)], now)
    [item] = await waiting(db, id_)
    assert read_generation(now, item) == 1
    with pytest.raises(UnsignedError):
        read_document(KEYS.public, item.document, item.signature)


async def test_an_agent_that_knows_an_older_key_again_is_led_to_the_newest(db: Database, key_file: Path) -> None:
    old = read_keys(key_file)
    id_ = await plant_agent(db, clock(), "berlin1", old.public)
    new = rotate(key_file)
    await send(db, [assignment(id_, 1)], new)
    async with db.write() as conn:
        await outbox.forget(conn, new, {id_: 1}, clock())  # it had the new key, and then its state was put back
    [item] = await waiting(db, id_)
    for led in (True, False):
        async with db.write() as conn:
            assert await outbox.lead(conn, new, outbox.Known(id_, old.public, 0), clock()) is led
    pin, again = await waiting(db, id_)
    assert pin.seq > item.seq
    assert isinstance(read_document(old.public, pin.document, pin.signature), Pin)
    assert read_generation(new, again) == 1
    async with db.write() as conn:
        assert not await outbox.lead(conn, new, outbox.Known(id_, new.public, pin.seq), clock())
        assert not await outbox.lead(conn, new, outbox.Known(id_, KEYS.public, 0), clock())
    assert await waiting(db, id_) == [pin, again]


async def test_an_agent_whose_state_is_from_before_a_new_key_gets_what_waits_and_learns_the_key(
    manager: RealManager, agent: BareAgent
) -> None:
    before = agent.manager_key
    await manager.pin(agent.id)
    assert isinstance(address(agent, (await agent.poll())[0]), Pin)
    agent.cursor, agent.manager_key = 0, before
    await manager.assign(agent.id, "shop/web", NEW)
    pin, assigned = await agent.poll()
    learned = address(agent, pin)
    assert isinstance(learned, Pin)
    assert isinstance(read_document(learned.key, assigned.document, assigned.signature), Assignment)


def address(agent: BareAgent, item: Item) -> Document:
    return read_document(agent.manager_key, item.document, item.signature)


def test_keys_are_for_their_owner_alone_and_the_older_ones_stay_for_a_while(key_file: Path) -> None:
    known = [read_keys(key_file).public]
    for _ in range(4):
        known.insert(0, rotate(key_file).public)
        assert key_file.stat().st_mode & 0o777 == 0o600
    keys = read_keys(key_file)
    assert [keys.known_as(one) is not None for one in known] == [True] * 4 + [False]
    assert keys.public == known[0]


def test_keys_are_read_anew_when_their_file_changes_and_kept_while_it_is_unreadable(key_file: Path) -> None:
    file = KeyFile(key_file)
    before = file().public
    new = rotate(key_file)
    assert file().public == new.public != before
    key_file.write_text("")
    assert file().public == new.public


@pytest.mark.parametrize("content", ["", "no key", "-----BEGIN X-----\nabc\n-----END X-----"])
def test_a_file_without_keys_says_what_to_do(tmp_path: Path, content: str) -> None:
    (tmp_path / "k").write_text(content)
    with pytest.raises(KeysError, match="backup") as caught:
        read_keys(tmp_path / "k")
    assert "abc" not in str(caught.value)


# held polls, over real sockets


async def test_an_agent_has_one_poll_and_a_newer_one_ends_the_older(manager: RealManager, agent: BareAgent) -> None:
    older = asyncio.create_task(agent.poll(wait_s=50))
    while not len(manager.link.held):
        await asyncio.sleep(0.01)
    newer = asyncio.create_task(agent.poll(wait_s=50))
    async with asyncio.timeout(40):
        assert await older == ()
    await manager.assign(agent.id, "shop/web", NEW)
    async with asyncio.timeout(40):
        assert len(await newer) == 1


async def test_what_an_agent_of_an_earlier_protocol_does_not_know_does_not_end_its_poll(
    manager: RealManager, agent: BareAgent
) -> None:
    await manager.pin(agent.id)
    held = asyncio.create_task(agent.poll(wait_s=50, protocol=0))
    while not len(manager.link.held):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    assert not held.done()
    await manager.assign(agent.id, "shop/web", NEW)
    async with asyncio.timeout(40):
        assert [item.seq for item in await held] == [2]


async def test_what_nobody_told_of_is_found_by_looking(manager: RealManager, agent: BareAgent) -> None:
    await agent.poll()
    held = asyncio.create_task(agent.poll(wait_s=50))
    while not len(manager.link.held):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    other = Database.at(str(manager.settings.database_url))  # as by a replica whose message is lost
    async with other.write() as conn:
        await outbox.send(conn, manager.link.keys(), [assignment(agent.id)])
        conn.sync_connection.info.clear()  # type: ignore[union-attr]
    await other.close()
    await manager.link.look()
    async with asyncio.timeout(40):
        assert len(await held) == 1


async def test_when_the_manager_ends_polls_end_with_nothing(manager: RealManager, agent: BareAgent) -> None:
    held = asyncio.create_task(agent.poll(wait_s=50))
    while not len(manager.link.held):
        await asyncio.sleep(0.01)
    await manager.restart()
    assert await held == ()


async def test_two_thousand_held_polls_that_are_woken_at_once_lose_and_double_nothing(manager: RealManager) -> None:
    world = World([("127.0.0.1", manager.port)], script=lambda _, __: ())
    agents = [SimulatedAgent(world, f"a{number}", "") for number in range(2000)]
    publics = {one.name: public_text(one._key) for one in agents}
    for one, id_ in zip(
        agents, await plant_agents(manager.parts.db, clock(), publics, manager.link.keys().public), strict=True
    ):
        one.id, one.manager_key = id_, manager.link.keys().public
    running = [asyncio.create_task(one._patiently(one._poll)) for one in agents]
    try:
        async with asyncio.timeout(120):
            while len(manager.link.held) < len(agents):
                await asyncio.sleep(0.05)
            for generation in (1, 2):
                await send_to_all(manager, [one.id for one in agents], generation)
                while len(world.record.got) < generation * len(agents):
                    await asyncio.sleep(0.05)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for one in agents:
            one._line.close()
    given = [f"{one.id}.{generation}" for one in agents for generation in (1, 2)]
    assert world.record.check(given) == []


async def send_to_all(manager: RealManager, ids: Sequence[str], generation: int) -> None:
    async with manager.parts.db.write() as conn:
        publish(conn, "agents", *ids[:7])  # who is woken for nothing loses nothing
        await outbox.send(conn, manager.link.keys(), [assignment(id_, generation) for id_ in ids])


async def test_an_agent_whose_cursor_is_behind_gets_nothing_twice(manager: RealManager, agent: BareAgent) -> None:
    await manager.assign(agent.id, "shop/web", NEW)
    assert len(await agent.poll()) == 1
    assert await agent.poll() == ()
    agent.cursor = 0
    assert await agent.poll() == ()
    await alter(manager.parts.db, "agents", edition=2)
    async with asyncio.timeout(40):
        while await count(manager.parts.db, "outbox"):
            await manager.link.flush()  # where the manager is at it by itself, that does nothing
            await asyncio.sleep(0.05)
