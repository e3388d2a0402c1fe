"""The host knows at once where a new container is; its own kernel would ask again only after a second."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from tests.support.absent import need_root
from tests.support.docker import docker, inspect
from tests.support.engines import FOREVER, unique
from tests.support.images import ARCHITECTURE, base_layer, build, layer_of, push
from tests.support.registry import Registry

from tidegate.agent import announce_netlink
from tidegate.agent.announce import (
    HELPER,
    Announcer,
    HelperAnnouncer,
    HostAnnouncer,
    MemberAnnouncer,
    Silence,
    choose_announcer,
)
from tidegate.agent.announce_arp import Interface, interface_in
from tidegate.agent.announce_container import Announcements
from tidegate.agent.announce_netlink import RESOLVED
from tidegate.engine.docker import DockerEngine
from tidegate.engine.model import Container, Network
from tidegate.engine.port import Engine

NEVER_MS = "60000"
PATIENCE_S = 30.0
MEMBER = (
    "import sys; from tidegate.agent import announce_arp as a; i = a.interface_in([sys.argv[1]]); "
    "a.send(i.name, [a.gratuitous(i.mac, sys.argv[2], sys.argv[3])])"
)


@pytest.fixture(scope="module")
def image(registry: Registry) -> Iterator[str]:
    pushed = build(registry, f"{unique('announce')}:one", Entrypoint=["/bin/sh", "-c"], Cmd=[FOREVER])
    docker("pull", "-q", pushed.reference)
    yield pushed.reference
    docker("rmi", "-f", pushed.reference)


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[Engine]:
    need_root("the kernel's tables are changed")
    opened = await DockerEngine.open(engine_url)
    yield opened
    await opened.close()


@pytest.fixture
async def network(engine: Engine) -> AsyncIterator[Network]:
    """A network on whose bridge the kernel asks once for an address, and not again for a minute."""
    name = unique("announce")
    await engine.create_network(name, internal=False, labels={}, subnet="198.18.7.0/24")
    found = await engine.network(name)
    bridge = bridge_of(found)
    Path(f"/proc/sys/net/ipv4/neigh/{bridge.name}/retrans_time_ms").write_text(NEVER_MS, encoding="ascii")
    yield found
    await engine.remove_network(name)


@pytest.fixture
async def run(engine: Engine, image: str, network: Network) -> AsyncIterator[Callable[..., str]]:
    """`run(address=None)`: a container that runs on the network; its id."""
    made: list[str] = []

    def run_one(address: str | None = None) -> str:
        place = ["--ip", address] if address else []
        made.append(docker("run", "-d", "--network", network.name, *place, image))
        return made[-1]

    yield run_one
    for container in made:
        await engine.remove(container, force=True)


def bridge_of(network: Network) -> Interface:
    bridge = interface_in(network.subnets)
    assert bridge is not None
    return bridge


def resolved(bridge: Interface, ip: str) -> bool:
    return any(e.ip == ip and e.state & RESOLVED for e in announce_netlink.neighbours(bridge.index))


async def eventually(true: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.01)
    assert true(), what


async def waited_for(network: Network, run: Callable[..., str], engine: Engine) -> Container:
    """A container that came up after somebody on the host had begun to wait for its address."""
    address = network.subnets[0].replace(".0/24", ".77")
    run()  # keeps the bridge up
    announce_netlink.probe(bridge_of(network).index, address)
    container = await engine.container(run(address))
    assert not resolved(bridge_of(network), address), "the kernel was not to find it by itself"
    return container


def where(container: Container, network: Network) -> tuple[str, str]:
    endpoint = container.endpoints[network.name]
    return endpoint.ip_address, endpoint.mac_address


async def test_an_agent_on_the_host_announces_a_container_that_is_waited_for(
    engine: Engine, network: Network, run: Callable[..., str]
) -> None:
    ip, mac = where(await waited_for(network, run, engine), network)
    announcer = choose_announcer(engine, network, None)
    assert isinstance(announcer, HostAnnouncer)
    await announcer.announce(ip, mac)
    assert resolved(bridge_of(network), ip)


async def test_a_container_is_announced_on_all_its_networks(
    engine: Engine, network: Network, run: Callable[..., str]
) -> None:
    container = await waited_for(network, run, engine)
    await Announcements(engine, None)(container)
    assert resolved(bridge_of(network), where(container, network)[0])


async def test_watching_the_cut_finds_a_container_without_being_told_of_it(
    engine: Engine, network: Network, run: Callable[..., str]
) -> None:
    ip, _ = where(await waited_for(network, run, engine), network)
    announcer: Announcer = HostAnnouncer(bridge_of(network))
    await announcer.prepare([])
    await eventually(lambda: resolved(bridge_of(network), ip), "the container is known")
    await announcer.close()


async def test_an_address_that_was_left_is_forgotten_so_that_requests_to_it_are_kept(
    engine: Engine, network: Network, run: Callable[..., str]
) -> None:
    run()  # keeps the bridge up, else the kernel forgets by itself
    incumbent = await engine.container(run())
    ip, mac = where(incumbent, network)
    announce_netlink.resolve(bridge_of(network).index, ip, mac)
    async with Announcements(engine, None).during_cut(incumbent):
        await engine.stop(incumbent.id, signal=None, timeout_s=1)
        await eventually(lambda: not resolved(bridge_of(network), ip), "the entry is gone")
        await engine.start(incumbent.id)
        await eventually(lambda: resolved(bridge_of(network), ip), "the entry is back")


async def test_a_member_of_the_network_announces_another_with_no_more_than_default_capabilities(
    engine: Engine, network: Network, run: Callable[..., str]
) -> None:
    ip, mac = where(await waited_for(network, run, engine), network)
    agent = inspect(run())["State"]["Pid"]
    inside = ["nsenter", f"--net=/proc/{agent}/ns/net", "setpriv", "--bounding-set=-net_admin"]
    subprocess.run([*inside, sys.executable, "-c", MEMBER, network.subnets[0], ip, mac], check=True)
    assert resolved(bridge_of(network), ip)


async def test_the_helper_program_finds_a_container_that_is_waited_for(
    engine: Engine, network: Network, run: Callable[..., str]
) -> None:
    ip, _ = where(await waited_for(network, run, engine), network)
    program = [sys.executable, "-m", "tidegate.agent.announce_watch", network.subnets[0], "30", ip]
    helper = await asyncio.create_subprocess_exec("setpriv", "--bounding-set=-all,+net_raw,+net_admin", *program)
    await eventually(lambda: resolved(bridge_of(network), ip), "the container is known")
    helper.terminate()
    await helper.wait()


@pytest.fixture
def agent_image(registry: Registry) -> Iterator[str]:
    """An image in which the agent's Python prints its arguments and waits."""
    stub = layer_of({sys.executable: f'#!/bin/sh\necho "$@"\n{FOREVER}\n'.encode()}, mode=0o755)
    name = f"{unique('agent')}:one"
    config = {"Entrypoint": ["/bin/sh", "-c"], "Cmd": [FOREVER], "Env": ["PATH=/bin"]}
    pushed = push(registry, name, config, [base_layer(), stub], architecture=ARCHITECTURE)
    docker("pull", "-q", pushed.reference)
    yield pushed.reference
    docker("rmi", "-f", pushed.reference)


