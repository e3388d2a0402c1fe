"""What the labels of one container, over the agent's defaults, say about its updates."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tidegate.domain.rollout_policy import BusyThen
from tidegate.domain.transaction import Strategy


class Cut(StrEnum):
    """Whether requests in flight are waited for when the serving network moves."""

    GRACEFUL = "graceful"
    FAST = "fast"


@dataclass(frozen=True, slots=True)
class Hook:
    """A command for `sh -c` inside a container; `timeout_s` None is without limit."""

    command: str
    timeout_s: float | None


@dataclass(frozen=True, slots=True)
class ProbeHttp:
    """Healthy when `http://<container>:port/path` answers with 2xx or 3xx."""

    port: int
    path: str
    interval_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ProbeTcp:
    """Healthy when the port accepts a connection."""

    port: int
    interval_s: float
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ProbeExec:
    """Healthy when the command, run with `sh -c` inside the container, exits with 0."""

    command: str
    interval_s: float
    timeout_s: float


Probe = ProbeHttp | ProbeTcp | ProbeExec


@dataclass(frozen=True, slots=True)
class PolicyDefaults:
    """What holds where a container's labels say nothing. Windows and freezes are unparsed text."""

    monitor_only: bool = False
    no_pull: bool = False
    label_take_precedence: bool = False
    lifecycle_hooks: bool = False
    strategy: Strategy | None = None
    ingress_networks: tuple[str, ...] = ()
    overlap: bool = False
    cut: Cut = Cut.GRACEFUL
    drain_s: float = 0.0
    settle_s: float = 10.0
    health_timeout_s: float = 300.0
    bake_s: float = 30.0
    windows: tuple[str, ...] = ()
    freezes: tuple[str, ...] = ()
    busy_wait_s: float = 0.0
    busy_then: BusyThen = BusyThen.SKIP
    cooldown_s: float = 0.0
    keep_images: int | None = None
    stop_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """What to do with one container.

    `enable` None: no label says. `scope` None: no label. `depends_on` None: no label, so links and network
    mode say. `busy_wait_s` 0: without limit. `strategy` None: auto. `ingress_networks` empty: no label. `keep_images`
    None: all are kept. `stop_signal` and `stop_timeout_s` None: the container's own. `image` None: the container's own.
    """

    enable: bool | None
    scope: str | None
    monitor_only: bool
    no_pull: bool
    strategy: Strategy | None
    ingress_networks: tuple[str, ...]
    overlap: bool
    cut: Cut
    drain_s: float
    pre_check: Hook | None
    post_check: Hook | None
    pre_update: Hook | None
    post_update: Hook | None
    drain_hook: Hook | None
    probe: Probe | None
    settle_s: float
    health_timeout_s: float
    bake_s: float
    windows: tuple[str, ...]
    freezes: tuple[str, ...]
    busy_wait_s: float
    busy_then: BusyThen
    cooldown_s: float
    group: str | None
    depends_on: tuple[str, ...] | None
    keep_images: int | None
    stop_signal: str | None
    stop_timeout_s: float | None
    image: str | None


@dataclass(frozen=True, slots=True)
class BadLabel:
    """A label whose value cannot be used; `takes` says what can, `why` what is wrong with it where that is known."""

    label: str
    value: str
    takes: str
    why: str = ""

    def __str__(self) -> str:
        return f"label {self.label} is {self.value!r}; it takes {self.takes}" + (f" ({self.why})" if self.why else "")


class PolicyError(Exception):
    """The labels of one container cannot be used; the container is left alone, the others go on."""

    def __init__(self, bad: tuple[BadLabel, ...]) -> None:
        super().__init__("\n".join(str(label) for label in bad))
        self.bad = bad


def resolve_policy(labels: Mapping[str, str], defaults: PolicyDefaults) -> Policy:
    """Own label, else Watchtower's label, else the default. Raises `PolicyError` with every bad label."""
    from tidegate.domain.policy_reader import LabelReader, read_policy  # noqa: PLC0415 - it needs these types

    reader = LabelReader(labels)
    policy = read_policy(reader, defaults)
    if reader.bad:
        raise PolicyError(tuple(reader.bad))
    return policy
