"""The private network a candidate is proved on, with what it depends on connected live.

It is internal, always: a neighbour's default route must not move there, which it would where the names of its own
networks sort after a network with a gateway (tried on engines 20.10 and 26.1). A candidate that publishes no ports
gets a second network of its own as its way out. Its name sorts before others, so that the candidate's default route,
and the connections that use it, stay where they are when it joins the networks it serves on.
"""

import contextlib
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from tidegate.agent.guard import PROJECT, SERVICE, TRANSACTION
from tidegate.agent.tolerance import tolerated
from tidegate.domain.ordering import COMPOSE_DEPENDS_ON, parse_compose_depends_on
from tidegate.domain.policy import Probe, ProbeHttp, ProbeTcp
from tidegate.engine.errors import ConflictError, EngineError, NameTakenError, NotFoundError, SubnetTakenError
from tidegate.engine.model import Container, ContainerSummary, Network
from tidegate.engine.port import Engine

PRIVATE_FOR = "tidegate.private-for"
_NAME = "tidegate-"
_WAY_OUT = "0-tidegate-"
_PREFIX_LENGTH = 27
_YOUNG = timedelta(minutes=15)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A running container that the candidate can reach on a serving network, and its aliases there."""

    id: str
    name: str
    aliases: tuple[str, ...]


def free_subnets(pools: Iterable[ipaddress.IPv4Network], taken: Iterable[str]) -> Iterator[str]:
    """The small subnets of `pools` that overlap with none of the `taken` ones."""
    every = [ipaddress.ip_network(subnet) for subnet in taken]
    used = [subnet for subnet in every if isinstance(subnet, ipaddress.IPv4Network)]
    for pool in pools:
        for subnet in pool.subnets(new_prefix=max(_PREFIX_LENGTH, pool.prefixlen)):
            if not any(subnet.overlaps(other) for other in used):
                yield str(subnet)


class PrivateNetworks:
    """Makes private networks, fills them, and removes those whose container is gone."""

    def __init__(
        self, engine: Engine, pools: Sequence[ipaddress.IPv4Network], own_container: str | None = None
    ) -> None:
        """`pools` are the ranges they are cut from; `own_container` the agent's id, see `networked`."""
        self._engine = engine
        self._pools = tuple(pools)
        self._own = own_container

    def needed_by(self, probe: Probe | None) -> bool:
        """Whether a probe can only be made from a network shared with the agent's own container."""
        return self._own is not None and isinstance(probe, ProbeHttp | ProbeTcp)

    @property
    def on_host(self) -> bool:
        """Whether the agent reaches every container as the host does."""
        return self._own is None

    async def shared_with(self, container: Container) -> str | None:
        """A network on which the agent's own container meets this one."""
        if self._own is None:
            return None
        own = await self._engine.container(self._own)
        return next((name for name in container.endpoints if name in own.endpoints), None)

    async def enter(self, network: str) -> None:
        """Connect the agent's own container, so that it can probe what is there."""
        if self._own is not None:
            await self._engine.connect(network, self._own, {})

    async def make(self, owner: str, *, way_out: bool = False) -> str:
        """Create the network of a replacement, or find it where it exists already; its name.

        `way_out`: create the one that leads out too, see `way_out_of`.
        """
        await self._create(network_of(owner), owner, internal=True)
        if way_out:
            await self._create(way_out_of(owner), owner, internal=False)
        return network_of(owner)

    async def _create(self, name: str, owner: str, *, internal: bool) -> None:
        labels = {PRIVATE_FOR: owner}
        taken = [subnet for network in await self._engine.networks() for subnet in network.subnets]
        for subnet in free_subnets(self._pools, taken):
            try:
                await self._engine.create_network(name, internal=internal, labels=labels, subnet=subnet)
            except NameTakenError:
                return
            except SubnetTakenError:
                continue
            return
        raise EngineError(
            f"no free address range is left in {', '.join(map(str, self._pools))} for the private network of {owner}; "
            f"set TIDEGATE_PRIVATE_SUBNETS to a range that is unused on this host"
        )

    async def neighbours(self, incumbent: Container, late: Sequence[str]) -> list[Neighbour]:
        """What the incumbent's cluster runs beside it on the `late` networks, save what depends on it."""
        project = incumbent.labels.get(PROJECT, "")
        if not project:
            return []
        rows = await self._engine.containers(running_only=True, labels={PROJECT: project})
        spared = dependants(incumbent.labels.get(SERVICE, ""), [row.labels for row in rows])
        found = []
        for row in rows:
            if row.labels.get(SERVICE) in spared or row.id == self._own:
                continue
            with contextlib.suppress(NotFoundError):
                container = await self._engine.container(row.id)
                aliases = _aliases_on(container, late)
                if aliases:
                    found.append(Neighbour(container.id, container.name, aliases))
        return found

    async def fill(self, network: str, neighbours: Sequence[Neighbour]) -> None:
        """Connect the neighbours, live, with the names they have on the serving network."""
        for neighbour in neighbours:
            settings: dict[str, Any] = {"Aliases": list(neighbour.aliases)}
            try:
                await self._engine.connect(network, neighbour.id, settings)
            except (NotFoundError, ConflictError) as error:
                _log.warning("a neighbour could not be reached", neighbour=neighbour.name, error=str(error))

    async def remove(self, network: str) -> None:
        """Remove what was made for a replacement, whoever is on it; what is gone already is no error."""
        for found in await self._made_for(network.removeprefix(_NAME)):
            await self._remove(found)

    async def _made_for(self, owner: str) -> list[Network]:
        """Inspected, because a list does not tell who is on a network."""
        made = []
        for row in await self._engine.networks(labels={PRIVATE_FOR: owner}):
            with contextlib.suppress(NotFoundError):
                made.append(await self._engine.network(row.id))
        return made

    async def _remove(self, network: Network) -> None:
        with tolerated(network.name):
            try:
                for member in {*network.members, *await self._stopped_on(network)}:
                    await self._engine.disconnect(network.id, member, force=True)
                await self._engine.remove_network(network.id)
            except (NotFoundError, ConflictError) as error:
                _log.info("a private network is gone, or goes at the next look", network=network.name, error=str(error))

    async def _stopped_on(self, network: Network) -> set[str]:
        """Stopped containers that would not start again without it; the engine does not count them as members."""
        found = set()
        for row in await self._engine.containers():
            if row.state != "running":
                with contextlib.suppress(NotFoundError):
                    if network.name in (await self._engine.container(row.id)).endpoints:
                        found.add(row.id)
        return found

    async def release(self, network: str) -> None:
        """The proof and the bake are over: the agent leaves, and what no connection needs goes.

        Pooled connections to neighbours, and those that use the way out, last as long as their network does.
        """
        for found in await self._made_for(network.removeprefix(_NAME)):
            if self._own is not None and self._own in found.members:
                await self._engine.disconnect(found.id, self._own, force=True)
            owners = await self._owners(found)
            serves = any(row.state == "running" for row in owners)
            alone = {*found.members, *await self._stopped_on(found)} - {self._own} <= {row.id for row in owners}
            if alone and (found.internal or not serves):
                await self._remove(found)

    async def collect(self, ours: Callable[[str], bool], now: datetime) -> None:
        """Remove every private network that nothing needs any more.

        One that is young may be another agent's, which has not made its container yet; `ours` tells of a transaction's
        id whether it was this agent's. One that the engine does not let go of stays until the next time.
        """
        for network in await self._engine.networks(labels={PRIVATE_FOR: ""}):
            owner = network.labels[PRIVATE_FOR]
            young = network.created is not None and now - network.created < _YOUNG
            if (ours(owner.rpartition(".")[0]) or not young) and not await self._owners(network):
                with tolerated(network.name):
                    await self.remove(network_of(owner))

    async def _owners(self, network: Network) -> list[ContainerSummary]:
        """The container it was made for, if it still exists; both carry the replacement's id as a label."""
        owner = network.labels.get(PRIVATE_FOR, "")
        return await self._engine.containers(labels={TRANSACTION: owner})


