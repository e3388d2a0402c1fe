"""Old container + old image + new image -> create request.

What the user set is asked for again; what the old image gave is left out, so that the new image's value counts.

`HostConfig.NetworkMode` always stays as it was, whatever networks are joined at creation. Tried on engines 20.10
and 26.1: with endpoints in the request the engine joins these only and does not look at the mode; the networks of
a running container can then be changed one by one; a restart of the container and a kill of the engine keep them
(also none: a container that left its last network comes back without any). A mode that names a network which is
removed later makes the next start fail on 26.1 ("could not find a network matching network mode"), so a network
that lives for one transaction must never be named there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidegate.domain.recreate_config import COMPOSE_IMAGE, emptied_entrypoint, full_config, own_config
from tidegate.domain.recreate_host import host_config
from tidegate.domain.recreate_networks import endpoint_settings, endpoints_of, primary_network

Document = Mapping[str, Any]

SEVERAL_NETWORKS_SINCE = (1, 44)
"""The first API version that takes several networks, and a MAC address for each, in a create request."""


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What makes a container: its name, the body of the create request, and the networks that go by `connect`.

    `before_start` are networks to connect right after creation, `later` those that were kept back; both map a
    network's name to its endpoint settings.
    """

    name: str
    body: dict[str, Any]
    before_start: dict[str, dict[str, Any]] = field(default_factory=dict)
    later: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "name": self.name,
            "body": self.body,
            "before_start": self.before_start,
            "later": self.later,
        }

    @classmethod
    def from_document(cls, document: Document) -> "CreateRequest":
        """From what `as_document` gave. Raises `KeyError`."""
        return cls(document["name"], document["body"], document["before_start"], document["later"])


def create_request(
    old: Document,
    old_image: Document,
    new_image: Document,
    *,
    image_reference: str,
    api: str,
    name: str | None = None,
    labels_extra: Mapping[str, str] | None = None,
    networks: Collection[str] | None = None,
    private_network: str | None = None,
    names: Mapping[str, str] | None = None,
) -> CreateRequest:
    """The request that makes `old` again from another image. The three documents are what `inspect` says.

    `image_reference` is the image as the user wrote it, and must name the new image when the request is sent;
    `api` the version spoken with the engine; `name` the new container's name (the old one's by default);
    `networks` those of the old networks that are joined at creation (None: all), `private_network` one more;
    `names` the names of other containers by id, for `container:<id>` modes. Raises `ValueError` where no network
    would be joined at creation although the container has some: the engine would choose one by itself.
    """
    config = own_config(old, old_image)
    emptied = emptied_entrypoint(old, old_image)
    if emptied is not None:
        config["Entrypoint"] = emptied
    if COMPOSE_IMAGE in config["Labels"]:
        config["Labels"][COMPOSE_IMAGE] = str(new_image["Id"])
    config["Labels"] |= labels_extra or {}
    config["Image"] = image_reference
    config["HostConfig"] = host_config(old, names=names or {})
    return _with_networks(old, config, name=name, api=api, networks=networks, private_network=private_network)


def incumbent_request(
    old: Document,
    *,
    api: str,
    image: str | None = None,
    name: str | None = None,
    labels_extra: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
) -> CreateRequest:
    """The request that makes `old` again as it was, from its own image.

    `image` is the image's id by default; give the reference that the container had where that names the old
    image again, so that people see what they are used to.
    """
    config = full_config(old)
    if "Entrypoint" not in config:
        # harmless where the image has none either; where it has one, the container was told to have none
        config["Entrypoint"] = [""]
    config["Labels"] |= labels_extra or {}
    config["Image"] = image or old["Image"]
    config["HostConfig"] = host_config(old, names=names or {})
    return _with_networks(old, config, name=name, api=api, networks=None, private_network=None)


def _with_networks(
    old: Document,
    body: dict[str, Any],
    *,
    name: str | None,
    api: str,
    networks: Collection[str] | None,
    private_network: str | None,
) -> CreateRequest:
    several = _version(api) >= SEVERAL_NETWORKS_SINCE
    if several:
        body.pop("MacAddress", None)  # each endpoint carries its own
    places = {network: _settings(old, network, several=several) for network in _joinable(old)}
    chosen = {network: place for network, place in places.items() if networks is None or network in networks}
    at_creation: dict[str, dict[str, Any]] = ({private_network: {}} if private_network else {}) | chosen
    if places and not at_creation:
        raise ValueError(f"no network is left to create {name or old['Name']} on, of {', '.join(places)}")
    first = dict(list(at_creation.items())[: None if several else 1])
    if first not in ({}, {"bridge": {}}):
        body["NetworkingConfig"] = {"EndpointsConfig": first}
        _name_bridge(body, first)
    return CreateRequest(
        name=name or str(old["Name"]).removeprefix("/"),
        body=body,
        before_start={network: place for network, place in at_creation.items() if network not in first},
        later={network: place for network, place in places.items() if network not in at_creation},
    )


def _joinable(old: Document) -> list[str]:
    """The container's networks with the primary one first; none where it has no networks of its own."""
    primary = primary_network(old)
    if primary is None or old["Config"].get("NetworkDisabled"):
        return []
    networks = list(endpoints_of(old))
    return sorted(networks, key=lambda network: network != primary)


def _settings(old: Document, network: str, *, several: bool) -> dict[str, Any]:
    settings = endpoint_settings(old, network)
    if not several:
        settings.pop("MacAddress", None)  # older versions read the container's own only
    return settings


def _name_bridge(body: dict[str, Any], first: Mapping[str, Any]) -> None:
    """`default` and `bridge` are one network to the engine, but not to its check of modes against endpoints."""
    if "bridge" in first and body["HostConfig"].get("NetworkMode") == "default":
        body["HostConfig"]["NetworkMode"] = "bridge"


def _version(api: str) -> tuple[int, ...]:
    return tuple(int(part) for part in api.split("."))
