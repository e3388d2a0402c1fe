"""What a verb about a rollout may move, so that the command asks before it is wide."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.cli.fleet.model import Rollout, RolloutTarget
from tidegate.cli.fleet.rollout_verbs import VERBS


def rollout(state: str) -> Rollout:
    """In its second wave of three."""
    plain: dict[str, Any] = dict.fromkeys(Rollout.__slots__, "")
    return Rollout(**plain | {"id": 7, "state": state, "wave": 2, "waves": 3})


def moved(verb: str, state: str, wave: int, progress: str) -> bool:
    (it,) = [one for one in VERBS if one.name == verb]
    assert it.moved is not None
    return it.moved(rollout(state), RolloutTarget("shop@host0/web", wave, progress, "", ""))


@pytest.mark.parametrize("progress", ["waiting", "offered", "busy", "inconclusive", "offline"])
def test_to_resume_offers_the_release_to_everybody_who_is_not_done_with_it(progress: str) -> None:
    assert moved("resume", "paused", 2, progress)


@pytest.mark.parametrize("verb", ["resume", "advance"])
@pytest.mark.parametrize("progress", ["healthy", "failed", "skipped", "left_alone", "updating"])
def test_who_is_done_is_not_moved_by_going_on(verb: str, progress: str) -> None:
    assert not moved(verb, "paused", 2, progress)


@pytest.mark.parametrize(
    ("state", "wave", "progress", "is_moved"),
    [
        ("running", 3, "waiting", True),
        ("running", 2, "waiting", True),
        ("running", 2, "inconclusive", True),
        ("running", 1, "offline", True),
        ("running", 2, "offered", False),  # it is on its way already
        ("paused", 2, "offered", True),
        ("running", 4, "waiting", False),
    ],
)
def test_to_advance_takes_along_who_is_not_done_with_the_open_wave(
    state: str, wave: int, progress: str, *, is_moved: bool
) -> None:
    assert moved("advance", state, wave, progress) is is_moved


@pytest.mark.parametrize(("state", "is_moved"), [("paused", True), ("running", False)])
def test_to_try_again_in_a_pause_goes_on_with_the_others_too(state: str, *, is_moved: bool) -> None:
    assert moved("retry", state, 2, "waiting") is is_moved


def test_nobody_who_was_taken_back_by_hand_is_moved() -> None:
    assert not moved("retry", "paused", 2, "left_alone")
