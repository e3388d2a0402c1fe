"""Which strategy real containers get, and the reason that `plan` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here, tidegate
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.engines import unique
from tests.support.images import Pushed


@pytest.fixture
def here(engine_url: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a container may lean on: a network with a subnet of its own, a volume, a folder."""
    assert engine_url
    network, volume = unique("net"), unique("vol")
    docker("network", "create", "--subnet", "10.199.7.0/24", network)
    docker("volume", "create", volume)
    yield {"network": network, "volume": volume, "folder": str(tmp_path)}
    docker("network", "rm", network)
    docker("volume", "rm", volume)


async def chosen(state: Path, image: Pushed, *words: str, start: bool = True) -> tuple[str, str]:
    """Strategy and reason for a container made by `docker create WORDS... IMAGE`."""
    name = unique("chosen")
    docker("create", "--name", name, *words, image.reference)
    try:
        if start:
            docker("start", name)
        async with agent_here(state) as agent:
            survey = await agent.parts.surveyor().survey()
            (place,) = [one for one in survey.places if one.name == name]
            choice = await agent.parts.preparer.choose(place, await agent.parts.preparer.around())
            return str(choice.strategy), choice.reason
    finally:
        docker("rm", "-f", "-v", name)


@pytest.fixture
def image(push: Push) -> Pushed:
    pushed = push("1")
    docker("pull", "-q", pushed.reference)
    return pushed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--network", "host"], "network mode host"),
        (["--network", "none"], "network mode none"),
        (["-v", "/keep"], "writes to"),
        (["-v", "{volume}:/keep"], "writes to {volume} at /keep; label tidegate.overlap=true"),
        (["-v", "{folder}:/keep"], "writes to {folder} at /keep"),
        (["--network", "{network}", "--ip", "10.199.7.9"], "static address {network}: 10.199.7.9"),
        (["--device", "/dev/null"], "device"),
        (["-p", "8000", "--add-host", "outer:host-gateway"], "host-gateway"),
        (["-l", "tidegate.strategy=stop-first"], "asked for by label"),
    ],
)
async def test_what_must_not_overlap_is_stopped_first(
    image: Pushed, here: dict[str, str], words: list[str], said: str
) -> None:
    filled = [word.format(**here) for word in words]
    strategy, reason = await chosen(Path(here["folder"], "state"), image, *filled)
    assert strategy == "stop-first"
    assert said.format(**here) in reason


@pytest.mark.parametrize(
    ("words", "strategy"),
    [
        ([], "start-first"),
        (["-p", "8000"], "swap"),
        (["-P"], "swap"),
        (["-v", "{volume}:/keep:ro"], "start-first"),
        (["-v", "{volume}:/keep", "-l", "tidegate.overlap=true", "-p", "8000"], "swap"),
        (["--add-host", "outer:host-gateway"], "start-first"),
        (["--network", "{network}", "-p", "8000"], "swap"),
        (["-p", "8000", "-l", "tidegate.strategy=start-first"], "swap"),
    ],
)
async def test_what_may_overlap_does(image: Pushed, here: dict[str, str], words: list[str], strategy: str) -> None:
    filled = [word.format(**here) for word in words]
    assert (await chosen(Path(here["folder"], "state"), image, *filled))[0] == strategy


async def test_a_gpu_is_not_shared(image: Pushed, tmp_path: Path) -> None:
    strategy, _ = await chosen(tmp_path / "state", image, "--gpus", "all", start=False)
    assert strategy == "stop-first"


async def test_what_shares_a_network_namespace_is_made_anew_with_it(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    image = push("1", healthcheck=True)
    rider = {"image": push("db", tag="db").reference, "command": ["db"], "network_mode": "service:vpn"}
    compose.write({"services": {"vpn": {"image": image.reference, "ports": ["8000"]}, "rider": rider}})
    compose.up("--wait")
    before = compose.container("rider")
    new = push("2", healthcheck=True)
    state = tmp_path / "state"
    name = compose.container("vpn")["Name"].strip("/")
    rows = json.loads(tidegate(state, "agent", "plan", "--json").stdout)
    (row,) = [row for row in rows if row["container"] == name]
    assert (row["strategy"], "shares a namespace with it" in row["strategy_reason"]) == ("stop-first", True)
    async with agent_here(state) as agent:
        await agent.look()
        assert agent.last()["outcome"] == "committed"
    vpn, rider_now = compose.container("vpn"), compose.container("rider")
    assert (vpn["Image"], rider_now["Image"]) == (new.image_id, before["Image"])
    assert rider_now["HostConfig"]["NetworkMode"] in {f"container:{vpn['Id']}", f"container:{name}"}
    assert rider_now["State"]["Running"]
    assert docker("exec", rider_now["Id"], "wget", "-q", "-O", "-", "http://127.0.0.1:8000/").find('"2"') > 0
    # what Compose knows of a rider names the container it rides with, so it makes the rider anew, but that alone
    assert {line.split()[1] for line in compose.changes()} <= {rider_now["Name"].strip("/")}
