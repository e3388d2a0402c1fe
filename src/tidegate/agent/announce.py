"""Tells the host at once where a new container is, so that its clients do not wait for the kernel to find out.

A client that asks for an address before its container is up leaves an unresolved entry in the host's neighbour
table, which the kernel retries only after a second. Nothing here can fail an update: what cannot be done is
logged and the kernel's second is waited for.
"""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

import structlog

from tidegate.agent import announce_arp, announce_conntrack, announce_netlink
from tidegate.agent.announce_arp import Interface
from tidegate.agent.announce_watch import TICK_S, Watch
from tidegate.agent.background import Background
from tidegate.agent.tolerance import tolerated
from tidegate.engine.errors import EngineError
from tidegate.engine.model import Container, Document, Network
from tidegate.engine.port import Engine

HELPER = "tidegate.helper"
_log = structlog.get_logger(__name__)


class Announcer(Protocol):
    """Speaks for the containers of one network. No method raises on account of what it cannot do."""

    async def prepare(self, vacated: Sequence[str], ports: Collection[int] = ()) -> None:
        """Before the cut: get ready. `vacated` are the addresses that the incumbent leaves, `ports` the host's."""

    async def announce(self, ip: str, mac: str) -> None:
        """The container is up: say where. Takes a few milliseconds."""

    async def close(self) -> None:
        """Let go of what `prepare` started."""


class Silence:
    """Where nothing can be announced, or need be."""

    async def prepare(self, vacated: Sequence[str], ports: Collection[int] = ()) -> None:
        """Nothing to get ready."""

    async def announce(self, ip: str, mac: str) -> None:
        """Nobody to tell."""

    async def close(self) -> None:
        """Nothing to let go of."""


class HostAnnouncer:
    """For an agent in the host's network namespace: watches the bridge from the cut on, and writes what it is told."""

    def __init__(self, bridge: Interface) -> None:
        self._bridge = bridge
        self._watching = Background("announcer")

    async def prepare(self, vacated: Sequence[str], ports: Collection[int] = ()) -> None:
        """Leave the engine less to clear away during the cut, and start watching."""
        with logged(self._bridge.name):
            await asyncio.to_thread(announce_conntrack.forget_closed, vacated, ports)
        self._watching.start(lambda: self._watch(Watch(self._bridge, vacated)))

    async def announce(self, ip: str, mac: str) -> None:
        """Write the entry, and tell the other members of the network."""
        with logged(ip):
            announce_netlink.resolve(self._bridge.index, ip, mac)
            announce_arp.send(self._bridge.name, [announce_arp.gratuitous(self._bridge.mac, ip, mac)])

    async def close(self) -> None:
        """Stop watching."""
        await self._watching.close()

    async def _watch(self, watch: Watch) -> None:
        with logged(self._bridge.name):
            while True:
                # the kernel's tables have one lock for the whole machine: waiting for it must not hold up the update
                await asyncio.to_thread(watch.tick)
                await asyncio.sleep(TICK_S)


class MemberAnnouncer:
    """For an agent whose own container is on the network: a gratuitous ARP from there."""

    def __init__(self, interface: Interface) -> None:
        self._interface = interface

    async def prepare(self, vacated: Sequence[str], ports: Collection[int] = ()) -> None:
        """Nothing to get ready."""

    async def announce(self, ip: str, mac: str) -> None:
        """Tell the host and the other members."""
        with logged(ip):
            announce_arp.send(self._interface.name, [announce_arp.gratuitous(self._interface.mac, ip, mac)])

    async def close(self) -> None:
        """Nothing to let go of."""


class HelperAnnouncer:
    """For an agent in a container: a helper from its own image watches from the host's network namespace.

    The helper is on no network of the user's, so that `docker compose down` can remove them; it ends by itself.
    """

    def __init__(self, engine: Engine, own: Container, network: Network, *, lifetime_s: int = 120) -> None:
        self._engine = engine
        self._own = own
        self._network = network
        self._lifetime_s = lifetime_s
        self._helper: str | None = None

    async def prepare(self, vacated: Sequence[str], ports: Collection[int] = ()) -> None:
        """Start the helper."""
        if self._helper is None:
            with logged(self._network.name):
                name = f"tidegate-announce-{secrets.token_hex(4)}"
                self._helper = await self._engine.create(name, self._request(vacated, ports))
                await self._engine.start(self._helper)

    async def announce(self, ip: str, mac: str) -> None:
        """The helper sees for itself."""

    async def close(self) -> None:
        """Remove the helper."""
        if self._helper is not None:
            with logged(self._network.name):
                await self._engine.remove(self._helper, force=True, volumes=True)
            self._helper = None

    def _request(self, vacated: Sequence[str], ports: Collection[int]) -> Document:
        """No more than it needs: two capabilities, nothing writable, no label but its own."""
        watch = [sys.executable, "-m", "tidegate.agent.announce_watch"]
        return {
            "Image": self._own.image_id,
            "User": "0:0",
            "Entrypoint": watch,
            "Cmd": [self._network.subnets[0], str(self._lifetime_s), *vacated, *map(str, ports)],
            "Labels": {HELPER: "announce", "tidegate.enable": "false"},
            "HostConfig": {
                "NetworkMode": "host",
                "AutoRemove": True,
                "CapDrop": ["ALL"],
                "CapAdd": ["NET_RAW", "NET_ADMIN"],
                "ReadonlyRootfs": True,
                "SecurityOpt": ["no-new-privileges"],
                "PidsLimit": 8,
            },
        }


async def remove_unstarted_helpers(engine: Engine) -> None:
    """What a kill left between a helper's creation and its start; one that runs ends by itself."""
    for one in await engine.containers(labels={HELPER: "announce"}):
        if one.state == "created":
            with tolerated(one.name):
                await engine.remove(one.id, force=True, volumes=True)


def choose_announcer(engine: Engine, network: Network, own: Container | None, *, helper: bool = True) -> Announcer:
    """What speaks for `network` from here. `own` is the agent's container, None outside of one.

    In the host's network namespace: directly. In a container: through a helper, unless `helper` forbids it;
    then from the agent's own interface where it has one on this network; else nothing.
    """
    if network.driver != "bridge" or not network.subnets:
        return Silence()
    here: Interface | None = None
    with logged(network.name):
        here = announce_arp.interface_in(network.subnets)
        if here is not None and announce_netlink.is_bridge(here.index):
            return HostAnnouncer(here)
    if own is None:
        return Silence()
    if helper:
        return HelperAnnouncer(engine, own, network)
    member = any(endpoint.network_id == network.id for endpoint in own.endpoints.values())
    return MemberAnnouncer(here) if here is not None and member else Silence()


@contextlib.contextmanager
def logged(about: str) -> Iterator[None]:
    """Log what could not be done about an address or a network, and go on."""
    try:
        yield
    except (OSError, EngineError) as error:
        _log.warning("could not prepare the cut; clients may wait a second longer", about=about, error=str(error))
