"""The private network a candidate is proved on, with what it depends on connected live."""

import contextlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from tidegate.agent.guard import PROJECT, SERVICE, TRANSACTION
from tidegate.domain.ordering import parse_compose_depends_on
from tidegate.domain.policy import Probe, ProbeHttp, ProbeTcp
from tidegate.engine.errors import ConflictError, EngineError, NameTakenError, NotFoundError, SubnetTakenError
from tidegate.engine.model import Container, Network
from tidegate.engine.port import Engine

PRIVATE_FOR = "tidegate.private-for"
_PREFIX_LENGTH = 27
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
        """`pools` are the ranges they are cut from; `own_container` the agent's id, None on the host itself."""
        self._engine = engine
        self._pools = tuple(pools)
        self._own = own_container

    def needed_by(self, probe: Probe | None) -> bool:
        """Whether a probe can only be made from a network shared with the agent's own container."""
        return self._own is not None and isinstance(probe, ProbeHttp | ProbeTcp)

    async def enter(self, network: str) -> None:
        """Connect the agent's own container, so that it can probe what is there."""
        if self._own is not None:
            await self._engine.connect(network, self._own, {})

    async def make(self, owner: str, *, internal: bool) -> str:
        """Create the network of a replacement, or find it where it exists already; its name."""
        name, labels = f"tidegate-{owner}", {PRIVATE_FOR: owner}
        taken = [subnet for network in await self._engine.networks() for subnet in network.subnets]
        for subnet in free_subnets(self._pools, taken):
            try:
                await self._engine.create_network(name, internal=internal, labels=labels, subnet=subnet)
            except NameTakenError:
                return name
            except SubnetTakenError:
                continue
            return name
        raise EngineError(
            f"no free address range is left in {', '.join(map(str, self._pools))} for the private network of {owner}; "
            f"set TIDEGATE_PRIVATE_SUBNETS to a range that is unused on this host"
        )

    async def neighbours(self, incumbent: Container, late: Sequence[str]) -> list[Neighbour]:
        """What the incumbent's cluster runs beside it on the `late` networks, save what depends on it."""
        project = incumbent.labels.get(PROJECT, "")
        if not project:
            return []
        found = []
        for summary in await self._engine.containers(running_only=True, labels={PROJECT: project}):
            if summary.labels.get(SERVICE) == incumbent.labels.get(SERVICE):
                continue
            if self._depends_on(summary.labels, incumbent.labels.get(SERVICE, "")):
                continue
            with contextlib.suppress(NotFoundError):
                container = await self._engine.container(summary.id)
                aliases = _aliases_on(container, late)
                if aliases:
                    found.append(Neighbour(container.id, container.name, aliases))
        return found

    @staticmethod
    def _depends_on(labels: Mapping[str, str], service: str) -> bool:
        declared = parse_compose_depends_on(labels.get("com.docker.compose.depends_on", ""))
        return any(dependency.service == service for dependency in declared)

    async def fill(self, network: str, neighbours: Sequence[Neighbour]) -> None:
        """Connect the neighbours, live, with the names they have on the serving network."""
        for neighbour in neighbours:
            settings: dict[str, Any] = {"Aliases": list(neighbour.aliases)}
            try:
                await self._engine.connect(network, neighbour.id, settings)
            except (NotFoundError, ConflictError) as error:
                _log.warning("a neighbour could not be reached", neighbour=neighbour.name, error=str(error))

    async def remove(self, network: str) -> None:
        """Disconnect whatever is on it and remove it; a network that is gone already is no error."""
        try:
            found = await self._engine.network(network)
        except NotFoundError:
            return
        for member in found.members:
            await self._engine.disconnect(found.id, member, force=True)
        with contextlib.suppress(NotFoundError):
            await self._engine.remove_network(found.id)

    async def release(self, network: str) -> None:
        """The proof and the bake are over: the agent leaves, and the network goes unless connections need it.

        Pooled connections to neighbours, and through a network that is not internal, last as long as it does.
        """
        with contextlib.suppress(NotFoundError):
            found = await self._engine.network(network)
            if self._own is not None and self._own in found.members:
                await self._engine.disconnect(found.id, self._own, force=True)
            owners = await self._owners(found)
            if set(found.members) - {self._own} <= owners and (found.internal or not owners):
                await self.remove(found.id)

    async def collect(self, keep: Iterable[str]) -> None:
        """Remove every private network that nothing needs any more, save those named in `keep`."""
        spared = set(keep)
        for network in await self._engine.networks(labels={PRIVATE_FOR: ""}):
            if network.name not in spared and not await self._owners(network):
                await self.remove(network.id)

    async def _owners(self, network: Network) -> set[str]:
        """The container it was made for, if it still exists; both carry the replacement's id as a label."""
        owner = network.labels.get(PRIVATE_FOR, "")
        return {found.id for found in await self._engine.containers(labels={TRANSACTION: owner})}


def _aliases_on(container: Container, networks: Sequence[str]) -> tuple[str, ...]:
    """Every name by which a container is known on any of the networks, its own name included."""
    names: dict[str, None] = {}
    for network in networks:
        endpoint = container.endpoints.get(network)
        if endpoint is not None:
            names.update(dict.fromkeys((*endpoint.aliases, container.name)))
    return tuple(name for name in names if name != container.id[:12])