async def networked(engine: Engine, own: str | None) -> str | None:
    """The agent's own container, where it has networks of its own: None on the host, and on the host's network."""
    if own is None or (await engine.container(own)).network_mode == "host":
        return None
    return own


def network_of(owner: str) -> str:
    """The name of the network on which a replacement's candidate meets its neighbours and the agent."""
    return f"{_NAME}{owner}"


def way_out_of(owner: str) -> str:
    """The name of the network by which a replacement's candidate reaches the world; it alone is on it."""
    return f"{_WAY_OUT}{owner}"


def dependants(service: str, labels: Iterable[Mapping[str, str]]) -> set[str]:
    """A Compose service and every one that depends on it, directly or not, by the labels of a cluster's containers."""
    depends_on = {
        one.get(SERVICE, ""): {its.service for its in parse_compose_depends_on(one.get(COMPOSE_DEPENDS_ON, ""))}
        for one in labels
    }
    found = {service}
    while more := {name for name, on in depends_on.items() if on & found} - found:
        found |= more
    return found


def _aliases_on(container: Container, networks: Sequence[str]) -> tuple[str, ...]:
    """Every name by which a container is known on any of the networks, its own name included."""
    names: dict[str, None] = {}
    for network in networks:
        endpoint = container.endpoints.get(network)
        if endpoint is not None:
            names.update(dict.fromkeys((*endpoint.aliases, container.name)))
    return tuple(name for name in names if name != container.id[:12])
