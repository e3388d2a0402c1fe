"""The engine's JSON as our model."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tidegate.domain.recreate_networks import endpoint_settings
from tidegate.engine.model import (
    Container,
    ContainerSummary,
    Document,
    Endpoint,
    Event,
    FileStat,
    Health,
    Image,
    Network,
)

_NO_REGULAR_FILE = 0x8F28_0000
"""Go's mode bits for folders, links, devices, pipes, sockets and what is odd."""


def summary(row: Document) -> ContainerSummary:
    """A row of the container list."""
    return ContainerSummary(
        id=row["Id"],
        name=_own_name(row.get("Names") or ()),
        image=row.get("Image", ""),
        image_id=row.get("ImageID", ""),
        state=row.get("State", ""),
        labels=row.get("Labels") or {},
        network_mode=(row.get("HostConfig") or {}).get("NetworkMode") or "",
    )


def container(document: Document) -> Container:
    """An inspected container."""
    config, state = document["Config"], document["State"]
    host = document.get("HostConfig") or {}
    health = state.get("Health") or {}
    return Container(
        id=document["Id"],
        name=document["Name"].removeprefix("/"),
        image=config.get("Image", ""),
        image_id=document.get("Image", ""),
        labels=config.get("Labels") or {},
        created=moment(document.get("Created")),
        status=state.get("Status", ""),
        running=bool(state.get("Running")),
        exit_code=int(state.get("ExitCode") or 0),
        oom_killed=bool(state.get("OOMKilled")),
        restart_count=int(document.get("RestartCount") or 0),
        started_at=state.get("StartedAt", ""),
        health=_health(health),
        health_output=_last_output(health),
        restart_policy=host.get("RestartPolicy") or {"Name": "no"},
        auto_remove=bool(host.get("AutoRemove")),
        stop_signal=config.get("StopSignal") or None,
        stop_timeout_s=config.get("StopTimeout"),
        network_mode=host.get("NetworkMode", ""),
        endpoints=_endpoints(document),
        document=document,
        host_ports=_host_ports(document),
    )


def _host_ports(document: Document) -> frozenset[int]:
    """Of TCP, as they are bound now: other than asked for where any port would do."""
    ports = (document.get("NetworkSettings") or {}).get("Ports") or {}
    bound = [one for port, bindings in ports.items() if port.endswith("/tcp") for one in bindings or ()]
    return frozenset(int(one["HostPort"]) for one in bound)


def image(document: Document) -> Image:
    """An inspected image."""
    return Image(
        id=document["Id"],
        tags=_named(document.get("RepoTags")),
        repo_digests=_named(document.get("RepoDigests")),
        os=document.get("Os", ""),
        architecture=document.get("Architecture", ""),
        variant=document.get("Variant", ""),
        size=int(document.get("Size") or 0),
        document=document,
    )


def network(document: Document) -> Network:
    """An inspected network, or a row of the network list (which has no members)."""
    ranges = (document.get("IPAM") or {}).get("Config") or ()
    members = document.get("Containers") or {}
    return Network(
        id=document["Id"],
        name=document["Name"],
        driver=document.get("Driver", ""),
        internal=bool(document.get("Internal")),
        labels=document.get("Labels") or {},
        subnets=tuple(sorted((part["Subnet"] for part in ranges if part.get("Subnet")), key=_is_ipv6)),
        members={key: value.get("Name", "") for key, value in members.items()},
        created=moment(document.get("Created")),
    )


def file_stat(document: Document) -> FileStat:
    """What the engine says of a path in a container."""
    return FileStat(
        size=int(document["size"]),
        regular=not int(document["mode"]) & _NO_REGULAR_FILE,
        modified=moment(document["mtime"]),
    )


def event(line: Document) -> Event | None:
    """A line of the event stream; None where it is not about an object."""
    actor = line.get("Actor")
    if not actor or "Type" not in line:
        return None
    return Event(
        kind=line["Type"],
        action=line.get("Action", ""),
        id=actor.get("ID", ""),
        attributes=actor.get("Attributes") or {},
        time_ns=int(line.get("timeNano") or 0),
    )


def moment(text: str | None) -> datetime:
    """The engine's time stamp; the epoch where there is none."""
    if not text:
        return datetime.fromtimestamp(0, UTC)
    return datetime.fromisoformat(text).astimezone(UTC)


def _own_name(names: Iterable[str]) -> str:
    """The container's name; the other entries are link aliases such as `/other/alias`."""
    return next((name[1:] for name in names if name.count("/") == 1), "")


def _health(health: Mapping[str, Any]) -> Health:
    try:
        return Health(health.get("Status") or "none")
    except ValueError:
        return Health.NONE


def _last_output(health: Mapping[str, Any]) -> str:
    log = health.get("Log") or ()
    return str(log[-1].get("Output", "")).strip() if log else ""


def _endpoints(document: Document) -> dict[str, Endpoint]:
    networks = (document.get("NetworkSettings") or {}).get("Networks") or {}
    return {name: _endpoint(document, name, settings or {}) for name, settings in networks.items()}


def _endpoint(document: Document, name: str, settings: Mapping[str, Any]) -> Endpoint:
    wanted = endpoint_settings(document, name)
    return Endpoint(
        network=name,
        network_id=settings.get("NetworkID", ""),
        aliases=tuple(wanted.get("Aliases", ())),
        ip_address=settings.get("IPAddress", ""),
        mac_address=settings.get("MacAddress", ""),
        settings=wanted,
        ipv6_address=settings.get("GlobalIPv6Address") or "",
    )


def _is_ipv6(subnet: str) -> bool:
    return ":" in subnet


def _named(references: Iterable[str] | None) -> tuple[str, ...]:
    """Tags or digests without the engine's placeholders for images that have none."""
    return tuple(text for text in references or () if not text.startswith("<none>"))
