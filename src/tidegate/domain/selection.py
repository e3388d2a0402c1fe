"""Which containers are ours, and why not: Watchtower's rules over labels, names, scope and state."""

import contextlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from tidegate.domain.labels import OWN, WATCHTOWER
from tidegate.domain.policy import Policy, PolicyDefaults, PolicyError, ProbeHttp, ProbeTcp, resolve_policy
from tidegate.domain.reference import InvalidReferenceError, match_image, parse_reference

ONE_OFF = "com.docker.compose.oneoff"
SWARM_TASK = "com.docker.swarm.task.id"
INSTANCE = f"{OWN}instance"
NO_SCOPE = "none"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What selection needs to know of a container. `state` is the engine's word, e.g. `running`."""

    id: str
    name: str
    image: str
    state: str
    labels: Mapping[str, str]
    auto_remove: bool = False
    network_mode: str = ""


@dataclass(frozen=True, slots=True)
class Filters:
    """What the operator asked for. Empty `names` or `repositories`: all. `scope` None: no scope filter.

    `self_id` is the agent's own container, if it runs in one.
    """

    names: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    label_enable: bool = False
    scope: str | None = None
    include_stopped: bool = False
    include_restarting: bool = False
    self_id: str | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Whether one container is looked after; `policy` is None where its labels cannot be used."""

    container_id: str
    selected: bool
    reason: str
    policy: Policy | None = field(default=None, repr=False)


def select(
    candidates: Iterable[Candidate], filters: Filters, defaults: PolicyDefaults | None = None
) -> list[Selection]:
    """One answer for each candidate, in their order."""
    known = tuple(candidates)
    homes = [one.network_mode for one in known if one.id == filters.self_id]
    return [_select_one(one, filters, defaults or PolicyDefaults(), homes) for one in known]


def name_matches(name: str, pattern: str) -> bool:
    """Whether a positional name means this container: exactly, with or without `/`, or as a whole by regex."""
    name = name.removeprefix("/")
    pattern = pattern.removeprefix("/")
    if name == pattern:
        return True
    try:
        return re.fullmatch(pattern, name) is not None
    except re.error:
        return False


def image_matches(image: str, patterns: Iterable[str]) -> bool:
    """Whether one of Watchtower's image filters means this image; what is no reference means nothing."""
    for pattern in patterns:
        with contextlib.suppress(InvalidReferenceError):
            if match_image(pattern, parse_reference(image)):
                return True
    return False


def _select_one(candidate: Candidate, filters: Filters, defaults: PolicyDefaults, homes: Collection[str]) -> Selection:
    try:
        policy = resolve_policy(candidate.labels, defaults)
    except PolicyError as error:
        return Selection(candidate.id, False, "; ".join(str(error).splitlines()))
    why_not = (
        _excluded_by_nature(candidate)
        or _excluded_by_label(policy, filters)
        or _excluded_by_scope(policy, filters)
        or _excluded_as_updater(candidate, policy, filters)
        or _excluded_by_name(candidate, filters)
        or _excluded_by_repository(policy.image or candidate.image, filters)
        or _excluded_by_state(candidate.state, filters)
        or _excluded_as_home(candidate, homes)
    )
    if why_not:
        return Selection(candidate.id, False, why_not, policy)
    if not policy.monitor_only and (unreachable := _out_of_reach(candidate, policy, homes)):
        return Selection(candidate.id, False, unreachable)
    return Selection(candidate.id, True, _why(candidate, policy, filters), policy)


def _excluded_by_nature(candidate: Candidate) -> str | None:
    if candidate.labels.get(ONE_OFF, "").lower() == "true":
        return "it is a one-off container of `compose run`"
    if SWARM_TASK in candidate.labels:
        return "it is a task of a Swarm service, and Swarm would put it back"
    if candidate.auto_remove:
        return "it is removed when it stops (--rm), so it cannot be put back"
    return None


def _excluded_by_label(policy: Policy, filters: Filters) -> str | None:
    if policy.enable is False:
        return "its enable label is false"
    if filters.label_enable and policy.enable is None:
        return "it has no enable label, and label-enable asks for one"
    return None


def _excluded_by_scope(policy: Policy, filters: Filters) -> str | None:
    own = policy.scope or NO_SCOPE
    if filters.scope is not None and own != filters.scope:
        return f"its scope is {own}, this agent's is {filters.scope}"
    return None


def _excluded_as_updater(candidate: Candidate, policy: Policy, filters: Filters) -> str | None:
    """Another agent, or a Watchtower, may be at work on other containers; it is for nobody but itself to end."""
    if not _is_agent(candidate) or candidate.id == filters.self_id:
        return None
    return f"it is another updater, of scope {policy.scope}" if policy.scope else "it is another updater"


def _is_agent(candidate: Candidate) -> bool:
    return INSTANCE in candidate.labels or candidate.labels.get(WATCHTOWER, "").lower() in {"true", "1", "t"}


def _excluded_by_name(candidate: Candidate, filters: Filters) -> str | None:
    if candidate.name.removeprefix("/") in {name.removeprefix("/") for name in filters.disabled}:
        return "it is in disable-containers"
    if filters.names and not any(name_matches(candidate.name, name) for name in filters.names):
        return f"its name is not among {', '.join(filters.names)}"
    return None


def _excluded_by_repository(image: str, filters: Filters) -> str | None:
    if not filters.repositories:
        return None
    try:
        name = parse_reference(image).name
        allowed = {parse_reference(repository).name for repository in filters.repositories}
    except InvalidReferenceError as error:
        return str(error)
    return None if name in allowed else f"its repository {name} is not in TIDEGATE_ALLOW_REPOSITORIES"


def _excluded_by_state(state: str, filters: Filters) -> str | None:
    if state == "running":
        return None
    if state == "restarting":
        return None if filters.include_restarting else "it is restarting, and include-restarting is not set"
    if state in {"created", "exited"}:
        return None if filters.include_stopped else f"it is {state}, and include-stopped is not set"
    return f"it is {state}"


def _excluded_as_home(candidate: Candidate, homes: Collection[str]) -> str | None:
    """To replace a container is to replace what lives in its network with it. `homes` are the agent's network modes."""
    if {f"container:{candidate.id}", f"container:{candidate.name}"}.isdisjoint(homes):
        return None
    return "the agent itself lives in its network; give the agent a network of its own to have it updated"


def _out_of_reach(candidate: Candidate, policy: Policy, homes: Collection[str]) -> str | None:
    """Why a probe label cannot be used: where the agent can have no network in common with the container."""
    if not isinstance(policy.probe, ProbeHttp | ProbeTcp):
        return None
    if candidate.network_mode == "none":
        return "nobody can reach it to probe it, as it has no network; use a health check or tidegate.probe.exec"
    if candidate.network_mode == "host" and any(home != "host" for home in homes):
        return (
            "the agent cannot reach it to probe it, as it is on the host's network and the agent is not; "
            "use a health check or tidegate.probe.exec, or give the agent network_mode: host"
        )
    return None


def _why(candidate: Candidate, policy: Policy, filters: Filters) -> str:
    if policy.enable:
        why = "its enable label is true"
    elif filters.names:
        why = "it was named"
    elif filters.scope not in (None, NO_SCOPE):
        why = f"its scope is {filters.scope}"
    else:
        why = f"it is {candidate.state}"
    return f"{why}; monitored only" if policy.monitor_only else why
