"""Private networks, and how an agent in a container of its own gets at what it is to probe there."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.conftest import Push
from tests.support import strangers
from tests.support.docker import docker, inspect
from tests.support.engines import unique

from tidegate.agent.output import Output
from tidegate.agent.private import PrivateNetworks, networked
from tidegate.agent.prove import HealthProver
from tidegate.domain.policy import ProbeExec, ProbeHttp, ProbeTcp
from tidegate.engine.docker import DockerEngine
from tidegate.engine.errors import EngineError

pytestmark = pytest.mark.usefixtures("engine_url")

POOL = ipaddress.IPv4Network("10.214.250.0/24")


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[DockerEngine]:
    opened = await DockerEngine.open(engine_url)
    yield opened
    await opened.close()


@pytest.fixture
async def own(push: Push) -> AsyncIterator[str]:
    """A container that stands for the agent's own; its id."""
    name = unique("agent")
    docker("run", "-d", "--name", name, push("agent").reference)
    yield str(inspect(name)["Id"])
    docker("rm", "-f", "-v", name)


def an_owner() -> str:
    """The id of a replacement that nobody else has."""
    return f"owner-{secrets.token_hex(4)}"


async def collect(private: PrivateNetworks) -> None:
    await private.collect(lambda _: True, datetime.now(UTC))


def members(network: str) -> set[str]:
    found = docker("network", "inspect", "-f", "{{range $id, $_ := .Containers}}{{$id}} {{end}}", network)
    return set(found.split())


async def test_the_agent_joins_for_a_probe_and_leaves_when_the_proof_is_over(engine: DockerEngine, own: str) -> None:
    private = PrivateNetworks(engine, [POOL], own)
    network = await private.make(an_owner())
    candidate = docker("run", "-d", "--network", network, inspect(own)["Image"])
    try:
        assert await private.shared_with(await engine.container(candidate)) is None
        await private.enter(network)
        await private.enter(network)
        assert members(network) == {own, candidate}
        assert await private.shared_with(await engine.container(candidate)) == network
    finally:
        docker("rm", "-f", "-v", candidate)
        await private.release(network)
    assert network not in docker("network", "ls", "--format", "{{.Name}}").split()
    assert set(inspect(own)["NetworkSettings"]["Networks"]) == {"bridge"}


@pytest.mark.parametrize(
    ("probe", "needed"),
    [(ProbeHttp(80, "/", 1, 1), True), (ProbeTcp(80, 1, 1), True), (ProbeExec("true", 1, 1), False), (None, False)],
)
async def test_a_network_is_shared_with_the_agent_only_for_probes_from_outside(
    engine: DockerEngine, own: str, probe: ProbeHttp | ProbeTcp | ProbeExec | None, needed: bool
) -> None:
    assert PrivateNetworks(engine, [POOL], own).needed_by(probe) is needed
    assert not PrivateNetworks(engine, [POOL], None).needed_by(probe)


async def test_an_agent_on_the_hosts_network_reaches_what_the_host_reaches(engine: DockerEngine, push: Push) -> None:
    name = unique("agent")
    docker("run", "-d", "--name", name, "--network", "host", "-e", "PORT=18033", push("agent").reference)
    try:
        assert await networked(engine, name) is None
        private = PrivateNetworks(engine, [POOL], await networked(engine, name))
        prover = HealthProver(engine, private, Output(engine, 0))
        assert await prover._address(await engine.container(name), None) == "127.0.0.1"
    finally:
        docker("rm", "-f", "-v", name)


async def test_what_lives_in_another_containers_network_is_probed_at_that_ones_address(
    engine: DockerEngine, own: str, push: Push
) -> None:
    name = unique("rider")
    docker("create", "--name", name, "--network", f"container:{own}", push("rider").reference)
    try:
        prover = HealthProver(engine, PrivateNetworks(engine, [POOL], None), Output(engine, 0))
        address = inspect(own)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        assert await prover._address(await engine.container(name), None) == address
    finally:
        docker("rm", "-f", "-v", name)


async def test_making_a_network_again_finds_it_and_two_never_overlap(engine: DockerEngine) -> None:
    private = PrivateNetworks(engine, [POOL], None)
    first, second = an_owner(), an_owner()
    try:
        assert await private.make(first, way_out=True) == await private.make(first, way_out=True)
        await private.make(second)
        made = [network for network in await engine.networks() if first in network.name or second in network.name]
        subnets = [ipaddress.ip_network(subnet) for network in made for subnet in network.subnets]
        assert len(subnets) == 3  # two for the first, one for the second
        assert not any(a.overlaps(b) for a in subnets for b in subnets if a is not b)
        assert sorted(network.internal for network in made) == [False, True, True]
    finally:
        await collect(private)
    assert strangers.private_networks() == set()


async def test_a_pool_without_room_is_told_with_the_setting_that_helps(engine: DockerEngine) -> None:
    private = PrivateNetworks(engine, [ipaddress.IPv4Network("10.214.251.0/27")], None)
    try:
        await private.make(an_owner())
        with pytest.raises(EngineError, match="TIDEGATE_PRIVATE_SUBNETS"):
            await private.make(an_owner())
    finally:
        await collect(private)


async def test_a_network_that_another_agent_has_just_made_is_not_collected(engine: DockerEngine) -> None:
    private = PrivateNetworks(engine, [POOL], None)
    await private.make(an_owner())
    await private.collect(lambda _: False, datetime.now(UTC))
    assert len(strangers.private_networks()) == 1
    await private.collect(lambda _: False, datetime.now(UTC) + timedelta(hours=1))
    assert strangers.private_networks() == set()
