"""What about a container decides how it can be replaced."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tidegate.domain.recreate_networks import asked_mac, endpoints_of, primary_network

Document = Mapping[str, Any]


class NetworkKind(StrEnum):
    """How a container is networked."""

    BRIDGE = "bridge"
    USER_DEFINED = "user-defined"
    HOST = "host"
    NONE = "none"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of the host that leads into the container; `host_port` is empty where the engine picks one."""

    host_ip: str
    host_port: str
    container_port: str


@dataclass(frozen=True, slots=True)
class Traits:
    """What a strategy decision needs to know of a container."""

    network_kind: NetworkKind
    network_container: str
    """The container whose network it shares, as the mode says it (id or name), or an empty string."""
    primary_network: str | None
    networks: tuple[str, ...]
    published_ports: tuple[PublishedPort, ...]
    publishes_all: bool
    static_addresses: tuple[str, ...]
    """`network: address` for every address (IP or MAC) that the user asked for."""
    writable_mounts: tuple[str, ...]
    """`source at target` for every volume or bind that it may write to; sockets are left out."""
    device_requests: tuple[str, ...]
    """Each GPU or other device request in a few words."""
    devices: tuple[str, ...]
    """Paths of host devices handed in."""
    leans_on: tuple[str, ...]
    """Other containers, by id or name, whose namespaces or volumes it uses."""
    host_gateway: bool
    """One of its extra hosts is the host itself (`host-gateway`)."""
    auto_remove: bool
    """The engine removes it when it stops: there is nothing to start again."""


def traits_of(document: Document) -> Traits:
    """Read the traits from an inspect document."""
    host = document["HostConfig"]
    return Traits(
        network_kind=network_kind(document),
        network_container=_target(host.get("NetworkMode")),
        primary_network=primary_network(document),
        networks=tuple(endpoints_of(document)),
        published_ports=published_ports(document),
        publishes_all=bool(host.get("PublishAllPorts")),
        static_addresses=static_addresses(document),
        writable_mounts=writable_mounts(document),
        device_requests=device_requests(document),
        devices=tuple(device.get("PathOnHost", "") for device in host.get("Devices") or ()),
        leans_on=_leans_on(host),
        host_gateway=any(entry.endswith(":host-gateway") for entry in host.get("ExtraHosts") or ()),
        auto_remove=bool(host.get("AutoRemove")),
    )


def network_kind(document: Document) -> NetworkKind:
    """How the container is networked, from its network mode."""
    mode = str(document["HostConfig"].get("NetworkMode") or "default")
    if mode.startswith("container:"):
        return NetworkKind.CONTAINER
    if mode in {"default", "bridge", "nat"}:
        return NetworkKind.BRIDGE
    return NetworkKind(mode) if mode in {"host", "none"} else NetworkKind.USER_DEFINED


def published_ports(document: Document) -> tuple[PublishedPort, ...]:
    """Every port binding, as asked for."""
    bindings: Mapping[str, list[Document] | None] = document["HostConfig"].get("PortBindings") or {}
    return tuple(
        PublishedPort(binding.get("HostIp", ""), str(binding.get("HostPort", "")), port)
        for port, places in bindings.items()
        for binding in places or [{}]
    )


def static_addresses(document: Document) -> tuple[str, ...]:
    """`network: address` for every IP or MAC address that the user asked for."""
    found = []
    for network, place in endpoints_of(document).items():
        addresses = [value for value in (place.get("IPAMConfig") or {}).values() if value]
        mac = asked_mac(document, network)
        found += [f"{network}: {address}" for address in _flat(addresses) + ([mac] if mac else [])]
    return tuple(found)


def writable_mounts(document: Document) -> tuple[str, ...]:
    """`source at target` for every volume or bind mount that two containers could both write to."""
    return tuple(
        f"{mount.get('Name') or mount.get('Source')} at {mount['Destination']}"
        for mount in document.get("Mounts") or ()
        if mount.get("RW") and mount.get("Type") in {"volume", "bind", "cluster"} and not _socket(mount)
    )


def device_requests(document: Document) -> tuple[str, ...]:
    """Each device request in a few words, such as `nvidia gpu, all`."""
    return tuple(_device_words(request) for request in document["HostConfig"].get("DeviceRequests") or ())


def _device_words(request: Document) -> str:
    kinds = [kind for option in request.get("Capabilities") or () for kind in option]
    what = " ".join([part for part in (request.get("Driver"), *kinds) if part]) or "device"
    ids = request.get("DeviceIDs") or ()
    count = request.get("Count", 0)
    return f"{what}, {' '.join(ids) if ids else 'all' if count == -1 else count}"


def _leans_on(host: Document) -> tuple[str, ...]:
    modes = (host.get(key) for key in ("NetworkMode", "IpcMode", "PidMode"))
    volumes = [entry.partition(":")[0] for entry in host.get("VolumesFrom") or ()]
    return tuple(dict.fromkeys([target for target in map(_target, modes) if target] + volumes))


def _target(mode: Any) -> str:
    kind, colon, target = str(mode or "").partition(":")
    return target if kind == "container" and colon else ""


def _socket(mount: Document) -> bool:
    return posixpath.basename(str(mount.get("Source", ""))).endswith(".sock")


def _flat(values: list[Any]) -> list[str]:
    return [text for value in values for text in ([value] if isinstance(value, str) else list(value))]
