"""Why nothing is happening to a service, in one sentence."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.domain.rollout import Kind, Progress, State
from tidegate.domain.rollout_policy import Mode
from tidegate.domain.windows import Gate
from tidegate.manager.console.why import Answer, Bringing, Facts, Named, why

NOW = datetime(2026, 12, 1, 10, tzinfo=UTC)
OLD, NEW = "sha256:old", "sha256:new"
NEWEST = Named(NEW, "2.4.1", 7)
CLOSED = Gate(open=False, reason="outside every update window; opens 2026-12-01 22:00 Europe/Berlin")
FROZEN = Gate(open=False, reason='frozen until 2026-12-03 00:00 UTC by "launch": winter')


def said(**known: Any) -> Answer | None:
    """What is said of a service with the newest release at hand and no rollout, where nothing else is known."""
    facts: dict[str, Any] = {"running": OLD, "newest": NEWEST, "now": NOW}
    return why(Facts(**facts | known))


def text(**known: Any) -> str:
    answer = said(**known)
    assert answer is not None
    return answer.text


def moving(state: State = State.RUNNING, **more: Any) -> Bringing:
    return replace(Bringing(4, "2.4.1", state), **more)


def test_nothing_is_to_be_said_of_what_runs_the_newest_release() -> None:
    assert said(running=NEW, mode=Mode.PINNED, held=True, online=False) is None


def test_whose_registry_cannot_be_asked_may_run_an_old_release_without_knowing() -> None:
    assert said(running=NEW, trouble="401") == Answer(
        "It runs the newest release that is known, but its registry could not be asked: 401", "/channels", "behind"
    )


@pytest.mark.parametrize(
    ("known", "sentence", "link"),
    [
        ({"revoked": True}, "Its agent was revoked and does nothing any more: enrol one anew", ""),
        ({"online": False}, "Its agent was not heard yet", ""),
        (
            {"online": False, "last_seen_at": NOW - timedelta(hours=2)},
            "Its agent was not heard since 2026-12-01 08:00 UTC",
            "",
        ),
        (
            {"online": False, "last_seen_at": NOW, "rollout": moving()},
            "Its agent was not heard since 2026-12-01 10:00 UTC; rollout 4 goes on there once it is back",
            "",
        ),
        ({"held": True, "reason": "monitor-only"}, "Its agent leaves it alone: monitor-only", ""),
        ({"held": True}, "Its agent leaves it alone: it is set so where it runs", ""),
        ({"newest": None}, "Nothing newer is known: nothing was seen on its channel yet", "/channels"),
        (
            {"newest": None, "trouble": "401"},
            "Nothing newer is known: its registry could not be asked: 401",
            "/channels",
        ),
        (
            {"quarantined": "it failed"},
            "The newest release, 2.4.1, is in quarantine: it failed",
            "/releases/7",
        ),
        ({"quarantined": ""}, "The newest release, 2.4.1, is in quarantine", "/releases/7"),
        (
            {"mode": Mode.PINNED},
            "Its channel's policy is pinned: 2.4.1 goes out by hand only",
            "/releases/7",
        ),
        (
            {"mode": Mode.MONITOR_ONLY},
            "Its channel's policy is monitor-only: 2.4.1 goes out by hand only",
            "/releases/7",
        ),
        (
            {"choice": "2.4.1 was left by a rollback"},
            "No rollout brings it: 2.4.1 was left by a rollback",
            "/releases/7",
        ),
        ({}, "The channel has something new, and was not looked at since", "/releases/7"),
        ({"running": ""}, "What runs there is not known: its agent has told of no digest", "/releases/7"),
    ],
)
def test_without_a_rollout(known: dict[str, Any], sentence: str, link: str) -> None:
    answer = said(**known)
    assert answer is not None
    assert (answer.text, answer.link) == (sentence, link)


@pytest.mark.parametrize(
    ("its", "gate", "sentence"),
    [
        (
            moving(State.AWAITING_APPROVAL, approvals=1, needed=2),
            CLOSED,
            "Rollout 4 of 2.4.1 waits for approval: 1 of 2 have agreed",
        ),
        (
            moving(State.PAUSED, reason="paused by ann: let us look", progress=Progress.FAILED),
            CLOSED,
            "Rollout 4 of 2.4.1 is paused by ann: let us look",
        ),
        (
            moving(State.PAUSED, reason="shop@host0/web: the probe failed"),
            CLOSED,
            "Rollout 4 of 2.4.1 is paused: shop@host0/web: the probe failed",
        ),
        (
            moving(State.ROLLING_BACK, reason="2 of 3 failed"),
            CLOSED,
            "Rollout 4 of 2.4.1 goes back: 2 of 3 failed",
        ),
        (
            moving(State.SCHEDULED, not_before=NOW + timedelta(hours=1)),
            CLOSED,
            "Rollout 4 of 2.4.1 begins not before 2026-12-01 11:00 UTC",
        ),
        (
            moving(State.SCHEDULED, not_before=NOW - timedelta(hours=1)),
            FROZEN,
            'Rollout 4 of 2.4.1 waits: frozen until 2026-12-03 00:00 UTC by "launch": winter',
        ),
        (moving(State.SCHEDULED), None, "Rollout 4 of 2.4.1 is about to begin"),
        (
            moving(wave=3, waves=3, open_wave=2),
            CLOSED,
            "Rollout 4 of 2.4.1 has it in wave 3 of 3, and wave 2 is open",
        ),
        (
            moving(wave=3, waves=3, open_wave=2, passed_at=NOW),
            CLOSED,
            "Rollout 4 of 2.4.1 has it in wave 3 of 3, and wave 2 soaks",
        ),
        (
            moving(wave=2, waves=3, open_wave=2),
            CLOSED,
            "Rollout 4 of 2.4.1 waits: outside every update window; opens 2026-12-01 22:00 Europe/Berlin",
        ),
        (
            moving(wave=2, waves=3, open_wave=2),
            None,
            "Rollout 4 of 2.4.1 takes it once others of wave 2 are done",
        ),
        (
            moving(wave=None),
            None,
            "Rollout 4 of 2.4.1 is on its way to other targets; this one is not among them",
        ),
        (
            moving(State.AWAITING_APPROVAL, wave=None),
            None,
            "Rollout 4 of 2.4.1 is on its way to other targets; this one is not among them",
        ),
        (
            moving(progress=Progress.OFFERED),
            None,
            "Rollout 4 of 2.4.1 was offered to its agent, which has not begun",
        ),
        (
            moving(progress=Progress.BUSY, said="a show is on"),
            None,
            "Rollout 4 of 2.4.1 is asked to wait: a show is on",
        ),
        (
            moving(progress=Progress.UPDATING, deadline=NOW),
            None,
            "Rollout 4 of 2.4.1 is at it now, until 2026-12-01 10:00 UTC at the latest",
        ),
        (
            moving(kind=Kind.ROLLBACK, progress=Progress.OFFERED),
            None,
            "Rollout 4 back to 2.4.1 was offered to its agent, which has not begun",
        ),
        (
            moving(progress=Progress.FAILED, said="exited with code 3"),
            None,
            "Rollout 4 of 2.4.1 failed here: exited with code 3",
        ),
        (
            moving(State.COMPLETED, progress=Progress.SKIPPED, said="it was busy for 2 h"),
            None,
            "Rollout 4 of 2.4.1 went on without it: it was busy for 2 h",
        ),
        (
            moving(State.ROLLED_BACK, progress=Progress.WENT_BACK, reason="2 of 3 failed"),
            None,
            "Rollout 4 of 2.4.1 was taken back here: 2 of 3 failed",
        ),
        (
            moving(State.COMPLETED, progress=Progress.OFFLINE),
            None,
            "Rollout 4 of 2.4.1 found its agent offline, and comes back to it",
        ),
        (
            moving(State.CANCELLED, reason="aborted by bob"),
            None,
            "Rollout 4 of 2.4.1 was cancelled before it came here: aborted by bob",
        ),
    ],
)
def test_with_a_rollout(its: Bringing, gate: Gate | None, sentence: str) -> None:
    answer = said(rollout=its, choice="2.4.1 is on its way", **({"gate": gate} if gate else {}))
    assert answer is not None
    assert (answer.text, answer.link) == (sentence, "/rollouts/4")


def test_what_another_hand_has_put_there_since_is_told() -> None:
    done = moving(State.COMPLETED, progress=Progress.HEALTHY)
    assert text(rollout=done, drifted=True) == (
        "Rollout 4 of 2.4.1 was done here, and another hand has put something else there since"
    )
    assert text(rollout=done, choice="2.4.1 was left by a rollback").startswith("No rollout brings it")


@pytest.mark.parametrize(
    ("known", "begins"),
    [
        ({"online": False, "held": True}, "Its agent was not heard"),
        ({"revoked": True, "online": False}, "Its agent was revoked"),
        ({"held": True, "quarantined": "x"}, "Its agent leaves it alone"),
        ({"quarantined": "x", "rollout": moving(State.PAUSED)}, "The newest release"),
        ({"mode": Mode.PINNED, "rollout": moving(State.AWAITING_APPROVAL)}, "Rollout 4"),
        ({"mode": Mode.PINNED, "choice": "its policy is pinned"}, "Its channel's policy is pinned"),
        ({"held": True, "rollout": moving(progress=Progress.UPDATING)}, "Rollout 4 of 2.4.1 is at it now"),
    ],
)
def test_what_keeps_more_from_happening_is_told_first(known: dict[str, Any], begins: str) -> None:
    assert text(**known).startswith(begins)


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("progress", list(Progress))
def test_there_is_an_answer_wherever_a_rollout_is(state: State, progress: Progress) -> None:
    for wave in (None, 1, 2):
        assert text(rollout=moving(state, progress=progress, wave=wave))
