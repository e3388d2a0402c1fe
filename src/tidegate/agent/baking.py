"""The bake: what serves is watched for a while before its update counts as done."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tidegate.agent.guard import Guard, Interfered
from tidegate.agent.hands import Unhealthy
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

    async def watch(self, replaced: Sequence[Replacement]) -> None:
        """Return when all have held. Raises `Broken` for the first that does not, `ToldToStop`."""
        watches = [asyncio.ensure_future(self._one(it)) for it in replaced]
        try:
            await asyncio.gather(*watches)
        finally:
            await end_all(watches)

    async def _one(self, it: Replacement) -> None:
        """A person who acts on a serving container ends its watch: it is theirs from then on."""
        guard = self._guard_of(it)
        with self._tools.hub.listening(guard.feed):
            guard.candidate_is(it.candidate or "")
            guard.may_come_back(it.candidate or "")  # others of the transaction were on their way meanwhile
            if not it.was_running:
                return
            try:
                await race(self._tools.prover.bake(it.candidate or "", self._policies[it.id]), guard, self._stop)
            except Interfered:
                await guard.quiet()
            except Unhealthy as verdict:
                raise Broken(it.name, verdict) from verdict
