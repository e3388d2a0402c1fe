"""What the rest of the program knows of containers, images and networks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

Document = Mapping[str, Any]
"""A JSON object as the engine gave it; only `engine/` and `domain/recreate.py` look inside one."""


class Health(StrEnum):
    """A container's health as Docker's own health check tells it."""

    NONE = "none"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class EngineVersion:
    """What the engine says it is, and the API version spoken with it."""

    engine: str
    api_max: str
    api_min: str
    api_used: str
    os: str
    architecture: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place on one network; `settings` is what `network connect` takes to make it again."""

    network: str
    network_id: str
    aliases: tuple[str, ...]
    ip_address: str
    mac_address: str
    settings: Document = field(repr=False)
    ipv6_address: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSummary:
    """One row of the container list."""

    id: str
    name: str
    image: str
    image_id: str
    state: str
    labels: Mapping[str, str]
    network_mode: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    """One inspected container; `document` is the whole of what the engine said."""

    id: str
    name: str
    image: str
    image_id: str
    labels: Mapping[str, str]
    created: datetime
    status: str
    running: bool
    exit_code: int
    oom_killed: bool
    restart_count: int
    started_at: str
    health: Health
    health_output: str
    restart_policy: Document
    auto_remove: bool
    stop_signal: str | None
    stop_timeout_s: int | None
    network_mode: str
    endpoints: Mapping[str, Endpoint]
    document: Document = field(repr=False)
    host_ports: frozenset[int] = frozenset()
    """The host's ports that lead to it now."""


@dataclass(frozen=True, slots=True)
class Image:
    """One image of the engine's store. `repo_digests` are `repository@sha256:...`."""

    id: str
    tags: tuple[str, ...]
    repo_digests: tuple[str, ...]
    os: str
    architecture: str
    variant: str
    size: int
    document: Document = field(repr=False)


@dataclass(frozen=True, slots=True)
class Network:
    """One network; `members` maps a container's id to its name, `created` is by the engine's clock.

    Of `subnets` those of IPv4 come first.
    """

    id: str
    name: str
    driver: str
    internal: bool
    labels: Mapping[str, str]
    subnets: tuple[str, ...]
    members: Mapping[str, str]
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the engine's event stream. `kind` is container, network or image; `time_ns` its clock."""

    kind: str
    action: str
    id: str
    attributes: Mapping[str, str]
    time_ns: int


@dataclass(frozen=True, slots=True)
class FileStat:
    """A path in a container; `modified` to the microsecond."""

    size: int
    regular: bool
    modified: datetime


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command run inside a container ended; `output` is the last 4 KiB of both streams."""

    exit_code: int
    output: str


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One line of a pull: a layer (or empty), what is being done to it, and bytes where they are known."""

    layer: str
    status: str
    current: int
    total: int
