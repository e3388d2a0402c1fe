"""What an agent relies on: the routes of its link, as every manager answers them."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.support.managers import MANAGERS, Manager

from tidegate.domain.assignment import Assignment
from tidegate.protocol import keys, messages, requests
from tidegate.protocol.signed import Pin, UnsignedError, address_of, read_document
from tidegate.protocol.version import PROTOCOL

DIGEST = "sha256:" + "b" * 64
AT = "2026-11-25T12:00:00Z"


@dataclass
class Answer:
    """A status and the JSON that came with it."""

    status: int
    body: Any
    kind: str = ""

    @property
    def code(self) -> str:
        """The problem's code."""
        assert self.kind == "application/problem+json", self
        assert self.body["type"] == f"urn:tidegate:problem:{self.body['code']}"
        assert self.body["detail"]
        return str(self.body["code"])


class Agent:
    """The bare protocol, spoken by hand."""

    def __init__(self, manager: Manager, session: aiohttp.ClientSession) -> None:
        self.key = keys.load_key(keys.make_key())
        self.manager = manager
        self.session = session
        self.id = ""
        self.manager_key = ""
        self.cursor = 0

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """An unsigned request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        async with self.session.post(f"{self.manager.url}{path}", data=io.BytesIO(data), headers=given) as response:
            return Answer(response.status, await response.json(content_type=None), response.content_type)

    async def signed(self, path: str, body: Any, *, off_s: int = 0, agent: str | None = None) -> Answer:
        """A signed one; `off_s`: the agent's clock is off."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        time_s = int(time.time()) + off_s
        return await self.post(
            path, data, requests.signed_headers(self.key, agent or self.id, "POST", path, data, time_s=time_s)
        )

    def enrolment(self, token: str, **more: Any) -> dict[str, Any]:
        """The message of an enrolment."""
        proof = requests.enrol_proof(self.key, token)
        public = keys.public_text(self.key)
        it = messages.EnrolRequest(PROTOCOL, token, "berlin1", public, "1.0", proof)
        return messages.write_enrol_request(it) | more

    async def enrol(self, token: str) -> Answer:
        """Enrol, and be somebody."""
        answer = await self.post(messages.ENROL_PATH, self.enrolment(token))
        if answer.status == 200:
            it = messages.read_enrol_answer(answer.body)
            self.id, self.manager_key = it.agent, it.manager_key
        return answer

    async def poll(self, *, wait_s: int = 0, protocol: int = PROTOCOL) -> messages.PollAnswer:
        """Poll, and go on from there the next time."""
        request = messages.PollRequest(protocol, self.cursor, wait_s, "1.0")
        answer = await self.signed(messages.POLL_PATH, messages.write_poll_request(request))
        assert answer.status == 200, answer
        found = messages.read_poll_answer(answer.body)
        self.cursor = max([self.cursor, *(item.seq for item in found.items)])
        return found

    async def events(self, first: int, *events: dict[str, Any], stream: str = "s1", **more: Any) -> Answer:
        """Send a batch."""
        body = {"protocol": PROTOCOL, "stream": stream, "first": first, "events": list(events), **more}
        return await self.signed(messages.EVENTS_PATH, body)

    async def seen(self) -> list[str]:
        """The digests of the sightings that were applied, by their first letters."""
        kinds = await self.manager.applied(self.id)
        return [str(event["digest"])[7:9] for event in kinds if event["kind"] == "sighting"]


def sighting(letters: str) -> dict[str, Any]:
    digest = "sha256:" + (letters * 32)
    return {"kind": "sighting", "at": AT, "repository": "docker.io/library/web", "tag": "1", "digest": digest}


@pytest.fixture(params=list(MANAGERS))
async def manager(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Manager]:
    async with MANAGERS[request.param](tmp_path) as one:
        yield one


@pytest.fixture
async def stranger(manager: Manager) -> AsyncIterator[Agent]:
    async with aiohttp.ClientSession() as session:
        yield Agent(manager, session)


