"""The agent's side of the link against a manager that answers over a real socket, falls, lies and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from tests.support.assigned import NEW
from tests.support.fake_manager import Enrolled, FakeManager, Problem, fake_manager

from tidegate.agent.link import talk
from tidegate.agent.link.client import ManagerClient, Signer
from tidegate.agent.link.desk import Desk
from tidegate.agent.link.entry import Stage
from tidegate.agent.link.identity import Identities
from tidegate.agent.link.log import LinkLog
from tidegate.agent.link.pacing import Pace
from tidegate.agent.link.sending import Sending
from tidegate.protocol.events import Inventory, Sighting
from tidegate.protocol.keys import load_key, make_key
from tidegate.protocol.messages import POLL_PATH, PollAnswer, write_poll_answer
from tidegate.protocol.requests import NONCE_HEADER, time_proof
from tidegate.protocol.version import PROTOCOL

Waits = list[tuple[float | None, bool]]


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> Waits:
    """How long the agent was asked to wait, and whether it asks rarely; it does not wait so long here."""
    asked: Waits = []

    def brief(_: Pace, __: float, *, retry_after_s: float | None = None, rarely: bool = False) -> float:
        asked.append((retry_after_s, rarely))
        return 0.02

    monkeypatch.setattr(Pace, "wait_s", brief)
    monkeypatch.setattr(talk, "_AT_ONCE_S", 0.05)
    return asked


@pytest.fixture
async def manager() -> AsyncIterator[FakeManager]:
    async with fake_manager() as one:
        yield one


class Line:
    """One agent's link, without an agent behind it. `clock` may be wrong."""

    def __init__(
        self, manager: FakeManager, directory: Path, token: str | None, *, off: timedelta = timedelta()
    ) -> None:
        self.off = off
        self.client = ManagerClient(manager.url, lambda: datetime.now(UTC) + self.off)
        self.log = LinkLog(directory / "link")
        self.desk = Desk(self.log, self.client.now)
        self.contact = talk.Contact(self.client)
        self.woken = asyncio.Event()
        self.gaps = 0
        self.token = token
        self.identities = Identities(directory / "link")
        self._enrolment = talk.Enrolment(self.client, self.identities, self.log, "berlin1", lambda: self.token)

    async def run(self) -> None:
        """As the agent has it."""
        identity = await self._enrolment.identity(self.contact)
        signer = Signer(identity.loaded(), identity.agent, lambda: self.log.manager_key)
        self.desk.agent = identity.agent
        poll = talk.Poll(self.client, self.log, self.desk, self.contact, self.woken.set)
        sending = Sending(self.client, self.log, self.contact, self._gap)
        await asyncio.gather(poll.run(signer), sending.run(signer))

    def _gap(self) -> None:
        self.gaps += 1

    def see(self, *tags: str) -> None:
        for tag in tags:
            self.desk.tell(Sighting(self.client.now(), "docker.io/library/web", tag, NEW))


@contextlib.asynccontextmanager
async def connected(line: Line) -> AsyncIterator[Line]:
    task = asyncio.create_task(line.run())
    try:
        yield line
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await line.client.close()


async def until(true: Callable[[], object], limit_s: float = 30) -> None:
    async with asyncio.timeout(limit_s):
        while not true():
            await asyncio.sleep(0.01)


def only(manager: FakeManager) -> Enrolled:
    (agent,) = manager.agents.values()
    return agent


def seen(manager: FakeManager) -> list[str]:
    return [str(event["tag"]) for event in only(manager).events if event["kind"] == "sighting"]


@pytest.fixture
def dial(manager: FakeManager, tmp_path: Path) -> Callable[[], Awaitable[Line]]:
    """An agent with a token of its own, or the same agent again."""
    token: list[str] = []

    async def line() -> Line:
        if not token:
            token.append(await manager.token())
        return Line(manager, tmp_path, token[0])

    return line


Dial = Callable[[], Awaitable[Line]]


async def test_an_agent_enrols_itself_once_and_is_the_same_after_a_restart_without_its_token(
    manager: FakeManager, dial: Dial, tmp_path: Path
) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
    async with connected(Line(manager, tmp_path, None)) as line:
        await until(lambda: line.contact.connected)
    assert only(manager).name == "berlin1"
    kept = tmp_path / "link" / "identity.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "link" / "enrolling.json").exists()


async def test_an_answer_to_an_enrolment_that_is_lost_costs_nothing(manager: FakeManager, dial: Dial) -> None:
    manager.lose = 2
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
    assert len(manager.agents) == 1


