"""The bake: what serves is watched for a while before its update counts as done."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tidegate.agent.guard import Guard, Interfered
from tidegate.agent.hands import STOPPING, Unhealthy
from tidegate.agent.meanwhile import find
from tidegate.agent.missed import ensure_same_engine
from tidegate.agent.outcome import Broken
from tidegate.agent.racing import end_all, race
from tidegate.agent.replacement import Replacement
from tidegate.agent.tools import Tools
from tidegate.domain.policy import Policy

GuardOf = Callable[[Replacement], Guard]


class Bake:
    """Watches the containers of one transaction, all at once, each for the time that its policy says."""

    def __init__(self, tools: Tools, policies: Mapping[str, Policy], guard_of: GuardOf, stop: asyncio.Event) -> None:
        """`policies` maps a replacement's id to its policy."""
        self._tools = tools
        self._policies = policies
        self._guard_of = guard_of
        self._stop = stop

    async def watch(self, replaced: Sequence[tuple[Replacement, int]]) -> None:
        """Return when all have held. Raises `Broken` for the first that does not, `ToldToStop`.

        Each comes with the time, in nanoseconds, from which on nobody has looked at what people do to it.
        """
        watches = [asyncio.ensure_future(self._one(it, since_ns)) for it, since_ns in replaced]
        try:
            await asyncio.gather(*watches)
        finally:
            await end_all(watches)

    async def _one(self, it: Replacement, since_ns: int) -> None:
        """A person who acts on a serving container ends its watch: it is theirs from then on."""
        guard = self._guard_of(it)
        with self._tools.hub.listening(guard.feed):
            if not it.was_running:
                return
            await self._catch_up(guard, it, since_ns)
            try:
                await race(self._tools.prover.bake(it.candidate or "", self._policies[it.id]), guard, self._stop)
            except Interfered:
                await guard.quiet()
                await ensure_same_engine(self._tools.engine, guard)
            except Unhealthy as verdict:
                if await find(self._tools.engine, it.candidate) is None:
                    return  # whoever removed it did so unseen
                raise Broken(it.name, verdict) from verdict

    async def _catch_up(self, guard: Guard, it: Replacement, since_ns: int) -> None:
        """Others of the transaction were on their way meanwhile."""
        candidate = it.candidate or ""
        guard.candidate_is(candidate)
        guard.ours(candidate, "start")
        guard.ours(it.incumbent, *STOPPING, "destroy")
        guard.may_come_back(candidate)
        for event in await self._tools.past_events(since_ns):
            guard.feed(event)