@pytest.fixture
async def agent(manager: Manager, stranger: Agent) -> Agent:
    """One that has enrolled, and has told of a target."""
    answer = await stranger.enrol(await manager.token())
    assert answer.status == 200, answer
    web = {"target": "shop/web", "image": "web:1", "repository": "docker.io/library/web", "tag": "1", "digest": DIGEST}
    first = {"kind": "inventory", "at": AT, "targets": [web | {"state": "running", "health": "healthy"}]}
    assert (await stranger.events(1, first, stream="s0")).status == 200
    return stranger


async def test_an_agent_enrols_with_a_token_and_is_somebody_then(agent: Agent) -> None:
    assert agent.id
    assert keys.is_public(agent.manager_key)
    assert (await agent.poll()).items == ()


async def test_a_lost_answer_is_had_again_and_another_key_is_not_let_in(manager: Manager, stranger: Agent) -> None:
    token = await manager.token()
    first, again = await stranger.enrol(token), await stranger.enrol(token)
    assert (again.status, again.body["agent"]) == (200, first.body["agent"])
    thief = Agent(manager, stranger.session)
    refused = await thief.enrol(token)
    assert (refused.status, refused.code) == (401, "bad-token")


async def test_a_token_that_is_unknown_or_over_lets_nobody_in(manager: Manager, stranger: Agent) -> None:
    for token in ("tge_unknown", await manager.token(expires_in=timedelta(seconds=-1))):
        refused = await stranger.enrol(token)
        assert (refused.status, refused.code) == (401, "bad-token")


async def test_who_has_not_the_private_key_does_not_enrol(manager: Manager, stranger: Agent) -> None:
    other = keys.public_text(keys.load_key(keys.make_key()))
    message = stranger.enrolment(await manager.token(), public_key=other)
    refused = await stranger.post(messages.ENROL_PATH, message)
    assert (refused.status, refused.code) == (401, "bad-signature")


@pytest.mark.parametrize("path", [messages.POLL_PATH, messages.EVENTS_PATH])
async def test_a_request_that_is_not_signed_by_the_agent_is_not_its_own(agent: Agent, path: str) -> None:
    assert (await agent.post(path, {})).status == 401
    assert (await agent.signed(path, {}, agent="f" * 32)).code == "unknown-agent"
    agent.key = keys.load_key(keys.make_key())
    refused = await agent.signed(path, {})
    assert (refused.status, refused.code) == (401, "bad-signature")


