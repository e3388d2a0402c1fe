"""What else happens in the middle of an update: a pull, another scale, one container restarted, the agent stopped."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.agent import in_thread
from tests.support.docker import docker
from tests.support.people import Held, Left, Stage, holding, made_for_updates, on_stage
from tests.support.registry import Registry

from tidegate.agent.cycle import Looked

POINTS = [
    ("start-first", "prove"),
    pytest.param("start-first", "remove", marks=pytest.mark.long),
    pytest.param("swap", "join", marks=pytest.mark.long),
    ("stop-first", "prove"),
]


@contextlib.asynccontextmanager
async def reached(stage: Stage, held: Held) -> AsyncIterator[asyncio.Future[Looked]]:
    """The update, held at its point."""
    with holding(stage.compose.project, held):
        update = asyncio.ensure_future(stage.agent.look())
        await asyncio.wait_for(held.reached.wait(), 120)
        yield update


async def meanwhile(stage: Stage, point: str, act: Callable[[], object]) -> None:
    """Do something while the update is held, then let it come to rest."""
    held = Held(point, asleep=False)
    async with reached(stage, held) as update:
        await in_thread(act)
        held.let_go()
        await update


@pytest.mark.parametrize(("kind", "point"), POINTS)
async def test_pull_and_up_leaves_the_new_release(registry: Registry, tmp_path: Path, kind: str, point: str) -> None:
    async with on_stage(registry, tmp_path, kind) as stage:

        def pull_and_up() -> None:
            stage.compose.run("pull", check=False)
            stage.compose.up(check=False)

        await meanwhile(stage, point, pull_and_up)
        assert (stage.left(), stage.answers()) == (Left.RUNNING, True)
        stage.compose.up()
        assert stage.version() == "2"
        assert stage.compose.changes() == []


@pytest.mark.parametrize(("kind", "point"), POINTS)
async def test_restarting_the_container_by_name_leaves_one_running(
    registry: Registry, tmp_path: Path, kind: str, point: str
) -> None:
    async with on_stage(registry, tmp_path, kind) as stage:
        await meanwhile(stage, point, lambda: docker("restart", "-t", "1", stage.name, check=False))
        assert (stage.left(), stage.answers()) == (Left.RUNNING, True)
        assert stage.compose.changes() == []


@pytest.mark.parametrize(("kind", "point"), POINTS)
async def test_another_scale_holds_when_it_is_asked_for_again(
    registry: Registry, tmp_path: Path, kind: str, point: str
) -> None:
    async with on_stage(registry, tmp_path, kind) as stage:
        await meanwhile(stage, point, lambda: stage.compose.up("--scale", "web=3", check=False))
        assert not [
            one["Name"] for one in stage.compose.containers("web") if "tidegate" in one["Name"].split("-web")[1]
        ]
        stage.compose.up("--scale", "web=3")  # Compose may have taken the candidate for one of the three
        again = stage.compose.up("--scale", "web=3").stderr.splitlines()
        assert [line for line in again if line.strip() and not line.strip().endswith("Running")] == []
        assert [one["State"]["Running"] for one in stage.compose.containers("web")] == [True] * 3


@pytest.mark.parametrize(("kind", "point"), POINTS)
async def test_an_agent_that_is_told_to_stop_leaves_one_container_serving(
    registry: Registry, tmp_path: Path, kind: str, point: str
) -> None:
    async with on_stage(registry, tmp_path, kind) as stage:
        async with reached(stage, Held(point, asleep=False)) as update:
            update.cancel()
            with pytest.raises(asyncio.CancelledError):
                await update
        assert (stage.left(), stage.answers()) == (Left.RUNNING, True)
        assert stage.compose.changes() == []
        await stage.agent.agent.recover()
        assert stage.agent.parts.state.journal.open_transactions() == []
        assert (stage.left(), stage.answers()) == (Left.RUNNING, True)
        assert stage.compose.changes() == []
        stage.compose.down()
        await stage.agent.agent.recover()
        assert made_for_updates() == set()


async def test_compose_that_is_interrupted_before_it_starts_what_it_made_leaves_the_service_up(
    registry: Registry, tmp_path: Path
) -> None:
    async with on_stage(registry, tmp_path, "stop-first") as stage:

        def made_and_not_started() -> None:
            labels = stage.compose.containers("web")[0]["Config"]["Labels"]
            own = {key: value for key, value in labels.items() if key.startswith("com.docker.compose.")}
            image = stage.compose.containers("web")[0]["Config"]["Image"]
            words = [word for key, value in own.items() for word in ("--label", f"{key}={value}")]
            docker("create", "--name", f"0123456789ab_{stage.name}", *words, image)

        await meanwhile(stage, "start", made_and_not_started)
        running = [one["Name"].lstrip("/") for one in stage.compose.containers("web") if one["State"]["Running"]]
        assert (running, stage.answers()) == ([stage.name], True)
