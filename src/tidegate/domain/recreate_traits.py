"""What about a container decides how it can be replaced."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.domain.recreate_networks import asked_mac, endpoints_of

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of the host that leads into the container; `host_port` is empty where the engine picks one."""

    host_ip: str
    host_port: str
    container_port: str


@dataclass(frozen=True, slots=True)
class Traits:
    """What a strategy decision needs to know of a container."""

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
    host_gateway: bool
    """One of its extra hosts is the host itself (`host-gateway`)."""
    tmpfs: tuple[str, ...]
    """Where a disk in memory is mounted: it is the container's own, and goes with it."""


def traits_of(document: Document) -> Traits:
    """Read the traits from an inspect document."""
    host = document["HostConfig"]
    return Traits(
        published_ports=published_ports(document),
        publishes_all=bool(host.get("PublishAllPorts")),
        static_addresses=static_addresses(document),
        writable_mounts=writable_mounts(document),
        device_requests=device_requests(document),
        devices=tuple(device.get("PathOnHost", "") for device in host.get("Devices") or ()),
        host_gateway=any(entry.endswith(":host-gateway") for entry in host.get("ExtraHosts") or ()),
        tmpfs=tmpfs(document),
    )


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


def tmpfs(document: Document) -> tuple[str, ...]:
    """Every path at which a tmpfs was asked for, by either of the two ways to ask."""
    host = document["HostConfig"]
    mounts = [mount["Target"] for mount in host.get("Mounts") or () if mount.get("Type") == "tmpfs"]
    return tuple(sorted({*mounts, *(host.get("Tmpfs") or ())}))


def device_requests(document: Document) -> tuple[str, ...]:
    """Each device request in a few words, such as `nvidia gpu, all`."""
    return tuple(_device_words(request) for request in document["HostConfig"].get("DeviceRequests") or ())


def _device_words(request: Document) -> str:
    kinds = [kind for option in request.get("Capabilities") or () for kind in option]
    what = " ".join([part for part in (request.get("Driver"), *kinds) if part]) or "device"
    ids = request.get("DeviceIDs") or ()
    count = request.get("Count", 0)
    return f"{what}, {' '.join(ids) if ids else 'all' if count == -1 else count}"


def _socket(mount: Document) -> bool:
    return posixpath.basename(str(mount.get("Source", ""))).endswith(".sock")


def _flat(values: list[Any]) -> list[str]:
    return [text for value in values for text in ([value] if isinstance(value, str) else list(value))]
