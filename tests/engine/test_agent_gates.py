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


async def test_a_running_agent_looks_again_when_the_window_opens_and_not_before(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(services(web=one(push("1"), labels={"tidegate.cooldown": "3s"})))
    compose.up()
    new = push("2")
    async with agent_here(tmp_path / "state") as here, at_work(here, busy_retry_s=3600):
        await until(lambda: here.outcomes() == ["committed"], "rolled in after its cool-down")
        noted = here.parts.state.seen.known(new.reference, new.digest)
    assert noted is not None
    committed = here.parts.state.history.tail(1)[0]
    began = datetime.fromisoformat(committed["time"]) - timedelta(seconds=committed["duration_s"])
    assert began - noted >= timedelta(seconds=3)


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
