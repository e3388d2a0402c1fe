"""What the engine's events tell of people's and Compose's doings."""

import asyncio

import pytest

from tidegate.agent.guard import NUMBER, PROJECT, SERVICE, TRANSACTION, Guard, Interfered
from tidegate.agent.hands import STOPPING
from tidegate.domain.transaction import Touch
from tidegate.engine.model import Event

OLD, NEW, OTHER = "incumbent", "candidate", "another"
LABELS = {PROJECT: "shop", SERVICE: "web", NUMBER: "1", "name": "shop-web-1"}


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def guard(clock: Clock | None = None) -> Guard:
    one = Guard(("shop", "web", "1"), OLD, "tx.0", clock or Clock())
    one.candidate_is(NEW)
    return one


def feed(one: Guard, container: str, *actions: str, time_ns: int = 0, **attributes: str) -> Guard:
    for action in actions:
        one.feed(Event("container", action, container, {**LABELS, **attributes}, time_ns))
    return one


def touch(one: Guard, container: str, *, present: bool = True) -> Touch:
    return one.party(container, present=present).touch


@pytest.mark.parametrize(
    ("actions", "seen"),
    [
        (["kill", "die", "stop"], Touch.STOPPED),
        (["kill", "die"], Touch.STOPPED),
        (["kill", "die", "stop", "start", "restart"], Touch.RESTARTED),
        (["kill", "die", "stop", "destroy"], Touch.REMOVED),
        (["kill", "die", "destroy"], Touch.KILLED),
        (["start"], Touch.RESTARTED),
        (["kill", "die", "start", "kill", "die", "stop"], Touch.STOPPED),
    ],
)
def test_a_persons_doing_is_told_by_its_events(actions: list[str], seen: Touch) -> None:
    one = feed(guard(), OLD, *actions)
    assert (one.interfered, touch(one, OLD)) == (True, seen)


@pytest.mark.parametrize(
    ("actions", "seen"), [(["kill", "die"], Touch.KILLED), (["kill", "die", "stop"], Touch.REMOVED)]
)
def test_what_is_being_removed_counts_as_removed_before_the_engine_says_so(actions: list[str], seen: Touch) -> None:
    assert touch(feed(guard(), OLD, *actions), OLD, present=False) is seen


def test_a_kill_heard_after_the_agent_began_to_stop_the_same_container_is_the_persons() -> None:
    one = guard()
    one.ours(NEW, "start")
    with one.acting(OLD, *STOPPING, "destroy"):
        began = one._wall()
    feed(one, OLD, "kill", "die", "destroy", time_ns=began - 1_000_000_000)
    assert touch(one, OLD, present=False) is Touch.KILLED


def test_what_the_engine_saw_while_the_agent_acted_is_the_agents() -> None:
    one = guard()
    with one.acting(OLD, *STOPPING):
        feed(one, OLD, *STOPPING, time_ns=one._wall())
    assert (one.interfered, touch(one, OLD)) == (False, Touch.NONE)


@pytest.mark.parametrize(("slack_ns", "seen"), [(0, True), (250_000_000, False)])
def test_the_clock_of_an_engine_elsewhere_may_differ_a_little(slack_ns: int, *, seen: bool) -> None:
    one = Guard(("shop", "web", "1"), OLD, "tx.0", Clock(), slack_ns=slack_ns)
    with one.acting(OLD, *STOPPING):
        began = one._wall()
    feed(one, OLD, "kill", time_ns=began - 100_000_000)
    feed(one, OLD, "stop", time_ns=one._wall() + 100_000_000)
    assert one.interfered is seen


def test_a_start_after_the_agents_own_is_the_persons() -> None:
    one = guard()
    with one.acting(NEW, "start"):
        feed(one, NEW, "start", time_ns=one._wall())
    later = one._wall() + 1_000_000_000
    feed(one, NEW, "kill", "die", "stop", "start", time_ns=later)
    assert touch(one, NEW) is Touch.RESTARTED


