"""What the journal of a transaction that was cut off adds up to."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent import recovery
from tidegate.agent.hold import Hold
from tidegate.agent.outcome import Ending
from tidegate.agent.replacement import Replacement
from tidegate.agent.restarts import Restart
from tidegate.agent.unfinished import Unfinished, read
from tidegate.domain.transaction import Settlement, Step, Strategy

TXID = "20261123-120000-abcd"
FIRST, SECOND = f"{TXID}.0", f"{TXID}.1"
BACK = f"{FIRST}-back"


def replacement(id_: str, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "id": id_, "cluster": "shop", "service": "web", "number": "1", "name": "shop-web-1", "incumbent": "old",
        "reference": "registry.test/web:latest", "old_image": "sha256:1", "new_image": "sha256:2",
        "old_digest": "sha256:a", "new_digest": "sha256:b", "strategy": Strategy.SWAP, "late": ("front",),
        "early": (), "request": {}, "endpoints": {}, "saved": {}, "saved_endpoints": {},
    }  # fmt: skip
    return Replacement(**{**values, **changes}).record()


BEGIN = {"kind": "begin", "handover": False, "replacements": [replacement(FIRST), replacement(SECOND)]}


def step(id_: str, doing: Step, *done: Step, **more: Any) -> dict[str, Any]:
    place = {"candidate": None, "private": None, "strategy": "swap", "late": ["front"], "early": []}
    return {"kind": "step", "id": id_, "doing": doing, "done": list(done), **place, **more}


def after(*records: Mapping[str, Any]) -> Unfinished:
    return read(TXID, [BEGIN, *records])


def test_a_transaction_that_had_only_begun_has_touched_nothing() -> None:
    it = after()
    assert ([one.id for one in it.replacements], it.walking, it.replaced) == ([FIRST, SECOND], None, [])


def test_the_replacement_under_way_is_as_its_last_step_left_it() -> None:
    it = after(
        step(FIRST, Step.MOVE_TAG),
        step(FIRST, Step.START, Step.MOVE_TAG, Step.CREATE, candidate="new", private="p", strategy="stop-first"),
    )
    walking = it.walking
    assert walking is not None
    assert (walking.candidate, walking.private, walking.strategy) == ("new", "p", Strategy.STOP_FIRST)
    assert (walking.done, it.doing) == ({Step.MOVE_TAG, Step.CREATE}, Step.START)


def test_what_was_replaced_is_not_under_way_any_more() -> None:
    it = after(step(FIRST, Step.ADOPT), {"kind": "replaced", "id": FIRST}, step(SECOND, Step.MOVE_TAG))
    assert [one.id for one in it.replaced] == [FIRST]
    assert it.walking is it.replacements[1]


def test_what_people_do_to_what_was_replaced_counts_from_its_last_step_on() -> None:
    it = after({"kind": "replaced", "id": FIRST, "since_ns": 5, "time_ns": 7}, step(SECOND, Step.MOVE_TAG, time_ns=9))
    assert (it.since_ns, it.last_ns) == ({FIRST: 5}, 9)


def test_a_replacement_that_was_settled_sends_the_others_back() -> None:
    it = after(step(FIRST, Step.PROVE), {"kind": "settled", "id": FIRST, "end": "incumbent", "gave_way": False})
    assert (it.walking, it.reversing, it.gave_way) == (None, True, False)


def test_a_transaction_that_gave_way_is_known_to_have_done_so() -> None:
    it = after(step(FIRST, Step.PROVE), {"kind": "settled", "id": FIRST, "end": "stranger", "gave_way": True})
    assert it.gave_way


def test_an_end_that_was_chosen_is_kept_until_it_is_reached() -> None:
    settling = {"kind": "settling", "id": FIRST, "end": "incumbent-stopped", "gave_way": True}
    it = after(step(FIRST, Step.STOP), settling)
    assert (it.settling, it.gave_way, it.walking) == (Settlement.INCUMBENT_STOPPED, True, it.replacements[0])
    it = after(step(FIRST, Step.STOP), settling, {"kind": "replaced", "id": FIRST})
    assert (it.settling, it.walking) == (None, None)


def test_a_candidate_that_was_being_given_up_for_a_second_opinion_is_known_until_the_next_step() -> None:
    opinion = {"kind": "second-opinion", "id": FIRST, "first": "no database"}
    assert after(step(FIRST, Step.PROVE, candidate="new"), opinion).abandoning
    assert not after(step(FIRST, Step.PROVE), opinion, step(FIRST, Step.CREATE)).abandoning


def test_what_somebody_left_on_the_newer_release_does_not_send_the_others_back() -> None:
    settling = {"kind": "settling", "id": FIRST, "end": "candidate-stopped", "gave_way": True}
    it = after(step(FIRST, Step.REMOVE), settling, {"kind": "theirs", "id": FIRST, "why": "it was stopped"})
    assert (it.theirs, it.walking, it.gave_way, it.reversing) == ({"shop-web-1": "it was stopped"}, None, False, False)


def test_a_person_who_acts_on_the_way_back_does_not_end_it() -> None:
    back = {"kind": "reverse", "replacement": replacement(BACK, reverse=True)}
    settling = {"kind": "settling", "id": BACK, "end": "incumbent", "gave_way": True}
    it = after({"kind": "replaced", "id": FIRST}, back, step(BACK, Step.STOP), settling)
    assert (it.gave_way, it.reversing, it.settling) == (False, True, Settlement.INCUMBENT)


def test_what_a_rollback_by_hand_is_to_hold_outlives_the_kill() -> None:
    hold = Hold.on(["sha256:b", "sha256:c", "sha256:b", "sha256:a"], "sha256:a")
    assert read(TXID, [{**BEGIN, "hold": hold.record()}]).hold == Hold("sha256:a", ("sha256:b", "sha256:c"))
    assert after().hold is None


def test_a_restart_is_no_update() -> None:
    restart = Restart("id", "shop-web-1", "2026-11-25T03:00:00Z", "SIGQUIT", 5)
    begun = {"kind": "restart", **asdict(restart)}
    it = read(TXID, [begun, {"kind": "stopping"}, {"kind": "stopping"}])
    assert (it.restart, it.replacements, it.stops) == (restart, [], 2)


def test_a_verdict_outlives_the_kill() -> None:
    assert after({"kind": "verdict", "reason": "it exited with code 1"}).verdict == "it exited with code 1"
    assert after().verdict is None


def test_a_way_back_is_walked_like_the_way_there() -> None:
    back = {"kind": "reverse", "replacement": replacement(BACK, reverse=True, incumbent="new")}
    it = after({"kind": "replaced", "id": FIRST}, back, step(BACK, Step.STOP, Step.CREATE, candidate="older"))
    assert it.walking is not None
    assert (it.walking.id, it.walking.candidate, it.reversing) == (BACK, "older", True)
    assert [one.id for one in it.replaced] == [FIRST]


def test_what_is_back_is_not_put_back_again() -> None:
    back = {"kind": "reverse", "replacement": replacement(BACK, reverse=True)}
    it = after({"kind": "replaced", "id": FIRST}, back, {"kind": "reversed", "id": BACK})
    assert (it.reversed_ids, it.walking) == ({BACK}, None)


def test_an_end_that_nobody_was_told_of_is_the_end() -> None:
    end = {
        "kind": "end", "ending": "rolled-back", "reason": "sick", "blame": True,
        "ends": {"shop-web-1": "incumbent"}, "needs_serving_network": {},
    }  # fmt: skip
    ended = after(end).ended
    assert ended is not None
    assert (after(end).booked, after(end, {"kind": "booked"}).booked) == (False, True)
    assert (ended.ending, ended.blame, ended.ends) == (Ending.ROLLED_BACK, True, {"shop-web-1": Settlement.INCUMBENT})


@pytest.mark.parametrize(
    ("records", "expected"), [([{"time_ns": 5}, {"time_ns": 7}], 7), ([{"time_ns": 5}, {}], 5), ([], None)]
)
def test_what_was_missed_is_what_came_after_the_last_record(
    records: list[dict[str, int]], expected: int | None
) -> None:
    assert after(*({"kind": "bake", **record} for record in records)).last_ns == expected


def test_a_handover_is_known_as_one() -> None:
    assert read(TXID, [{**BEGIN, "handover": True}]).handover
    assert not after().handover


KEPT_UP = {"HostConfig": {"RestartPolicy": {"Name": "always"}}}


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({"saved": KEPT_UP}, True),
        ({"saved": KEPT_UP, "was_running": False}, False),
        ({"saved": KEPT_UP, "done": {Step.HOLD}}, False),
        ({}, False),
        ({"reverse": True}, True),
    ],
)
def test_the_engine_may_start_what_it_keeps_running_until_the_agent_holds_it(
    changes: dict[str, Any], may: bool
) -> None:
    assert Replacement.from_record(replacement(FIRST, **changes)).engine_may_start_it is may


@pytest.mark.parametrize(("verdict", "end"), [(None, "watched again"), ("it never became healthy", "put back")])
async def test_what_was_found_broken_is_put_back_whatever_a_second_watch_would_say(
    verdict: str | None, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def watched(*_: object) -> str:
        return "watched again"

    async def put_back(*_: object) -> str:
        return "put back"

    monkeypatch.setattr(recovery, "_bake_again", watched)
    monkeypatch.setattr(recovery, "_go_back", put_back)
    said = [{"kind": "verdict", "reason": verdict}] if verdict else []
    it = after({"kind": "replaced", "id": FIRST}, {"kind": "replaced", "id": SECOND}, {"kind": "bake"}, *said)
    assert await recovery.recover(it, SimpleNamespace(journal=None), {}, asyncio.Event()) == end  # type: ignore[arg-type,comparison-overlap]
