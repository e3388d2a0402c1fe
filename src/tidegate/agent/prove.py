"""Health validation: watches a container until its verdict."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from tidegate.agent.guard import TRANSACTION, Guard
from tidegate.agent.hands import Unhealthy
from tidegate.agent.injected import hand_on
from tidegate.agent.outcome import Inconclusive
from tidegate.agent.output import Output, said_by_check, variables_of
from tidegate.agent.private import PrivateNetworks, network_of
from tidegate.agent.probe import run_probe
from tidegate.agent.replacement import SECOND, Replacement
from tidegate.domain.masking import masked
from tidegate.domain.policy import Policy
from tidegate.domain.recreate_candidate import for_second_opinion, nameless
from tidegate.domain.verdict import Observation, Outcome, ProbeResult, Terms, Verdict, decide, decide_bake
from tidegate.engine.errors import EngineError, NotFoundError, NotRunnableError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

_LOOK_EVERY_S = 0.5
_PROBES_KEPT = 20
_NO_GUARD = ("", "", "")
_log = structlog.get_logger(__name__)

Judge = Callable[[Observation, Terms, datetime], Verdict]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Watch:
    """One container under observation. `network` is where a probe is made, None for any it is on."""

    container: str
    policy: Policy
    network: str | None
    probes: list[ProbeResult] = field(default_factory=list)
    next_probe: datetime | None = None


class HealthProver:
    """Gives verdicts on real containers."""

    def __init__(
        self, engine: Engine, private: PrivateNetworks, output: Output, clock: Callable[[], datetime] = _now
    ) -> None:
        self._engine = engine
        self._private = private
        self._output = output
        self._clock = clock

    async def prove(self, container: str, policy: Policy, guard: Guard, *, network: str | None) -> None:
        """Return when healthy. Raises `Unhealthy`, `Inconclusive`, `Interfered`."""
        watch = _Watch(container, policy, network)
        if network is not None and self._private.needed_by(policy.probe):
            await self._private.enter(network)
        await self._until(watch, guard, decide, policy.health_timeout_s)

    async def bake(self, container: str, policy: Policy) -> None:
        """Watch a serving container for its bake time. Raises `Unhealthy`."""
        guard = Guard(_NO_GUARD, container, "")
        await self._until(_Watch(container, policy, None), guard, decide_bake, policy.bake_s)

    async def _until(self, watch: _Watch, guard: Guard, judge: Judge, limit_s: float) -> None:
        """Every restart counts, also one from before the watch: the container was made for this release."""
        begun = self._clock()
        terms = Terms(watch.policy.settle_s, begun + timedelta(seconds=limit_s))
        while True:
            container = await self._look(watch, guard)
            verdict = judge(_observation(container, watch, begun), terms, self._clock())
            if verdict.outcome is Outcome.HEALTHY:
                return
            if verdict.outcome is not Outcome.PENDING:
                await _pronounce(verdict, guard)
            await self._probe_if_due(watch, container)
            await guard.stirred(_pause_s((terms.deadline - self._clock()).total_seconds()))
            guard.check()

    async def _look(self, watch: _Watch, guard: Guard) -> Container:
        try:
            return await self._engine.container(watch.container)
        except NotFoundError as error:
            await guard.stirred(_LOOK_EVERY_S)
            guard.check()
            raise Unhealthy("it was removed while it was being watched") from error

    async def _probe_if_due(self, watch: _Watch, container: Container) -> None:
        probe, now = watch.policy.probe, self._clock()
        if probe is None or (watch.next_probe is not None and now < watch.next_probe):
            return
        watch.next_probe = now + timedelta(seconds=probe.interval_s)
        address = await self._address(container, watch.network)
        result = await run_probe(probe, address, self._engine, container.id)
        result = replace(result, detail=masked(result.detail, variables_of(container)))
        watch.probes = [*watch.probes[-_PROBES_KEPT:], result]

    async def _address(self, container: Container, network: str | None) -> str:
        """An address at which the container can be probed, or an empty string."""
        kind, _, other = container.network_mode.partition(":")
        if kind == "host":
            return "127.0.0.1" if self._private.on_host else ""
        if kind == "container":
            return await self._address(await self._engine.container(other), None)
        endpoints = container.endpoints
        network = network or await self._private.shared_with(container)
        wanted = [endpoints[network]] if network is not None and network in endpoints else list(endpoints.values())
        addresses = [one.ip_address for one in wanted] + [one.ipv6_address for one in wanted]
        return next(filter(None, addresses), "")

    async def second_opinion(self, it: Replacement, policy: Policy, guard: Guard) -> None:
        """Prove the release on the serving networks, unnamed and without ports. Raises `Unhealthy`."""
        name = f"{it.name}{SECOND}"
        await self._engine.remove(name, force=True, volumes=True)
        places: list[tuple[str | None, dict[str, Any]]] = [*it.endpoints.items()] or [(None, {})]
        first, settings = places[0]
        body = for_second_opinion(it.request, {TRANSACTION: it.id}, first, settings)
        try:
            container = await self._engine.create(name, body)
            for network, place in places[1:]:
                await self._engine.connect(network or "", container, nameless(place))
            await hand_on(self._engine, it, container)
            meeting = await self._meeting_place(it.id, container, policy)
            await self._start(container)
            await self.prove(container, policy, guard, network=meeting)
        except Unhealthy as verdict:
            verdict.output = await self._output.last(name)
            raise
        finally:
            await asyncio.shield(self._drop(name, it.id))

    async def _meeting_place(self, owner: str, container: str, policy: Policy) -> str | None:
        """A network shared with the agent's own container, where a probe needs one."""
        if not self._private.needed_by(policy.probe):
            return None
        network = await self._private.make(owner)
        await self._engine.connect(network, container, {})
        return network

    async def _start(self, container: str) -> None:
        try:
            await self._engine.start(container)
        except NotRunnableError as error:
            raise Unhealthy(f"it could not be started: {error}") from error

    async def _drop(self, name: str, owner: str) -> None:
        with contextlib.suppress(EngineError):
            await self._engine.remove(name, force=True, volumes=True)
            await self._private.remove(network_of(owner))


async def _pronounce(verdict: Verdict, guard: Guard) -> None:
    """Raise the verdict, unless it turns out that somebody stopped the container: then it is not the release's."""
    await asyncio.sleep(_LOOK_EVERY_S)
    guard.check()
    if verdict.outcome is Outcome.INCONCLUSIVE:
        raise Inconclusive(verdict.reason)
    raise Unhealthy(verdict.reason)


def _pause_s(left_s: float) -> float:
    """How long to wait before the next look; a settle time may go on after the deadline."""
    return min(_LOOK_EVERY_S, max(0.01, left_s)) if left_s > 0 else _LOOK_EVERY_S


def _observation(container: Container, watch: _Watch, begun: datetime) -> Observation:
    return Observation(
        running=container.running and container.status != "restarting",
        exit_code=container.exit_code,
        oom_killed=container.oom_killed,
        restart_count=container.restart_count,
        health=container.health.value,
        health_output=said_by_check(container),
        started_at=_started(container, begun),
        probes=watch.probes if watch.policy.probe is not None else None,
    )


def _started(container: Container, begun: datetime) -> datetime:
    """When it started by the engine's clock; never before the watch began, so that clocks may differ."""
    try:
        started = datetime.fromisoformat(container.started_at)
    except ValueError:
        return begun
    return max(started, begun) if started.tzinfo else begun
