"""A rollback by hand, with the agent running and without; what it leaves behind is held."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

from tests.conftest import Push
from tests.support.agent import agent_here, in_thread, tidegate
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import at_work, forget, image_of, on_engine, one, running, services
from tests.support.people import Held, holding, ready_to_hold


async def updated(compose: Compose, push: Push, state: Path, **labels: str) -> tuple[str, str, str, str]:
    """A service that this agent has moved from one release to the next: both image ids and digests."""
    old = push("1")
    compose.write(services(web=one(old, labels={f"tidegate.{key}": value for key, value in labels.items()})))
    compose.up()
    new = push("2")
    async with agent_here(state) as here:
        await here.look()
    assert image_of(compose, "web") == new.image_id
    return old.image_id, new.image_id, old.digest, new.digest


def closed_now() -> str:
    """An update window that opens in about half a day."""
    return f"0 {(datetime.now(UTC).hour + 12) % 24} * * * 1h UTC"


async def test_the_release_before_is_put_back_whatever_the_window_and_the_hook_say_and_the_newer_one_held(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    state, target = tmp_path / "state", f"{compose.project}/web"
    busy = {"hook.pre-update": '[ "$$VERSION" = 1 ] || exit 75'}
    old, new, old_digest, new_digest = await updated(compose, push, state, **busy)
    done = await in_thread(lambda: tidegate(state, "agent", "rollback", target, TIDEGATE_WINDOW=closed_now()))
    assert target in done.stdout
    assert (image_of(compose, "web"), compose.changes()) == (old, [])
    listed = json.loads((await in_thread(tidegate, state, "agent", "quarantine", "list", "--json")).stdout)
    assert [entry["digest"] for entry in listed] == [new_digest]
    async with agent_here(state) as here:
        await here.look()
    assert image_of(compose, "web") == old
    again = await in_thread(tidegate, state, "agent", "rollback", target, "--to", old_digest)
    assert "already" in again.stdout
    assert image_of(compose, "web") == old
    await in_thread(tidegate, state, "agent", "quarantine", "release", new_digest[7:19])
    async with agent_here(state) as here:
        await here.look()
    assert image_of(compose, "web") == new


async def test_a_running_agent_does_it_when_asked(compose: Compose, push: Push, tmp_path: Path) -> None:
    state = tmp_path / "state"
    old, new, _, new_digest = await updated(compose, push, state)
    async with agent_here(state) as here, at_work(here):
        done = await in_thread(tidegate, state, "agent", "rollback", f"{compose.project}/web")
        assert "again" in done.stdout
        assert here.last()["outcome"] == "committed"
        assert image_of(compose, "web") == old
        second = await in_thread(lambda: tidegate(state, "agent", "rollback", f"{compose.project}/web", check=False))
        assert second.returncode != 0  # what ran before that is in quarantine
        assert "--to" in second.stderr
        wished = await in_thread(
            lambda: tidegate(state, "agent", "rollback", f"{compose.project}/web", "--to", new_digest[7:20])
        )
        assert "again" in wished.stdout
    assert image_of(compose, "web") == new


async def test_what_depends_on_what_was_put_back_starts_again(compose: Compose, push: Push, tmp_path: Path) -> None:
    on_db = {"db": {"condition": "service_started", "restart": True}}
    compose.write(services(db=one(push("1", "db")), web=one(push("1", "web"), depends_on=on_db)))
    compose.up()
    push("2", "db")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        before = compose.container("web")
        outcome = await here.agent.roll_back({"cluster": compose.project, "service": "db"})
        assert outcome.ok, outcome.message
        assert here.parts.state.journal.open_transactions() == []
    after = compose.container("web")
    assert (after["Id"], after["State"]["Running"]) == (before["Id"], True)
    assert after["State"]["StartedAt"] != before["State"]["StartedAt"]


async def test_an_image_that_was_pruned_is_pulled_again_by_its_digest(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    old = push("1", labels={"test": compose.project})  # images of equal content would be one on the engine
    compose.write(services(web=one(old)))
    compose.up()
    push("2")
    async with agent_here(state) as here:
        await here.look()
        assert here.outcomes() == ["committed"]
    forget(old)
    assert not on_engine(old)
    await in_thread(tidegate, state, "agent", "rollback", f"{compose.project}/web", "--to", old.digest)
    assert image_of(compose, "web") == old.image_id


async def test_a_target_or_digest_that_is_not_known_is_told_with_what_is(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    _, new, old_digest, _ = await updated(compose, push, state)
    typo = await in_thread(lambda: tidegate(state, "agent", "rollback", f"{compose.project}/wbe", check=False))
    assert (typo.returncode, f"did you mean {compose.project}/web?" in typo.stderr) == (1, True)
    unknown = await in_thread(
        lambda: tidegate(state, "agent", "rollback", f"{compose.project}/web", "--to", "abcdef12", check=False)
    )
    assert (unknown.returncode, old_digest[:19] in unknown.stderr) == (1, True)
    assert image_of(compose, "web") == new


async def test_an_agent_that_ends_amid_a_rollback_by_hand_brings_it_to_rest(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    _, new, _, _ = await updated(compose, push, state)
    held = Held("join", asleep=False)
    async with agent_here(state) as here:
        with ready_to_hold(), holding(compose.project, held):
            async with at_work(here):
                words = ("agent", "rollback", f"{compose.project}/web")
                asked = asyncio.ensure_future(in_thread(lambda: tidegate(state, *words, check=False)))
                await asyncio.wait_for(held.reached.wait(), 120)
        assert (await asked).returncode == 1
        assert here.parts.state.journal.open_transactions() == []
    assert (image_of(compose, "web"), running(compose, "web"), compose.changes()) == (new, True, [])
    assert docker("ps", "-aq", "--filter", "name=tidegate-next") == ""
