"""Announces a container on every network it is on."""

import contextlib
from collections.abc import AsyncIterator, Mapping

from tidegate.agent.announce import Announcer, choose_announcer, logged
from tidegate.engine.model import Container, Endpoint
from tidegate.engine.port import Engine


class Announcements:
    """Called with a container that is up, says where it is. `own` is the agent's container id, None outside of one.

    `helper` allows a helper container in the host's network namespace for the time of a cut.
    """

    def __init__(self, engine: Engine, own: str | None, *, helper: bool = True) -> None:
        self._engine = engine
        self._own = own
        self._helper = helper

    async def __call__(self, container: Container) -> None:
        """Announce it from where that takes no preparation."""
        announcers = await self._announcers(container.endpoints, helper=False)
        for name, announcer in announcers.items():
            endpoint = container.endpoints[name]
            await announcer.announce(endpoint.ip_address, endpoint.mac_address)

    @contextlib.asynccontextmanager
    async def during_cut(self, incumbent: Container) -> AsyncIterator[None]:
        """Watch over the addresses of `incumbent` while it stops and another container takes its place."""
        announcers = await self._announcers(incumbent.endpoints, helper=self._helper)
        try:
            for name, announcer in announcers.items():
                await announcer.prepare([incumbent.endpoints[name].ip_address], incumbent.host_ports)
            yield
        finally:
            for announcer in announcers.values():
                await announcer.close()

    async def _announcers(self, endpoints: Mapping[str, Endpoint], *, helper: bool) -> dict[str, Announcer]:
        """One for each network with an address. None, and a line in the log, where the engine does not answer."""
        found: dict[str, Announcer] = {}
        for name, endpoint in endpoints.items():
            if endpoint.ip_address and endpoint.mac_address:
                with logged(name):
                    own = None if self._own is None else await self._engine.container(self._own)
                    network = await self._engine.network(endpoint.network_id)
                    found[name] = choose_announcer(self._engine, network, own, helper=helper)
        return found
