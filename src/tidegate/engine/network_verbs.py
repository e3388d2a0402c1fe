"""The verbs about networks."""
# ruff: noqa: D102 - the contracts of the verbs are the docstrings of the port

from collections.abc import Mapping
from typing import Any

from tidegate.engine import parse
from tidegate.engine.container_verbs import label_filter
from tidegate.engine.errors import EngineError, NotFoundError
from tidegate.engine.model import Document, Network
from tidegate.engine.transport import Transport

_ALREADY_THERE = ("already exists in network", "already attached to network", "already connected to network")
_NOT_THERE = ("is not connected to network", "not connected to the network")


class NetworkVerbs:
    """The part of the port that is about networks; see `Engine` for the contracts."""

    _transport: Transport

    async def connect(self, network: str, container: str, settings: Document) -> None:
        try:
            await self._transport.call(
                "POST",
                f"networks/{network}/connect",
                action=f"connect container {container} to network {network}",
                body={"Container": container, "EndpointConfig": settings},
            )
        except EngineError as error:
            # the same words are said of another container's leftover endpoint with our name
            if not _has(error, _ALREADY_THERE) or not await self._is_member(network, container):
                raise

    async def _is_member(self, network: str, container: str) -> bool:
        document = await self._transport.call(
            "GET", f"containers/{container}/json", action=f"inspect container {container}"
        )
        places = document["NetworkSettings"]["Networks"] or {}
        return any(
            network in {name, place.get("NetworkID")} and (place.get("EndpointID") or not _runs(document))
            for name, place in places.items()
        )

    async def disconnect(self, network: str, container: str, *, force: bool = False) -> None:
        try:
            await self._transport.call(
                "POST",
                f"networks/{network}/disconnect",
                action=f"disconnect container {container} from network {network}",
                body={"Container": container, "Force": force},
            )
        except NotFoundError:
            return
        except EngineError as error:
            if not _has(error, _NOT_THERE):
                raise

    async def networks(self, *, labels: Mapping[str, str] | None = None) -> list[Network]:
        rows = await self._transport.call(
            "GET", "networks", action="list the networks", params={"filters": label_filter(labels)}
        )
        return [parse.network(row) for row in rows]

    async def network(self, ref: str) -> Network:
        return parse.network(await self._transport.call("GET", f"networks/{ref}", action=f"inspect network {ref}"))

    async def create_network(self, name: str, *, internal: bool, labels: Mapping[str, str], subnet: str | None) -> str:
        body: dict[str, Any] = {
            "Name": name,
            "CheckDuplicate": True,
            "Driver": "bridge",
            "Internal": internal,
            "Labels": dict(labels),
        }
        if subnet is not None:
            body["IPAM"] = {"Config": [{"Subnet": subnet}]}
        answer = await self._transport.call("POST", "networks/create", action=f"create network {name}", body=body)
        return str(answer["Id"])

    async def remove_network(self, ref: str) -> None:
        try:
            await self._transport.call("DELETE", f"networks/{ref}", action=f"remove network {ref}")
        except NotFoundError:
            return


def _runs(document: Document) -> bool:
    return bool(document["State"].get("Running"))


def _has(error: EngineError, phrases: tuple[str, ...]) -> bool:
    return any(phrase in str(error) for phrase in phrases)
