"""Windows, freezes and cool-downs hold a release back until their time has come."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support.agent import AgentHere, agent_here
from tests.support.compose import Compose
from tests.support.features import at_work, image_of, one, services, until

NIGHT = datetime(2026, 3, 2, 2, 30, tzinfo=UTC)


def at(here: AgentHere, moment: datetime) -> None:
    here.parts.clock = lambda: moment


@dataclass(frozen=True)
class Held:
    """Labels that hold an update back at `closed`, what is said of it, and when they let go."""

    labels: dict[str, str]
    closed: datetime
    says: str
    opened: datetime


@pytest.mark.parametrize(
    "case",
    [
        Held({"tidegate.window": "0 2 * * * 1h UTC"}, NIGHT - timedelta(hours=1), "outside every update window", NIGHT),
        Held({"tidegate.freeze": "2026-03-01/2026-03-03 stocktaking"}, NIGHT, "stocktaking", NIGHT + timedelta(days=3)),
        Held({"tidegate.cooldown": "1h"}, NIGHT, "cools down", NIGHT + timedelta(hours=1)),
    ],
    ids=["window", "freeze", "cooldown"],
)
async def test_a_release_is_held_back_until_its_time_has_come(
    compose: Compose, push: Push, tmp_path: Path, case: Held
) -> None:
    old = push("1")
    compose.write(services(web=one(old, labels=case.labels)))
    compose.up()
    new = push("2")
    async with agent_here(tmp_path / "state") as here:
        at(here, case.closed)
        looked = await here.look()
        (held,) = (each for each in looked.decisions if each.place.cluster == compose.project)
        assert (held.action, case.says in held.reason, image_of(compose, "web")) == ("skip", True, old.image_id)
        waiting = looked.waiting(case.closed)[held.place.name]
        assert case.closed < waiting <= case.opened
        at(here, case.opened)
        await here.look()
    assert image_of(compose, "web") == new.image_id


async def test_a_running_agent_looks_again_when_a_window_opens_or_a_cool_down_is_over_and_not_before(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    names = ("windowed", "cooling")
    labels = ({"tidegate.window": "30 2 * * * 1h UTC"}, {"tidegate.cooldown": "2s"})
    each = {name: one(push("1", name), labels=its) for name, its in zip(names, labels, strict=True)}
    compose.write(services(**each))
    compose.up()
    cooling = [push("2", name) for name in names][1]
    async with agent_here(tmp_path / "state", TIDEGATE_SETTLE="0s", TIDEGATE_BAKE="0s") as here:
        ahead = NIGHT - timedelta(seconds=2) - datetime.now(UTC)
        here.parts.clock = lambda: datetime.now(UTC) + ahead
        async with at_work(here, busy_retry_s=3600):
            await until(lambda: here.outcomes() == ["committed"] * 2, "both are rolled in when their time has come")
        known = here.parts.state.seen.known(cooling.reference, cooling.digest)
        done = {str(record["service"]): record for record in here.parts.state.history.tail(2)}
    assert known is not None
    for name, ready in zip(names, (NIGHT, known + timedelta(seconds=2)), strict=True):
        began = datetime.fromisoformat(done[name]["time"]) - timedelta(seconds=done[name]["duration_s"])
        assert began + ahead >= ready, name


async def test_an_update_that_began_within_its_window_is_finished_after_it_has_closed(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(services(web=one(push("1"), labels={"tidegate.window": "30 2 * * * 1h UTC"})))
    compose.up()
    new = push("2")
    async with agent_here(tmp_path / "state") as here:
        begun = here.parts.state.journal.peek
        here.parts.clock = lambda: NIGHT + timedelta(hours=2 if begun() or here.outcomes() else 0)
        looked = await here.look()
        assert (looked.tally.updated, here.outcomes()) == (1, ["committed"])
        push("3")
        assert (await here.decided(compose.project))["web"].action == "skip"  # it has closed
    assert image_of(compose, "web") == new.image_id


async def test_an_update_does_not_begin_once_its_window_has_closed_though_it_was_due_at_the_beginning_of_the_look(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    names, window = ("first", "second"), {"tidegate.window": "30 2 * * * 1h UTC"}
    compose.write(services(**{name: one(push("1", name), labels=window) for name in names}))
    compose.up()
    new = [push("2", name) for name in names]
    async with agent_here(tmp_path / "state", TIDEGATE_SETTLE="0s", TIDEGATE_BAKE="0s") as here:
        here.parts.clock = lambda: NIGHT + timedelta(hours=2 if here.outcomes() else 0)
        looked = await here.look()
        moved = [image_of(compose, name) == image.image_id for name, image in zip(names, new, strict=True)]
        assert (sorted(moved), here.outcomes()) == ([False, True], ["committed"])
        assert list(looked.waiting(NIGHT).values()) == [NIGHT + timedelta(days=1)]


async def test_a_window_that_cannot_be_read_skips_its_container_with_a_sentence_and_no_other(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1")
    compose.write(services(bad=one(old, labels={"tidegate.window": "at night"}), good=one(old)))
    compose.up()
    new = push("2")
    async with agent_here(tmp_path / "state") as here:
        looked = await here.look()
        (bad,) = (each for each in looked.decisions if each.place.service == "bad")
    assert "'at night'" in bad.reason
    assert "CRON DURATION" in bad.reason
    assert (image_of(compose, "bad"), image_of(compose, "good")) == (old.image_id, new.image_id)
