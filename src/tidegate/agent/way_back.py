"""The way back: the same steps towards the release that ran before, which is not judged."""

import asyncio

import structlog

from tidegate.agent.guard import Guard
from tidegate.agent.hands import Unhealthy
from tidegate.agent.outcome import Inconclusive
from tidegate.agent.racing import race
from tidegate.agent.replacement import Replacement
from tidegate.agent.stopping import ToldToStop
from tidegate.agent.tools import Prover
from tidegate.domain.policy import Policy
from tidegate.domain.transaction import Strategy
from tidegate.engine.port import Engine

BACK = "-back"
_log = structlog.get_logger(__name__)


async def reverse_of(it: Replacement, engine: Engine) -> Replacement:
    """The replacement that leads back. What does not run any more is replaced at once, without an overlap."""
    running = (await engine.container(it.candidate or "")).running
    return Replacement(
        id=f"{it.id}{BACK}",
        cluster=it.cluster,
        service=it.service,
        number=it.number,
        name=it.name,
        incumbent=it.candidate or "",
        reference=it.reference,
        old_image=it.new_image,
        new_image=it.old_image,
        old_digest=it.new_digest,
        new_digest=it.old_digest,
        strategy=it.strategy if running else Strategy.STOP_FIRST,
        late=it.late if running else (),
        early=it.early if running else tuple(it.saved_endpoints),
        request=it.saved,
        endpoints=it.saved_endpoints,
        saved=it.request,
        saved_endpoints=it.endpoints,
        was_running=it.was_running,
        reverse=True,
    )


class ProveAnyway:
    """Waits for the earlier release to be healthy, and goes on when it is not: there is nothing better."""

    def __init__(self, prover: Prover, policy: Policy, stop: asyncio.Event) -> None:
        """An agent that is told to stop (`stop` is set) does not wait: it is to be at rest soon."""
        self._prover = prover
        self._policy = policy
        self._stop = stop

    async def __call__(self, container: str, guard: Guard, *, network: str | None) -> None:
        """Return when healthy, or when it is known not to be."""
        try:
            await race(self._prover.prove(container, self._policy, guard, network=network), guard, self._stop)
        except ToldToStop:
            _log.warning("put back without waiting for it: the agent was told to stop", container=container)
        except (Unhealthy, Inconclusive) as verdict:
            _log.error("the release that was put back is not healthy either", container=container, reason=str(verdict))
