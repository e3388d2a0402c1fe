"""Which of a group's containers may move, told from what is known of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.agent.decide import Decision, wait_for_groups, wait_for_the_tag
from tidegate.agent.guard import PROJECT, SERVICE
from tidegate.agent.plan_row import Action
from tidegate.agent.survey import Place
from tidegate.domain.policy import PolicyDefaults, resolve_policy
from tidegate.domain.selection import Selection

LATER = datetime(2026, 11, 25, 3, tzinfo=UTC)


def decision(
    service: str, group: str | None, action: Action = Action.UPDATE, *, usable: bool = True, **more: Any
) -> Decision:
    labels = {PROJECT: "shop", SERVICE: service, **({"tidegate.group": group} if group else {})}
    policy = resolve_policy(labels, PolicyDefaults()) if usable else None
    selection = Selection(service, usable, "selected", policy)
    place = Place(service, f"shop-{service}-1", "image", "sha256:1", "running", labels, selection)
    return Decision(place, action, f"the reason of {service}", **more)


@pytest.mark.parametrize(
    "other",
    [
        decision("db", "stack", Action.SKIP, quarantined=True),
        decision("db", "stack", Action.SKIP, held=True, until=LATER),
        decision("db", "stack", Action.SKIP, trouble=True, unreached=True),
        decision("db", "stack", Action.NONE, trouble=True, usable=False),
        decision("db", "stack", Action.MONITOR),
    ],
    ids=["quarantined", "held", "unreached", "bad labels", "monitored only"],
)
def test_a_group_waits_for_the_one_that_does_not_move(other: Decision) -> None:
    waiting = wait_for_groups([decision("web", "stack"), other])[0]
    assert waiting.action is Action.SKIP
    assert waiting.reason == "it waits for shop/db of its group: the reason of db"
    assert waiting.until == other.until


@pytest.mark.parametrize(
    "other",
    [
        decision("db", "stack", Action.NONE),
        decision("db", "another", Action.SKIP, trouble=True),
        decision("db", None, Action.MONITOR),
    ],
    ids=["nothing new", "another group", "no group"],
)
def test_a_group_moves_where_nothing_of_it_is_kept_back(other: Decision) -> None:
    assert wait_for_groups([decision("web", "stack"), other])[0].action is Action.UPDATE


def test_what_needs_a_person_is_told_before_what_only_waits() -> None:
    held = decision("db", "stack", Action.SKIP, held=True, until=LATER)
    lost = decision("cache", "stack", Action.SKIP, trouble=True)
    assert "shop/cache" in wait_for_groups([decision("web", "stack"), held, lost])[0].reason


def test_what_a_cluster_has_on_one_tag_does_not_move_to_a_release_that_failed_on_another() -> None:
    waiting = wait_for_the_tag([decision("web", None), decision("db", None, Action.SKIP, quarantined=True)])[0]
    assert (waiting.action, waiting.quarantined) == (Action.SKIP, True)
    assert waiting.reason == "it waits for shop/db, which runs the same image: the reason of db"


@pytest.mark.parametrize("more", [{"held": True, "until": LATER}, {"trouble": True}, {"action": Action.MONITOR}])
def test_what_is_put_off_for_another_reason_keeps_nobody_on_its_tag_waiting(more: dict[str, Any]) -> None:
    other = decision("db", None, **{"action": Action.SKIP, **more})
    assert wait_for_the_tag([decision("web", None), other])[0].action is Action.UPDATE


def test_another_cluster_or_tag_is_not_waited_for() -> None:
    failed = decision("db", None, Action.SKIP, quarantined=True)
    elsewhere = replace(failed.place, labels={PROJECT: "blog", SERVICE: "db"})
    others = [replace(failed, place=elsewhere), replace(failed, place=replace(failed.place, image="image:other"))]
    assert wait_for_the_tag([decision("web", None), *others])[0].action is Action.UPDATE
