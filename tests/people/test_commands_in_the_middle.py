"""A person's command at any point of an update: the person wins, and nothing is left over or fights."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.agent import agent_here, in_thread
from tests.support.docker import listed
from tests.support.people import (
    BAKE,
    COMMANDS,
    KINDS,
    RM_F,
    Held,
    Left,
    Stage,
    holding,
    made_for_updates,
    on_stage,
    points_of,
)
from tests.support.registry import Registry

EVERY = [*COMMANDS, RM_F]
TELLING = ["up --force-recreate", "down", "stop", RM_F]
"""Where the agent hears late; the others are of the same kinds."""
MATRIX = [(kind, point) for kind in KINDS for point in points_of(kind)]


async def play(stage: Stage, command: str, held: Held) -> None:
    """Hold the update, run the command, let go, and see that what is left is what the command meant."""
    update = asyncio.ensure_future(stage.agent.look())
    reached = asyncio.ensure_future(held.reached.wait())
    await asyncio.wait({update, reached}, return_when=asyncio.FIRST_COMPLETED)
    assert reached.done(), f"the update never came to {held.point}: {stage.agent.last()}"
    meant = stage.expected(command)
    await in_thread(stage.run, command)
    held.let_go()
    await update
    assert not stage.agent.parts.state.journal.open_transactions(), f"not at rest: {stage.agent.last()}"
    assert stage.left() is meant, f"{meant.value} was meant, {stage.left().value} is left: {stage.agent.last()}"


async def afterwards(stage: Stage, command: str) -> None:
    """Compose agrees with what is left; the next look updates what runs and lets be what does not."""
    left = stage.left()
    if left is Left.RUNNING:
        assert stage.answers()
        assert stage.compose.changes() == []
    else:
        assert stage.private_networks() == set()
    if command == "down":
        assert listed("network", f"label=com.docker.compose.project={stage.compose.project}") == set()
    await stage.agent.look()
    assert stage.left() is left, f"the next look made {stage.left().value} of {left.value}"
    if left is Left.RUNNING:
        assert stage.version() == "2", stage.agent.last()
    else:
        stage.compose.run(*(("start",) if left is Left.STOPPED else ("up", "-d")))
    assert stage.answers()
    assert stage.compose.changes() == []


async def act(registry: Registry, folder: Path, kind: str, point: str, command: str, *, asleep: bool) -> None:
    """One cluster, one update, one command."""
    async with on_stage(registry, folder, kind) as stage:
        with holding(stage.compose.project, Held(point, asleep=asleep)) as held:
            await play(stage, command, held)
        await afterwards(stage, command)


async def nothing_is_left(folder: Path) -> None:
    """The agent's next look takes away what connections may have needed until now; here one looks for all of them."""
    async with agent_here(folder / "sweeper") as agent:
        await agent.parts.private.collect(lambda _: True, agent.parts.clock())
    assert made_for_updates() == set()


@pytest.mark.parametrize(
    ("kind", "point", "command"),
    [
        ("start-first", "create", "up"),
        ("start-first", "prove", "down"),
        ("start-first", "join", "up --force-recreate"),
        ("start-first", "remove", "stop"),
        ("swap", "prove", RM_F),
        ("swap", "join", "restart"),
        ("swap", "name", "up"),
        ("swap", BAKE, "stop"),
        ("swap-fast", "join", "rm -sf"),
        ("stop-first", "start", "down"),
        ("stop-first", "prove", "up"),
        ("stop-first", "adopt", RM_F),
    ],
)
async def test_a_person_wins(registry: Registry, tmp_path: Path, kind: str, point: str, command: str) -> None:
    await act(registry, tmp_path, kind, point, command, asleep=False)
    await nothing_is_left(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("asleep", [False, True], ids=["awake", "asleep"])
@pytest.mark.parametrize(("kind", "point"), MATRIX)
def test_a_person_wins_at_every_point(
    registry: Registry, tmp_path: Path, kind: str, point: str, *, asleep: bool
) -> None:
    commands = TELLING if asleep else EVERY
    with ThreadPoolExecutor(len(commands)) as people:
        acts = {
            command: people.submit(asyncio.run, act(registry, tmp_path, kind, point, command, asleep=asleep))
            for command in commands
        }
    asyncio.run(nothing_is_left(tmp_path))
    failed = [f"{command}: {error!s:.600}" for command, one in acts.items() if (error := one.exception()) is not None]
    assert not failed, "\n".join(failed)