@pytest.mark.parametrize("off_s", [-400, 400])
async def test_a_clock_that_is_off_is_told_the_time(agent: Agent, off_s: int) -> None:
    poll = messages.write_poll_request(messages.PollRequest(PROTOCOL, 0, 0))
    refused = await agent.signed(messages.POLL_PATH, poll, off_s=off_s)
    assert (refused.status, refused.code) == (401, "clock-skew")
    assert abs(refused.body["time"] - time.time()) < 60
    assert (await agent.signed(messages.POLL_PATH, poll, off_s=off_s // 2)).status == 200


async def test_the_time_is_signed_for_the_request_that_asks_for_it(agent: Agent) -> None:
    poll = messages.write_poll_request(messages.PollRequest(PROTOCOL, 0, 0))
    data, nonces = json.dumps(poll).encode(), ["ab" * 16, "cd" * 16]
    for nonce in nonces:
        headers = requests.signed_headers(agent.key, agent.id, "POST", messages.POLL_PATH, data, time_s=1)
        refused = await agent.post(messages.POLL_PATH, data, headers | {requests.NONCE_HEADER: nonce})
        assert refused.code == "clock-skew"
        said = refused.body["time"], refused.body["proofs"]
        holds = [requests.time_holds(agent.manager_key, agent.id, one, *said) for one in nonces]
        assert holds == [one == nonce for one in nonces]
    plain = await agent.signed(messages.POLL_PATH, poll, off_s=-600)
    assert (plain.code, plain.body["proofs"]) == ("clock-skew", [])  # an agent that does not ask for a signature


async def test_a_document_is_signed_with_its_number(manager: Manager, agent: Agent) -> None:
    await manager.assign(agent.id, "shop/web", DIGEST, generation=1)
    await manager.assign(agent.id, "shop/web", DIGEST, generation=2)
    items = (await agent.poll()).items
    assert [address_of(one.document) for one in items] == [(agent.id, one.seq) for one in items]


async def test_who_is_revoked_is_cut_off_at_once_also_in_the_midst_of_a_poll(manager: Manager, agent: Agent) -> None:
    poll = messages.write_poll_request(messages.PollRequest(PROTOCOL, 0, 30))
    held = asyncio.create_task(agent.signed(messages.POLL_PATH, poll))
    await asyncio.sleep(0.2)
    await manager.revoke(agent.id)
    async with asyncio.timeout(40):
        assert (await held).code == "revoked"
    for refused in (await agent.signed(messages.POLL_PATH, poll), await agent.events(1, sighting("aa"))):
        assert (refused.status, refused.code) == (403, "revoked")


async def test_assignments_are_signed_numbered_and_told_until_the_agent_has_them(
    manager: Manager, agent: Agent
) -> None:
    await manager.assign(agent.id, "shop/web", DIGEST, generation=1)
    await manager.assign(agent.id, "shop/db", DIGEST, generation=1)
    first, second = (await agent.poll()).items
    assert first.seq < second.seq
    told = [read_document(agent.manager_key, one.document, one.signature) for one in (first, second)]
    assert [one.target for one in told if isinstance(one, Assignment)] == ["shop/web", "shop/db"]
    agent.cursor = first.seq
    assert [one.seq for one in (await agent.poll()).items] == [second.seq]
    assert (await agent.poll()).items == ()
    agent.cursor = 0
    assert (await agent.poll()).items == ()  # they are forgotten


async def test_a_poll_is_held_until_there_is_something(manager: Manager, agent: Agent) -> None:
    held = asyncio.create_task(agent.poll(wait_s=30))
    await asyncio.sleep(0.2)
    assert not held.done()
    await manager.assign(agent.id, "shop/web", DIGEST)
    async with asyncio.timeout(40):
        assert len((await held).items) == 1


async def test_a_poll_ends_when_its_time_is_over(agent: Agent) -> None:
    began = time.monotonic()
    assert (await agent.poll(wait_s=1)).items == ()
    assert 0.8 < time.monotonic() - began < 10


async def test_a_new_key_is_told_by_the_old_one_and_signs_from_then_on(manager: Manager, agent: Agent) -> None:
    await manager.pin(agent.id)
    await manager.assign(agent.id, "shop/web", DIGEST)
    pin, assignment = (await agent.poll()).items
    new = read_document(agent.manager_key, pin.document, pin.signature)
    assert isinstance(new, Pin)
    assert isinstance(read_document(new.key, assignment.document, assignment.signature), Assignment)
    with pytest.raises(UnsignedError):
        read_document(agent.manager_key, assignment.document, assignment.signature)


async def test_events_are_applied_once_however_often_they_are_sent(agent: Agent) -> None:
    assert (await agent.events(1, sighting("aa"), sighting("bb"))).body == {"applied": 2}
    assert (await agent.events(1, sighting("aa"), sighting("bb"))).body == {"applied": 2}
    assert (await agent.events(2, sighting("bb"), sighting("cc"))).body == {"applied": 3}
    assert await agent.seen() == ["aa", "bb", "cc"]


async def test_a_gap_is_told_and_nothing_after_it_applied_unless_it_cannot_be_filled(agent: Agent) -> None:
    await agent.events(1, sighting("aa"))
    refused = await agent.events(3, sighting("cc"))
    assert (refused.status, refused.code, refused.body["expected"]) == (409, "gap", 2)
    assert await agent.seen() == ["aa"]
    assert (await agent.events(3, sighting("cc"), skipped=True)).body == {"applied": 3}
    assert await agent.seen() == ["aa", "cc"]


async def test_an_empty_batch_is_told_how_far_its_stream_is_and_changes_nothing(agent: Agent) -> None:
    assert (await agent.events(1)).body == {"applied": 0}
    assert (await agent.events(5, sighting("aa"), sighting("bb"))).body == {"applied": 6}
    assert (await agent.events(1)).body == {"applied": 6}
    assert (await agent.events(1, stream="s2")).body == {"applied": 0}
    assert (await agent.events(7, sighting("cc"))).body == {"applied": 7}
    assert await agent.seen() == ["aa", "bb", "cc"]


async def test_a_new_stream_begins_at_any_number(agent: Agent) -> None:
    await agent.events(1, sighting("aa"))
    assert (await agent.events(7, sighting("bb"), stream="s2")).body == {"applied": 7}
    assert (await agent.events(8, sighting("cc"), stream="s2")).body == {"applied": 8}
    assert await agent.seen() == ["aa", "bb", "cc"]


async def test_an_event_of_a_kind_that_is_not_known_is_counted_and_passed_over(agent: Agent) -> None:
    assert (await agent.events(1, {"kind": "novelty", "at": AT}, sighting("aa"))).body == {"applied": 2}
    assert await agent.seen() == ["aa"]


async def test_a_restart_loses_neither_items_nor_what_was_applied(manager: Manager, agent: Agent) -> None:
    await agent.events(1, sighting("aa"))
    await manager.assign(agent.id, "shop/web", DIGEST)
    await manager.restart()
    assert len((await agent.poll()).items) == 1
    assert (await agent.events(1, sighting("aa"), sighting("bb"))).body == {"applied": 2}
    assert await agent.seen() == ["aa", "bb"]


async def test_a_message_that_cannot_be_read_is_refused_with_the_field_that_is_wrong(agent: Agent) -> None:
    refused = await agent.events(1, {**sighting("aa"), "digest": "latest"})
    assert refused.status in {400, 422}
    assert "events[0].digest" in refused.body["detail"]
    assert (await agent.signed(messages.POLL_PATH, b"no JSON")).status in {400, 422}
    assert (await agent.poll()).items == ()


async def test_a_batch_that_is_too_large_is_refused(agent: Agent) -> None:
    many = await agent.events(1, *[sighting("aa")] * (messages.MOST_EVENTS + 1))
    assert many.status in {400, 413, 422}
    huge = await agent.signed(messages.EVENTS_PATH, b" " * (messages.MOST_BYTES + 512 * 1024))
    assert huge.status == 413
    assert await agent.seen() == []


async def test_a_protocol_that_is_not_spoken_is_told_so(manager: Manager, agent: Agent) -> None:
    poll = messages.write_poll_request(messages.PollRequest(PROTOCOL + 1, 0, 0))
    later = await agent.signed(messages.POLL_PATH, poll)
    assert (later.status, later.code) == (426, "protocol")
    enrolment = agent.enrolment(await manager.token(), protocol=PROTOCOL + 1)
    assert (await agent.post(messages.ENROL_PATH, enrolment)).code == "protocol"


async def test_an_agent_of_the_protocol_before_keeps_working(manager: Manager, agent: Agent) -> None:
    await manager.pin(agent.id)
    await manager.assign(agent.id, "shop/web", DIGEST)
    found = await agent.poll(protocol=0)
    assert found.protocol == 0
    assert [json.loads(item.document)["kind"] for item in found.items] == ["assignment"]
    reduced = {"kind": "inventory", "at": AT, "targets": []}
    assert (await agent.events(1, reduced, protocol=0)).body == {"applied": 1}
