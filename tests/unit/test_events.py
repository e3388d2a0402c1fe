"""One reader of the engine's events, which resumes where it left off."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent.events import EventHub
from tidegate.agent.missed import past_events
from tidegate.engine.errors import EngineUnavailableError, NotFoundError
from tidegate.engine.model import Event

FAR_AHEAD_NS = 4_000_000_000_000_000_000


def event(number: int) -> Event:
    return Event("container", "start", f"c{number}", {}, FAR_AHEAD_NS + number)


class Engine:
    """Gives what it has from a time on, then breaks off; after the last stream it stays silent."""

    def __init__(self, *streams: list[Event], ends_with: type[Exception] = EngineUnavailableError) -> None:
        self._streams = list(streams)
        self._ends_with = ends_with
        self.asked_since: list[int | None] = []

    async def events(self, *, since_ns: int | None, until_ns: int | None = None) -> AsyncIterator[Event]:
        assert until_ns is None
        self.asked_since.append(since_ns)
        if not self._streams:
            await asyncio.Event().wait()
        for one in self._streams.pop(0):
            yield one
        raise self._ends_with("the engine went away")


async def heard(engine: Engine, count: int) -> list[str]:
    """The ids of the first `count` events that a listener is told of."""
    hub = EventHub(engine)  # type: ignore[arg-type]
    told: list[str] = []
    enough = asyncio.Event()

    def listen(one: Event) -> None:
        told.append(one.id)
        if len(told) == count:
            enough.set()

    with hub.listening(listen):
        hub.start()
        await asyncio.wait_for(enough.wait(), 40)
    await hub.close()
    return told


async def test_a_stream_that_broke_off_is_resumed_behind_the_last_event() -> None:
    engine = Engine([event(1), event(2)], [event(3)])
    assert await heard(engine, 3) == ["c1", "c2", "c3"]
    assert engine.asked_since[1] == FAR_AHEAD_NS + 3


async def test_the_reader_goes_on_after_what_nobody_expected() -> None:
    assert await heard(Engine([event(1)], [event(2)], ends_with=KeyError), 2) == ["c1", "c2"]


async def test_an_event_that_the_engine_tells_twice_is_told_once() -> None:
    assert await heard(Engine([event(1)], [event(1), event(2)]), 2) == ["c1", "c2"]


async def test_events_that_come_a_little_out_of_order_are_all_told() -> None:
    engine = Engine([event(2), event(1)], [event(3)])
    assert await heard(engine, 3) == ["c2", "c1", "c3"]
    assert engine.asked_since[1] == FAR_AHEAD_NS + 3


async def test_what_happens_before_the_stream_stands_is_not_missed() -> None:
    engine = Engine([event(1)])
    await heard(engine, 1)
    assert engine.asked_since[0] is not None


@pytest.mark.parametrize(
    ("forgot_before_ns", "ids"), [(event(2).time_ns, ["c1", "c2", "c3"]), (0, ["c2", "c3"])], ids=["busy", "new"]
)
async def test_what_the_engine_has_forgotten_is_remembered_here_but_not_what_one_before_it_did(
    forgot_before_ns: int, ids: list[str]
) -> None:
    async def told(**_: Any) -> AsyncIterator[Event]:
        for each in (event(3), event(2)):
            yield each

    async def forgot() -> int:
        return forgot_before_ns

    engine = SimpleNamespace(events=told, network=no_bridge, forgot_before_ns=forgot)
    engine_and_agent = await past_events(engine, 0, lambda _: [event(1), event(2)])
    assert [one.id for one in engine_and_agent] == ids


async def no_bridge(_: str) -> None:
    raise NotFoundError("bridge")


async def test_a_listener_that_comes_late_can_ask_what_was_heard_before() -> None:
    engine = Engine([event(1), event(2), event(3)])
    hub = EventHub(engine)  # type: ignore[arg-type]
    with hub.listening(third := Third()):
        hub.start()
        await asyncio.wait_for(third.come.wait(), 40)
    assert [one.id for one in hub.kept(event(2).time_ns)] == ["c2", "c3"]
    await hub.close()


class Third:
    """Waits for the third event."""

    def __init__(self) -> None:
        self.come = asyncio.Event()

    def __call__(self, one: Event) -> None:
        if one.id == "c3":
            self.come.set()
