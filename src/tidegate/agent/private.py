"""The private network a candidate is proved on, with what it depends on connected live."""

import contextlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from tidegate.agent.guard import PROJECT, SERVICE, TRANSACTION
from tidegate.domain.ordering import parse_compose_depends_on
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


def free_subnets(pool: str, taken: Iterable[str]) -> Iterator[str]:
    """The subnets of `pool` that overlap with none of the `taken` ones."""
    used = [ipaddress.ip_network(subnet) for subnet in taken]
    for subnet in ipaddress.ip_network(pool).subnets(new_prefix=_PREFIX_LENGTH):
        if not any(subnet.version == other.version and subnet.overlaps(other) for other in used):
            yield str(subnet)


class PrivateNetworks:
    """Makes private networks, fills them, and removes those whose container is gone."""

    def __init__(self, engine: Engine, pool: str) -> None:
        """`pool` is the address range they are cut from, e.g. `10.213.0.0/16`."""
        self._engine = engine
        self._pool = pool

    async def make(self, owner: str, *, internal: bool) -> str:
        """Create the network of a replacement, or find it where it exists already; its name."""
        name, labels = f"tidegate-{owner}", {PRIVATE_FOR: owner}
        taken = [subnet for network in await self._engine.networks() for subnet in network.subnets]
        for subnet in free_subnets(self._pool, taken):
            try:
                await self._engine.create_network(name, internal=internal, labels=labels, subnet=subnet)
            except NameTakenError:
                return name
            except SubnetTakenError:
                continue
            return name
        raise EngineError(
            f"no free address range is left in {self._pool} for the private network of {owner}; "
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

    async def all(self) -> list[Network]:
        """Every private network on the engine."""
        return await self._engine.networks(labels={PRIVATE_FOR: ""})

    async def collect(self, keep: Iterable[str]) -> list[str]:
        """Remove the private networks whose candidate is on them no more, save those in `keep`; their names."""
        removed = []
        spared = set(keep)
        for network in await self.all():
            if network.name in spared or network.id in spared:
                continue
            if not await self._in_use(network):
                await self.remove(network.id)
                removed.append(network.name)
        return removed

    async def _in_use(self, network: Network) -> bool:
        """Whether the container it was made for still exists; both carry the replacement's id as a label."""
        owner = network.labels.get(PRIVATE_FOR, "")
        return bool(await self._engine.containers(labels={TRANSACTION: owner}))


def _aliases_on(container: Container, networks: Sequence[str]) -> tuple[str, ...]:
    """Every name by which a container is known on any of the networks, its own name included."""
    names: dict[str, None] = {}
    for network in networks:
        endpoint = container.endpoints.get(network)
        if endpoint is not None:
            names.update(dict.fromkeys((*endpoint.aliases, container.name)))
    return tuple(name for name in names if name != container.id[:12])
