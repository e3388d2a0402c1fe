"""How a replacement that was cut short is brought to rest."""

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.agent import settling
from tidegate.agent.guard import NUMBER, PROJECT, SERVICE, TRANSACTION, Guard
from tidegate.agent.replacement import Replacement
from tidegate.agent.settling import Settler
from tidegate.domain.policy import Policy, PolicyDefaults, resolve_policy
from tidegate.domain.transaction import Settlement, Step, Strategy, steps_of
from tidegate.engine import parse
from tidegate.engine.errors import EngineUnavailableError, NotFoundError
from tidegate.engine.model import Container, ContainerSummary, Event, Network

TX = "20261125-120000-abcd.0"
NOT_STARTED = {"Status": "created", "Running": False}
RUNNING = {"Status": "running", "Running": True}
EXITED = {"Status": "exited", "Running": False}
NOW_NS = time.time_ns()
LONG_AGO, TOMORROW = (datetime.now(UTC) + timedelta(days=days) for days in (-1, 1))


class Engine:
    """Has the candidate alone, created and not started; writes down what it is told to do."""

    def __init__(self, *, started: datetime | None = LONG_AGO, **states: dict[str, Any]) -> None:
        """`states` are those of the containers that are there instead; `started` None: it has no bridge."""
        self.started, self.remembers, self.forgot = started, False, 0
        self.told: list[str] = []
        self.stopped_by: Any = None
        self.listed: dict[str, tuple[str, dict[str, str]]] = {}
        self._states = states or {"new": NOT_STARTED}

    async def container(self, ref: str) -> Container:
        if ref not in self._states:
            raise NotFoundError(ref)
        created, labels = self.listed.get(ref, ("2026-11-25T11:00:00Z", {NUMBER: "1"}))
        config = {"Labels": labels}
        document = {"Id": ref, "Name": "/web", "Created": created, "Config": config, "State": self._states[ref]}
        return parse.container(document)

    async def network(self, ref: str) -> Network:
        if self.started is None:
            raise NotFoundError(ref)
        return Network(ref, ref, "bridge", internal=False, labels={}, subnets=(), members={}, created=self.started)

    async def events(self, **_: Any) -> AsyncIterator[Event]:
        if self.remembers:
            yield Event("container", "stop", "old", {}, 0)

    async def forgot_before_ns(self) -> int:
        return self.forgot

    async def stop(self, _: str, *, signal: str | None, timeout_s: int | None) -> None:
        self.stopped_by = (signal, timeout_s)

    async def containers(self, *, labels: Mapping[str, str]) -> list[ContainerSummary]:
        return [
            ContainerSummary(ref, ref, "web:live", "sha256:2", "running", held)
            for ref, (_, held) in self.listed.items()
            if labels.items() <= held.items()
        ]

    def __getattr__(self, verb: str) -> Any:
        async def told(*_: Any, **__: Any) -> None:
            self.told.append(verb)

        return told


async def nothing(*_: Any) -> None:
    return None


def replacement(*, was_running: bool = True) -> Replacement:
    steps = steps_of(Strategy.STOP_FIRST)
    return Replacement(
        id=TX, cluster="shop", service="web", number="1", name="web", incumbent="old", reference="web:live",
        old_image="sha256:1", new_image="sha256:2", old_digest="", new_digest="", strategy=Strategy.STOP_FIRST, late=(),
        early=(), request={}, endpoints={}, saved={}, saved_endpoints={},
        was_running=was_running, candidate="new", done=set(steps[: steps.index(Step.REMOVE) + 1]),
    )  # fmt: skip


async def settled(
    engine: Engine,
    it: Replacement,
    *strangers: str,
    policy: Policy | None = None,
    done_to_old: Sequence[str] = (),
    act_ns: int = NOW_NS,
    chosen: Settlement | None = None,
) -> Settlement:
    guard = Guard(("shop", "web", "1"), "old", TX)
    for action in done_to_old:
        guard.feed(Event("container", action, "old", {}, act_ns))
    for stranger in strangers:
        guard.feed(Event("container", "create", stranger, {PROJECT: "shop", SERVICE: "web"}, act_ns))
    settler = Settler(engine, engine, nothing)  # type: ignore[arg-type]
    policy = policy or resolve_policy({}, PolicyDefaults())
    return await settler.settle(it, policy, guard, decided=lambda _: None, chosen=chosen)


@pytest.mark.parametrize("was_running", [True, False])
async def test_what_was_stopped_before_its_update_is_stopped_after_it(*, was_running: bool) -> None:
    engine, it = Engine(), replacement(was_running=was_running)
    assert (await settled(engine, it), "start" in engine.told) == (Settlement.CANDIDATE, was_running)