async def test_a_container_that_both_were_stopping_is_not_waited_for_once_it_has_ended() -> None:
    one = feed(guard(), OLD, "kill")
    one.ours(OLD, *STOPPING)
    feed(one, OLD, "die", "stop")
    await one.quiet(quiet_s=0, limit_s=5)
    assert touch(one, OLD) is Touch.STOPPED


def test_the_agents_own_stop_is_nobodys_doing() -> None:
    one = guard()
    one.ours(OLD, *STOPPING)
    feed(one, OLD, *STOPPING)
    assert (one.interfered, touch(one, OLD)) == (False, Touch.NONE)


def test_removing_what_the_agent_stopped_is_clearing_away() -> None:
    one = guard()
    one.ours(OLD, *STOPPING)
    feed(one, OLD, *STOPPING, "destroy")
    assert (one.interfered, touch(one, OLD, present=False)) == (True, Touch.CLEARED)


def test_a_container_that_ends_by_itself_is_nobodys_doing() -> None:
    assert not feed(guard(), NEW, "die").interfered


def test_a_signal_that_ends_nothing_is_nobodys_doing() -> None:
    assert not feed(guard(), OLD, "kill", signal="1").interfered


@pytest.mark.parametrize("action", ["exec_create: sh", "exec_start: sh", "health_status: healthy", "attach", "update"])
def test_what_does_not_end_a_container_is_nobodys_doing(action: str) -> None:
    assert not feed(guard(), OLD, action).interfered


def test_another_container_of_the_same_service_is_a_stranger() -> None:
    one = feed(guard(), OTHER, "create")
    assert (one.interfered, one.strangers) == (True, frozenset({OTHER}))


@pytest.mark.parametrize(
    "labels", [{TRANSACTION: "tx.0"}, {SERVICE: "db"}, {PROJECT: "cafe"}, {"com.docker.compose.oneoff": "True"}]
)
def test_any_other_new_container_is_no_stranger(labels: dict[str, str]) -> None:
    one = guard()
    one.feed(Event("container", "create", OTHER, {**LABELS, **labels}, 0))
    assert (one.interfered, one.strangers) == (False, frozenset())


def test_outside_of_compose_nobody_is_a_stranger() -> None:
    one = Guard(("", "web", "1"), OLD, "tx.0")
    assert not feed(one, OTHER, "create").interfered


def test_what_somebody_does_to_a_young_candidates_incumbent_was_not_meant_for_the_candidate() -> None:
    clock = Clock()
    young, old = guard(clock), guard(clock)
    clock.now += 1
    feed(young, OLD, "kill")
    clock.now += 5
    feed(old, OLD, "kill")
    assert (young.unseen, old.unseen) == (True, False)


def test_a_candidate_that_was_not_known_yet_was_not_meant_either() -> None:
    one = Guard(("shop", "web", "1"), OLD, "tx.0", Clock())
    assert feed(one, OLD, "kill").unseen


def test_interference_is_raised_with_what_was_done() -> None:
    one = feed(guard(), OLD, "kill")
    with pytest.raises(Interfered, match="shop-web-1 was sent a signal by somebody else"):
        one.check()


async def test_quiet_waits_for_what_was_told_to_end() -> None:
    one = feed(guard(), OLD, "kill")
    waiting = asyncio.ensure_future(one.quiet(quiet_s=0))
    await asyncio.sleep(0)
    assert not waiting.done()
    feed(one, OLD, "die")
    await waiting


def test_the_engines_own_start_of_what_ended_before_the_watch_is_nobodys_doing() -> None:
    one = guard()
    one.may_come_back(OLD)
    feed(one, OLD, "start")
    assert not one.interfered


def test_a_person_who_restarts_what_may_come_back_is_still_seen() -> None:
    one = guard()
    one.may_come_back(OLD)
    feed(one, OLD, "kill", "die", "stop", "start")
    assert (one.interfered, touch(one, OLD)) == (True, Touch.RESTARTED)