async def test_a_contained_agent_s_helper_sees_the_host_s_network_and_is_a_member_of_no_other(
    engine: Engine, network: Network, run: Callable[..., str], agent_image: str
) -> None:
    container = await engine.container(run())
    own = await engine.container(docker("run", "-d", agent_image))
    announcer = HelperAnnouncer(engine, own, network)
    await announcer.prepare([where(container, network)[0]])
    (helper,) = await engine.containers(labels={HELPER: "announce"})
    document = inspect(helper.id)
    assert document["State"]["Running"]
    assert list(document["NetworkSettings"]["Networks"]) == ["host"]
    assert document["Args"][-3:] == [network.subnets[0], "120", where(container, network)[0]]
    await announcer.close()
    assert await engine.containers(labels={HELPER: "announce"}) == []
    await engine.remove(own.id, force=True)


async def test_a_contained_agent_uses_a_helper_or_else_its_own_interface(
    engine: Engine, network: Network, run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await engine.container(run())
    monkeypatch.setattr(announce_netlink, "is_bridge", lambda _: False)  # as its own interface would say
    assert isinstance(choose_announcer(engine, network, own), HelperAnnouncer)
    assert isinstance(choose_announcer(engine, network, own, helper=False), MemberAnnouncer)


async def test_a_network_that_is_gone_fails_no_update(engine: Engine, image: str) -> None:
    own = await engine.container(docker("run", "-d", image))
    await engine.remove(own.id, force=True)
    async with Announcements(engine, own.id).during_cut(own):
        await Announcements(engine, own.id)(own)


async def test_nothing_is_announced_on_a_network_that_is_no_bridge(engine: Engine) -> None:
    assert isinstance(choose_announcer(engine, await engine.network("host"), None), Silence)