async def test_the_incumbent_is_stopped_as_its_labels_ask_where_recovery_does_it() -> None:
    engine = Engine(old=RUNNING, new=RUNNING)
    policy = replace(resolve_policy({}, PolicyDefaults()), stop_signal="SIGQUIT", stop_timeout_s=3.0)
    await settled(engine, replacement(), policy=policy)
    assert engine.stopped_by == ("SIGQUIT", 3)


async def test_a_new_container_that_nobody_has_started_does_not_leave_the_service_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(settling, "_LOOK_EVERY_S", 0.001)
    engine, it = Engine(old=NOT_STARTED, new=NOT_STARTED, theirs=NOT_STARTED), replacement()
    assert (await settled(engine, it, "theirs"), "start" in engine.told) == (Settlement.INCUMBENT, True)


async def test_a_new_container_that_runs_takes_the_place_of_both() -> None:
    engine, it = Engine(old=NOT_STARTED, new=NOT_STARTED, theirs=RUNNING), replacement()
    assert await settled(engine, it, "theirs") is Settlement.STRANGER


async def test_an_end_that_was_chosen_before_a_kill_gives_way_to_what_was_made_since() -> None:
    engine = Engine(old=EXITED, new=RUNNING, theirs=RUNNING)
    place = {PROJECT: "shop", SERVICE: "web", NUMBER: "1"}
    engine.listed = {"theirs": ("2026-11-25T13:00:00Z", place)}
    assert await settled(engine, replacement(), chosen=Settlement.INCUMBENT) is Settlement.STRANGER
    assert "start" not in engine.told


async def test_an_end_that_was_chosen_before_a_kill_is_carried_out() -> None:
    assert await settled(Engine(old=EXITED, new=RUNNING), replacement(), chosen=Settlement.INCUMBENT) is (
        Settlement.INCUMBENT
    )


async def test_an_act_that_a_busy_engine_without_a_bridge_has_forgotten_is_an_act() -> None:
    engine = Engine(old=EXITED, started=None)
    engine.forgot = NOW_NS + 1
    ended = await settled(engine, replacement(), done_to_old=["kill", "die", "stop"])
    assert ended is Settlement.INCUMBENT_STOPPED


@pytest.mark.parametrize("engine_of", [{"started": TOMORROW}, {"started": None}])
async def test_the_signals_of_an_engine_that_was_restarted_are_nobodys_wish_to_stop(engine_of: dict[str, Any]) -> None:
    engine = Engine(old=EXITED, **engine_of)
    with pytest.raises(EngineUnavailableError, match="started again"):
        await settled(engine, replacement(), done_to_old=["kill", "die", "stop"])
    assert engine.told == []


async def test_what_an_engine_ended_as_it_started_is_nobodys_wish_either() -> None:
    engine, act = Engine(old=EXITED), LONG_AGO - timedelta(seconds=1)
    with pytest.raises(EngineUnavailableError, match="started again"):
        await settled(engine, replacement(), done_to_old=["kill"], act_ns=int(act.timestamp() * 1e9))


async def test_what_was_stopped_while_the_engine_ran_is_stopped() -> None:
    engine, act = Engine(old=EXITED), LONG_AGO + timedelta(seconds=1)
    done, act_ns = ["kill", "die", "stop"], int(act.timestamp() * 1e9)
    ended = await settled(engine, replacement(), done_to_old=done, act_ns=act_ns)
    assert ended is Settlement.INCUMBENT_STOPPED


async def test_an_engine_without_a_bridge_that_remembers_the_act_was_not_restarted() -> None:
    engine = Engine(old=EXITED, started=None)
    engine.remembers = True
    ended = await settled(engine, replacement(), done_to_old=["kill", "die", "stop"])
    assert ended is Settlement.INCUMBENT_STOPPED


PLACE = {PROJECT: "shop", SERVICE: "web", NUMBER: "1"}


@pytest.mark.parametrize(
    ("created", "labels", "end"),
    [
        ("2026-11-25T12:00:03Z", PLACE, Settlement.STRANGER),
        ("2026-11-25T11:59:59Z", PLACE, Settlement.CANDIDATE),
        ("2026-11-25T12:00:03Z", {**PLACE, "com.docker.compose.oneoff": "True"}, Settlement.CANDIDATE),
        ("2026-11-25T12:00:03Z", {**PLACE, NUMBER: "2"}, Settlement.CANDIDATE),
        ("2026-11-25T12:00:03Z", {**PLACE, TRANSACTION: TX}, Settlement.CANDIDATE),
    ],
    ids=["theirs", "there before", "run once", "another replica", "our own"],
)
async def test_what_somebody_made_is_found_though_no_event_tells_of_it(
    created: str, labels: dict[str, str], end: Settlement
) -> None:
    engine = Engine(new=RUNNING, theirs=RUNNING)
    engine.listed = {"theirs": (created, labels)}
    assert await settled(engine, replacement()) is end
