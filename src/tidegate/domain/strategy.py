"""Which strategy a target is updated with, and why: the sentence `plan` prints."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.domain.transaction import Strategy

REMEDY_OVERLAP = "label tidegate.overlap=true if two may run at once"


@dataclass(frozen=True, slots=True)
class NetworkFact:
    """What decides whether a container can join a network late. `driver` is the engine's driver name."""

    driver: str
    internal: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a container and its surroundings before it is updated.

    `networks` maps a name to its facts; `ingress` are the labelled networks it serves on, empty if not labelled.
    `needs_serving_network` is the reason an earlier proof on a private network was found to be at fault.
    """

    network_mode: str
    networks: Mapping[str, NetworkFact]
    published: tuple[str, ...] = ()
    static_addresses: tuple[str, ...] = ()
    devices: bool = False
    writable: tuple[str, ...] = ()
    sharers: tuple[str, ...] = ()
    ingress: tuple[str, ...] = ()
    host_gateway: bool = False
    overlap_allowed: bool = False
    running: bool = True
    needs_serving_network: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """A strategy, why, the networks joined only after the proof, and those joined at creation."""

    strategy: Strategy
    reason: str
    late: tuple[str, ...] = field(default=())
    early: tuple[str, ...] = field(default=())


def choose(facts: Facts, requested: Strategy | None) -> Choice:
    """The strategy for one container; `requested` is the label's, None for `auto`."""
    forbidden = _forbids_overlap(facts)
    if requested is Strategy.STOP_FIRST:
        return _stop_first(facts, "asked for by label")
    if forbidden:
        asked = f"{requested} was asked for, but " if requested else ""
        return _stop_first(facts, asked + forbidden)
    if facts.published:
        return _swap(facts, requested)
    if requested is Strategy.SWAP:
        return _start_first(facts, "swap was asked for, but no host port is published: nothing to swap")
    return _start_first(facts, "asked for by label" if requested else "nothing forbids an overlap")


def _forbids_overlap(facts: Facts) -> str | None:
    """Why candidate and incumbent must not run at once, or None."""
    kind = facts.network_mode.split(":", 1)[0]
    if not facts.running:
        return "it does not run, so there is nothing to overlap with"
    if kind in {"host", "container", "none"}:
        return f"network mode {facts.network_mode} cannot be had twice or joined late"
    if facts.sharers:
        return f"{_and(facts.sharers)} shares a namespace with it"
    if facts.static_addresses:
        return f"it has the static address {_and(facts.static_addresses)}"
    if facts.devices:
        return "it holds a device (GPU)"
    if facts.writable and not facts.overlap_allowed:
        return f"it writes to {_and(facts.writable)}; {REMEDY_OVERLAP}"
    return _forbids_late_join(facts)


def _forbids_late_join(facts: Facts) -> str | None:
    late = _late(facts)
    odd = [f"{name} ({facts.networks[name].driver})" for name in late if not _joinable(facts.networks[name])]
    if odd:
        return f"it serves on {_and(odd)}, which only bridge networks allow to be joined late"
    if facts.needs_serving_network:
        return f"it cannot be proved away from its serving network: {facts.needs_serving_network}"
    if facts.published and facts.host_gateway:
        return "it reaches the host by host-gateway, which a private network does not have"
    return None


def _joinable(network: NetworkFact) -> bool:
    return network.driver == "bridge"


def _late(facts: Facts) -> tuple[str, ...]:
    """The networks joined after the proof: those it serves on; with ports, every one that could publish them."""
    known = tuple(facts.networks)
    serving = tuple(name for name in known if name in facts.ingress) or known
    if not facts.published:
        return serving
    return tuple(name for name in known if name in serving or not facts.networks[name].internal)


def _split(facts: Facts) -> tuple[tuple[str, ...], tuple[str, ...]]:
    late = _late(facts)
    return late, tuple(name for name in facts.networks if name not in late)


def _swap(facts: Facts, requested: Strategy | None) -> Choice:
    ports = _and(facts.published)
    why = f"host port {ports} can be held by one container only"
    if requested is Strategy.START_FIRST:
        why = f"start-first was asked for, but {why}"
    late, early = _split(facts)
    return Choice(Strategy.SWAP, why, late, early)


def _start_first(facts: Facts, reason: str) -> Choice:
    late, early = _split(facts)
    return Choice(Strategy.START_FIRST, reason, late, early)


def _stop_first(facts: Facts, reason: str) -> Choice:
    return Choice(Strategy.STOP_FIRST, reason, (), tuple(facts.networks))


def _and(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004 - a line's length
