"""The network is cut during a pull: what runs is not touched, and the pull comes to its end when the network is back.

Within one pull the engine goes on with a layer where it was cut off. A pull that it has given up begins anew.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.agent import AgentHere, agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import on_engine, one, services
from tests.support.images import Pushed, build
from tests.support.kills import Before, assert_at_rest
from tests.support.line import Line, line_to
from tests.support.registry import Registry

LAYER = 12 * 2**20


@pytest.fixture
async def line(registry: Registry) -> AsyncIterator[Line]:
    """The only way to the registry for the service's image."""
    async with line_to(registry) as carrying:
        yield carrying


@pytest.fixture
async def releases(compose: Compose, registry: Registry, line: Line, repository: str) -> tuple[Pushed, Pushed]:
    """What `web` runs, and a large release of it."""
    through = replace(registry, engine_address=line.address)

    def pushed(version: str, size: int) -> Pushed:
        return build(through, f"{repository}:latest", version=version, files={"/big": os.urandom(size)})

    old = pushed("1", 100)
    compose.write(services(web=one(old, restart="unless-stopped")))
    await asyncio.to_thread(compose.up)
    return old, await asyncio.to_thread(pushed, "2", LAYER)


def without_pauses(here: AgentHere) -> None:
    """Let the agent try a broken pull again at once."""
    here.parts.preparer._pulls._sleep = lambda _: asyncio.sleep(0)  # type: ignore[attr-defined]


async def test_a_layer_that_was_cut_off_once_is_gone_on_with_from_there(
    compose: Compose, line: Line, releases: tuple[Pushed, Pushed], tmp_path: Path
) -> None:
    before = Before.of(compose, "web")
    line.cut_after = LAYER // 2
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert (line.cuts, here.outcomes()) == (1, ["committed"])
    assert_at_rest(compose, tmp_path / "state", before, releases[1])
    assert line.resumed
    assert line.carried < LAYER + LAYER // 4


@pytest.mark.parametrize("amid", ["question", pytest.param("layer", marks=pytest.mark.long)])
@pytest.mark.timeout(400)
async def test_a_network_that_stays_away_leaves_everything_as_it_was_and_the_next_look_goes_on(
    compose: Compose, line: Line, releases: tuple[Pushed, Pushed], tmp_path: Path, amid: str
) -> None:
    old, new = releases
    before, was = Before.of(compose, "web"), compose.container("web")
    line.stays_cut = True
    line.cut_at_engine, line.cut_after = amid == "question", LAYER // 2 if amid == "layer" else None
    async with agent_here(tmp_path / "state") as here:
        without_pauses(here)
        await here.look()
        assert (line.cuts, here.outcomes()) == (1, ["failed"])
        now = compose.container("web")
        assert (now["Id"], now["State"]["StartedAt"]) == (was["Id"], was["State"]["StartedAt"])
        assert not on_engine(new)
        assert docker("image", "inspect", "--format", "{{.Id}}", old.reference) == old.image_id
        assert_at_rest(compose, tmp_path / "state", before, old)
        await line.mend()
        await here.look()
        assert here.outcomes() == ["failed", "committed"]
    assert_at_rest(compose, tmp_path / "state", before, new)