async def test_an_agent_that_died_before_it_kept_who_it_is_asks_again_with_the_same_key(
    manager: FakeManager, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Identities, "keep", lambda *_: asyncio.current_task().cancel())  # type: ignore[union-attr]
        async with connected(await dial()):
            await until(lambda: manager.agents)
            await asyncio.sleep(0.1)
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
    assert len(manager.agents) == 1


async def test_without_a_token_it_waits_for_one_and_says_so(manager: FakeManager, tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with connected(Line(manager, tmp_path, None)):
            await until(lambda: any("not enrolled" in str(entry["event"]) for entry in logs))
    assert manager.agents == {}


async def test_a_token_that_is_not_taken_is_told_and_tried_again_rarely(
    manager: FakeManager, tmp_path: Path, waits: Waits
) -> None:
    with capture_logs() as logs:
        async with connected(Line(manager, tmp_path, "tge_wrong")):
            await until(lambda: len(waits) > 2)
    assert waits[0] == (None, True)
    assert [entry["log_level"] for entry in logs if "enrolment token" in str(entry["event"])][:2] == ["error", "debug"]
    assert all("tge_wrong" not in str(entry) for entry in logs)


async def test_another_token_makes_another_agent_of_it(manager: FakeManager, dial: Dial, tmp_path: Path) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
    await manager.revoke(only(manager).id)
    async with connected(Line(manager, tmp_path, await manager.token())) as line:
        await until(lambda: line.contact.connected)
    assert len(manager.agents) == 2


@pytest.mark.parametrize("refused", ["bad-token", "name-taken", "wrong-name", "revoked"])
async def test_another_token_that_is_not_taken_leaves_an_agent_who_it_is(
    manager: FakeManager, dial: Dial, tmp_path: Path, refused: str
) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        line.see("1")
        await until(lambda: seen(manager) == ["1"])

    def enrol(request: web.Request) -> web.Response | None:
        answer = {"code": refused, "detail": "not with that one"}
        return web.json_response(answer, status=409) if request.path.endswith("enrol") else None

    manager.trouble = enrol
    with capture_logs() as logs:
        async with connected(Line(manager, tmp_path, "tge_another")) as line:
            await until(lambda: line.contact.connected)
            line.see("2")
            await manager.assign(only(manager).id, "shop/web", NEW)
            await until(lambda: line.desk.entries(Stage.WAITING))
            await until(lambda: seen(manager) == ["1", "2"])
    (told,) = [entry for entry in logs if "other enrolment token" in str(entry["event"])]
    assert (told["log_level"], "not with that one" in told["reason"]) == ("error", True)


async def test_another_token_is_tried_again_where_it_was_not_the_token_that_was_refused(
    manager: FakeManager, dial: Dial, tmp_path: Path, waits: Waits
) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
    await manager.revoke(only(manager).id)
    manager.trouble = lambda _: web.json_response({"code": "not-found"}, status=404)
    async with connected(Line(manager, tmp_path, await manager.token())) as line:
        await until(lambda: len(waits) > 2)
        manager.trouble = None
        await until(lambda: line.contact.connected)
    assert len(manager.agents) == 2


async def test_an_assignment_arrives_at_once_is_kept_and_the_manager_forgets_it_then(
    manager: FakeManager, dial: Dial
) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        agent = only(manager)
        await manager.assign(agent.id, "shop/web", NEW)
        async with asyncio.timeout(20):
            await line.woken.wait()
        assert [one.it.target for one in line.desk.entries(Stage.WAITING)] == ["shop/web"]
        await until(lambda: not agent.outbox)


async def test_events_are_applied_once_though_answers_are_lost_and_the_manager_falls(
    manager: FakeManager, dial: Dial
) -> None:
    wanted = [str(number) for number in range(40)]
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        for number, tag in enumerate(wanted):
            line.see(tag)
            if number % 10 == 3:
                manager.lose = 2
            if number == 20:
                await manager.restart()
            await asyncio.sleep(0.01)
        await until(lambda: line.log.queued == 0)
    assert seen(manager) == wanted


async def test_what_was_not_told_before_a_restart_is_told_after_it(manager: FakeManager, dial: Dial) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        await manager.stop()
        line.see("1", "2")
    await manager.start()
    async with connected(await dial()) as line:
        line.see("3")
        await until(lambda: line.log.queued == 0)
    assert seen(manager) == ["1", "2", "3"]


async def test_inventories_that_are_of_no_use_any_more_cost_no_other_event(manager: FakeManager, dial: Dial) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        await manager.stop()
        line.log._most = 10
        for number in range(20):
            line.desk.tell(Inventory(line.client.now(), ()))
            if number % 7 == 3:
                line.see(str(number))
        await manager.start()
        await until(lambda: line.log.queued == 0)
        assert line.gaps == 0
    assert seen(manager) == ["3", "10", "17"]
    assert only(manager).events[-1]["kind"] == "inventory"


@pytest.mark.parametrize("status", [429, 503])
async def test_a_manager_that_is_away_is_asked_again_and_what_it_asks_for_is_waited_for(
    manager: FakeManager, dial: Dial, waits: Waits, status: int
) -> None:
    manager.trouble = lambda _: web.Response(status=status, headers={"Retry-After": "7"})
    async with connected(await dial()) as line:
        await until(lambda: len(waits) > 3)
        assert waits[0] == (7.0, False)
        manager.trouble = None
        await until(lambda: line.contact.connected)


@pytest.mark.parametrize("off", [timedelta(hours=-3), timedelta(days=400)])
async def test_a_clock_that_is_off_is_set_right_and_expiry_goes_by_the_managers(
    manager: FakeManager, tmp_path: Path, off: timedelta
) -> None:
    async with connected(Line(manager, tmp_path, await manager.token(), off=off)) as line:
        await until(lambda: line.contact.connected)
        await manager.assign(only(manager).id, "shop/web", NEW)
        await until(lambda: line.desk.entries(Stage.WAITING))
        line.see("1")
        await until(lambda: seen(manager) == ["1"])
    assert abs(datetime.fromisoformat(only(manager).events[0]["at"]) - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_clock_that_is_set_right_afterwards_changes_nothing(manager: FakeManager, tmp_path: Path) -> None:
    async with connected(Line(manager, tmp_path, await manager.token(), off=timedelta(hours=-3))) as line:
        await until(lambda: line.contact.connected)
        line.off = timedelta()
        await manager.assign(only(manager).id, "shop/web", NEW)
        await until(lambda: line.desk.entries(Stage.WAITING))
        assert abs(line.client.now() - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_time_that_the_manager_did_not_sign_for_this_request_is_not_gone_by(
    manager: FakeManager, tmp_path: Path
) -> None:
    asked: list[str] = []

    def lying(request: web.Request) -> web.Response | None:
        """As by somebody on the way: first a signature that nobody made, then one that was made for another request."""
        if request.path != POLL_PATH:
            return None
        asked.append(request.headers[NONCE_HEADER])
        later = int(datetime.now(UTC).timestamp()) + 86400
        proofs = ["AAAA", time_proof(manager.key, only(manager).id, asked[0], later)] if len(asked) > 1 else ["AAAA"]
        problem = Problem(401, "clock-skew", "the clock is off", time=later, proofs=proofs)
        return web.json_response(problem.body, status=401, content_type="application/problem+json")

    manager.trouble = lying
    with capture_logs() as logs:
        async with connected(Line(manager, tmp_path, await manager.token())) as line:
            await until(lambda: len(asked) > 3)
            assert abs(line.client.now() - datetime.now(UTC)) < timedelta(minutes=1)
            manager.trouble = None
            await until(lambda: line.contact.connected)
    assert len(set(asked)) == len(asked)
    assert any("did not sign" in str(entry["event"]) for entry in logs)


async def test_what_somebody_else_sends_in_the_managers_name_is_refused_and_keeps_nothing_from_the_agent(
    manager: FakeManager, dial: Dial
) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        agent = only(manager)
        agent.next_seq = 2**40
        await manager.assign(agent.id, "shop/web", NEW, sign_with=load_key(make_key()))
        await until(lambda: [event for event in agent.events if event["kind"] == "refusal"])
        agent.outbox.clear()
        agent.next_seq = 1
        await manager.assign(agent.id, "shop/web", NEW)
        await until(lambda: line.desk.entries(Stage.WAITING))
        assert line.log.cursor == 1
        await until(lambda: line.contact.connected)


async def test_a_revoked_agent_stays_up_says_so_once_and_asks_rarely(
    manager: FakeManager, dial: Dial, waits: Waits
) -> None:
    with capture_logs() as logs:
        async with connected(await dial()) as line:
            await until(lambda: line.contact.connected)
            await manager.revoke(only(manager).id)
            await until(lambda: len(waits) > 3)
            assert not line.contact.connected
    assert {rarely for _, rarely in waits} == {True}
    assert len([1 for entry in logs if entry["log_level"] == "error" and "revoked" in str(entry["event"])]) == 1


async def test_a_manager_that_was_set_back_is_told_what_there_still_is(manager: FakeManager, dial: Dial) -> None:
    async with connected(await dial()) as line:
        line_up = lambda: line.contact.connected  # noqa: E731 - one expression, used once
        await until(line_up)
        line.see("1", "2", "3")
        await until(lambda: seen(manager) == ["1", "2", "3"])
        agent = only(manager)
        agent.streams, agent.events = dict.fromkeys(agent.streams, 1), agent.events[:1]
        line.see("4")
        await until(lambda: seen(manager) == ["1", "4"])
        assert line.gaps == 1


async def test_an_agent_that_was_set_back_tells_by_another_name_so_that_nothing_is_passed_over(
    manager: FakeManager, dial: Dial
) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        agent = only(manager)
        agent.streams = {line.log._read().stream: 50}
        line.see("1")
        await until(lambda: seen(manager) == ["1"])


@pytest.mark.parametrize("count", [1, 3, 8])
async def test_an_agent_whose_state_folder_was_put_back_tells_what_is_new_and_nothing_twice(
    manager: FakeManager, dial: Dial, tmp_path: Path, count: int
) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        await manager.stop()
        line.see("1", "2")
        kept = shutil.copytree(tmp_path / "link", tmp_path / "backup")
        await manager.start()
        line.see("lost 3", "lost 4", "lost 5")
        await until(lambda: line.log.queued == 0)
    await manager.stop()
    shutil.copytree(kept, tmp_path / "link", dirs_exist_ok=True)
    new = [f"new {number}" for number in range(count)]
    async with connected(await dial()) as line:
        line.see(*new)
        await manager.start()
        await until(lambda: line.log.queued == 0)
    assert seen(manager) == ["1", "2", "lost 3", "lost 4", "lost 5", *new]


async def test_a_manager_that_does_not_say_how_far_it_is_is_sent_events_all_the_same(
    manager: FakeManager, dial: Dial
) -> None:
    async def refuse_empty(request: web.Request, body: bytes) -> dict[str, Any]:
        if not json.loads(body)["events"]:
            raise Problem(422, "bad-message", "there are no events")
        return await events(request, body)

    events = manager._events
    await manager.stop()
    manager._events = refuse_empty  # type: ignore[method-assign]
    await manager.start()
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        line.see("1")
        await until(lambda: seen(manager) == ["1"])


async def test_an_event_that_the_manager_does_not_take_holds_up_no_other(manager: FakeManager, dial: Dial) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        await manager.stop()
        line.see("1", "2")
        line.desk.tell(Sighting(line.client.now(), "docker.io/library/web", "bad", "no digest"))
        line.see("3")
        await manager.start()
        await until(lambda: line.log.queued == 0)
    assert seen(manager) == ["1", "2", "3"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=200, text="<html>a login page</html>"),
        lambda: web.json_response({"items": 7}),
        lambda: web.json_response([]),
        lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        lambda: web.Response(status=404, text="nothing here"),
        lambda: web.json_response({"code": "clock-skew", "time": "noon"}, status=401),
        lambda: web.json_response({"code": "clock-skew", "time": 10**30}, status=401),
        lambda: web.json_response({"code": "gap", "expected": -4}, status=409),
    ],
)
async def test_whatever_else_answers_in_the_managers_place_the_agent_asks_again(
    manager: FakeManager, dial: Dial, waits: Waits, answer: Callable[[], Any]
) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        manager.trouble = lambda _: answer()
        await manager.restart()
        line.see("1")
        await until(lambda: len(waits) > 4)
        manager.trouble = None
        await until(lambda: seen(manager) == ["1"])


async def test_something_that_does_not_hold_the_poll_is_not_asked_without_a_pause(
    manager: FakeManager, dial: Dial
) -> None:
    async with connected(await dial()) as line:
        await until(lambda: line.contact.connected)
        polls: list[int] = []

        def empty(request: web.Request) -> web.Response | None:
            if not request.path.endswith("poll"):
                return None
            polls.append(1)
            return web.json_response({"protocol": 1, "items": [], "time": "2026-11-25T12:00:00Z"})

        manager.trouble = empty
        await manager.restart()
        await until(lambda: polls)
        await asyncio.sleep(0.5)
        assert len(polls) < 15


async def test_polls_after_the_first_ask_to_be_held_and_not_all_for_as_long(
    manager: FakeManager, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else agents that came together, as after a restart of the manager, would ask together for ever."""
    del manager
    post, asked = ManagerClient.post, list[int]()

    async def answered(client: ManagerClient, path: str, body: dict[str, Any], *rest: Any, **more: Any) -> Any:
        if path != POLL_PATH:
            return await post(client, path, body, *rest, **more)
        await asyncio.sleep(0)
        asked.append(body["wait_s"])
        return write_poll_answer(PollAnswer(PROTOCOL, (), datetime.now(UTC)))

    monkeypatch.setattr(ManagerClient, "post", answered)
    monkeypatch.setattr(talk, "_AT_ONCE_S", 0.001)
    async with connected(await dial()):
        await until(lambda: len(asked) > 30)
    first, *others = asked
    assert first == 0
    assert 35 <= min(others) < max(others) <= 60
