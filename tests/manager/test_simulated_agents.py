"""The agents that tests and benchmarks rely on find out what a manager does wrong: here one that is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from aiohttp import web
from tests.support.simulated_agents import OLD, REPOSITORY, TARGET, SimulatedAgent, World, _now
from tests.support.simulated_http import CutError, Line

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout_apply import Outcome
from tidegate.protocol import messages
from tidegate.protocol.events import Inventory, Report
from tidegate.protocol.keys import load_key, make_key, public_text
from tidegate.protocol.messages import EnrolAnswer, EventsAnswer, Item, PollAnswer
from tidegate.protocol.requests import fault_of, proof_holds, read_claim
from tidegate.protocol.signed import Withdraw, seal, write_document

NEW = f"sha256:{'2' * 64}"


@dataclass
class Stub:
    """A manager of one agent: what is in `items` goes out, what is told is in `told`; `cuts` answers are lost."""

    key = load_key(make_key())
    items: list[Item] = field(default_factory=list)
    told: list[object] = field(default_factory=list)
    applied: int = 0
    cuts: int = 0
    public: str = ""
    more: asyncio.Event = field(default_factory=asyncio.Event)

    async def enrol(self, request: web.Request) -> web.Response:
        it = messages.read_enrol_request(json.loads(await request.read()))
        assert proof_holds(it.public_key, it.token, it.proof)
        self.public = it.public_key
        answer = EnrolAnswer(1, "a1", it.name, public_text(self.key), _now())
        return web.json_response(messages.write_enrol_answer(answer))

    async def poll(self, request: web.Request) -> web.Response:
        it = messages.read_poll_request(json.loads(await self._signed(request)))
        while not (after := tuple(one for one in self.items if one.seq > it.cursor)):
            await self.more.wait()
            self.more.clear()
        return web.json_response(messages.write_poll_answer(PollAnswer(1, after, _now())))

    async def events(self, request: web.Request) -> web.Response:
        it = messages.read_events_request(json.loads(await self._signed(request)))
        self.told += it.events[self.applied + 1 - it.first :]
        self.applied = it.first + len(it.events) - 1
        if self.cuts:
            self.cuts -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(messages.write_events_answer(EventsAnswer(self.applied)))

    async def _signed(self, request: web.Request) -> bytes:
        body, claim = await request.read(), read_claim(request.headers)
        assert claim is not None
        fault = fault_of(claim, self.public, "POST", request.path_qs, body, now_s=int(_now().timestamp()))
        assert fault is None
        return body

    def send(self, document: Assignment | Withdraw, *, sign: bool = True) -> None:
        text = write_document(document)
        self.items.append(Item(len(self.items) + 1, text, seal(self.key if sign else load_key(make_key()), text)))
        self.more.set()

    def outcomes(self) -> list[Outcome]:
        return [one.outcome for one in self.told if isinstance(one, Report)]


def assignment(**more: object) -> Assignment:
    now = _now()
    one = Assignment("x1", "a1", TARGET, REPOSITORY, NEW, 1, now, now + timedelta(minutes=5), "7")
    return replace(one, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def running(stub: Stub, **more: object) -> AsyncIterator[tuple[SimulatedAgent, World]]:
    app = web.Application()
    for name in ("enrol", "poll", "events"):
        app.router.add_post(f"/api/v1/agent/{name}", getattr(stub, name))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    world = World([runner.addresses[0][:2]], **more)  # type: ignore[arg-type]
    agent = SimulatedAgent(world, "host1", "token")
    task = asyncio.create_task(agent.run())
    try:
        yield agent, world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        world.lines.close()
        await runner.cleanup()


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not met():
            await asyncio.sleep(0.005)


async def test_an_agent_enrols_tells_what_runs_and_carries_out_what_it_is_assigned() -> None:
    stub = Stub()
    stub.send(assignment())
    async with running(stub) as (agent, world):
        await until(lambda: agent.idle and stub.outcomes()[-1:] == [Outcome.HEALTHY])
    assert stub.outcomes() == [Outcome.BEGUN, Outcome.HEALTHY]
    whole = [one.targets[0].digest for one in stub.told if isinstance(one, Inventory)]
    assert whole == [OLD, NEW]
    assert world.record.check({"x1"}) == []


async def test_events_whose_answer_was_lost_are_sent_again_under_their_numbers() -> None:
    stub = Stub(cuts=3)
    stub.send(assignment())
    async with running(stub) as (agent, world):
        await until(lambda: agent.idle and stub.applied == 4)
    assert stub.outcomes() == [Outcome.BEGUN, Outcome.HEALTHY]
    assert world.record.answers["events cut"] == 3


async def test_what_is_withdrawn_before_it_began_does_not_happen() -> None:
    stub = Stub()
    stub.send(assignment())
    stub.send(Withdraw("a1", TARGET, 1, _now()))
    async with running(stub) as (agent, world):
        await until(lambda: agent.idle and bool(stub.outcomes()))
    assert stub.outcomes() == [Outcome.WITHDRAWN]
    assert world.record.faults == []


async def _faults(*sent: Assignment, sign: bool = True) -> list[str]:
    stub = Stub()
    for one in sent:
        stub.send(one, sign=sign)
    async with running(stub, script=lambda *_: ()) as (agent, world):
        await until(lambda: agent.cursor == len(sent))
    return [one.partition(":")[0] for one in world.record.check({one.id for one in sent})]


async def test_an_assignment_that_comes_twice_is_found() -> None:
    assert await _faults(assignment(), assignment(generation=2)) == ["doubled"]


async def test_a_generation_that_comes_twice_is_found() -> None:
    assert await _faults(assignment(), assignment(id="x2")) == ["doubled"]


async def test_an_assignment_of_another_agent_is_found() -> None:
    assert await _faults(assignment(agent="a2")) == ["foreign"]


async def test_an_assignment_of_another_target_is_found() -> None:
    assert await _faults(assignment(target="shop/db")) == ["foreign"]


async def test_a_signature_of_somebody_else_is_found() -> None:
    assert await _faults(assignment(), sign=False) == ["unsigned"]


async def test_an_assignment_before_the_last_one_has_ended_is_found() -> None:
    stub = Stub()
    stub.send(assignment())
    stub.send(assignment(id="x2", generation=2))
    async with running(stub) as (agent, world):
        await until(lambda: agent.cursor == 2)
    assert [one.partition(":")[0] for one in world.record.faults] == ["two at once"]


async def test_an_assignment_that_never_came_and_one_that_nobody_gave_are_found() -> None:
    stub = Stub()
    stub.send(assignment())
    async with running(stub) as (agent, world):
        await until(lambda: agent.cursor == 1)
    assert [one.partition(":")[0] for one in world.record.check({"x2"})] == ["lost", "foreign"]


async def test_a_503_without_retry_after_is_found_and_the_agent_goes_on() -> None:
    stub = Stub()
    refused = [web.Response(status=503), web.Response(status=503, headers={"Retry-After": "5"})]
    poll = stub.poll

    async def away(request: web.Request) -> web.Response:
        return refused.pop() if refused else await poll(request)

    stub.poll = away  # type: ignore[method-assign]
    stub.send(assignment())
    async with running(stub) as (agent, world):
        await until(lambda: agent.cursor == 1)
    assert [one.partition(":")[0] for one in world.record.faults] == ["impolite"]


async def test_a_connection_is_kept_for_the_next_request_and_opened_anew_after_a_cut() -> None:
    stub = Stub(public=public_text(load_key(make_key())))
    async with running(stub) as (_, world):
        await until(lambda: stub.applied == 1)
        line = Line(*world.managers[0])
        reading = []
        for cut in (False, False, True):
            if cut:
                line._cut()
            assert (await line.post("/none", {}, b"", limit_s=5)).status == 404
            reading.append(line._reading)
        line.close()
    assert reading[0] is reading[1]
    assert reading[1] is not reading[2]


async def test_a_connection_that_is_closed_while_it_is_opened_is_not_left_open() -> None:
    stub = Stub(public=public_text(load_key(make_key())))
    async with running(stub) as (_, world):
        line = Line(*world.managers[0])
        asking = asyncio.create_task(line.post("/none", {}, b"", limit_s=5))
        await asyncio.sleep(0)
        line.close()
        with pytest.raises(CutError, match="while it was opened"):
            await asking
        assert line._reading is None
