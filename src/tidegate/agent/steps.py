"""Takes the steps of a replacement: each is written down, then done."""

import contextlib
import time
from asyncio import Event
from collections.abc import AsyncIterator, Mapping

from tidegate.agent.guard import Guard
from tidegate.agent.hands import Hands, Prove, Unhealthy
from tidegate.agent.notes import Notes
from tidegate.agent.outcome import Inconclusive
from tidegate.agent.racing import race
from tidegate.agent.replacement import Replacement
from tidegate.agent.second_opinion import go_on_with_stop_first, too_late_for_one, worth_a_second_opinion
from tidegate.agent.tools import Tools
from tidegate.agent.way_back import BACK
from tidegate.domain.policy import Policy
from tidegate.domain.transaction import Step, cut_of, needs_candidate, steps_of
from tidegate.engine.errors import NotFoundError

ONLY_RUNNING = {Step.START, Step.PROVE}
"""Steps that a container which did not run before is spared: it is made anew, and stays stopped."""


class Steps:
    """Walks the replacements of one transaction, one after another."""

    def __init__(self, tools: Tools, policies: Mapping[str, Policy], notes: Notes, stop: Event) -> None:
        """`policies` maps a replacement's id to its policy. When `stop` is set, no step forward is ended."""
        self._tools = tools
        self._policies = policies
        self._notes = notes
        self._stop = stop
        self._cut = contextlib.AsyncExitStack()
        self.needs_serving: dict[str, str] = {}
        """By a container's name: why a private network is not enough for it."""
        self.handed_over = False
        """Whether the candidate is the agent that walks: that it runs is beyond doubt."""
        self.last_ns = time.time_ns()
        """When the last step was begun."""

    @contextlib.asynccontextmanager
    async def following(self, guard: Guard) -> AsyncIterator[None]:
        """Follow the events, and let go in the end of what watched over a cut."""
        with self._tools.hub.listening(guard.feed):
            async with self._cut:
                yield

    async def walk(self, it: Replacement, guard: Guard) -> None:
        """Take every step that is not done yet. Raises `Unhealthy`, `Inconclusive`, and what `take` raises."""
        for step in steps_of(it.strategy):
            if step in it.done or (step in ONLY_RUNNING and not it.was_running):
                continue
            try:
                await self._look(step, it, guard)
                await self.take(step, it, guard)
            except Unhealthy as verdict:
                if too_late_for_one(it, step):
                    self.needs_serving[it.name] = str(verdict)
                    raise Inconclusive(f"{verdict}, away from its serving networks") from verdict
                if not worth_a_second_opinion(it, step):
                    raise
                await self._second_opinion(it, guard, verdict)
                await self.walk(it, guard)
                return

    async def _look(self, step: Step, it: Replacement, guard: Guard) -> None:
        if needs_candidate(it.strategy, step) and it.was_running and not self.handed_over:
            await race(self._hands(it, guard).look(step), guard, self._stop)

    async def take(self, step: Step, it: Replacement, guard: Guard, prove: Prove | None = None) -> None:
        """Write one step down, then do it. Raises `Unhealthy`, `Interfered`, `EngineError`."""
        stop = None if it.reverse else self._stop
        if step is cut_of(it.strategy):
            await race(self._watch_over_cut(it), guard, stop)
        self.last_ns = time.time_ns()
        self._notes.step(it, step)
        await race(self._hands(it, guard, prove).perform(step), guard, stop)
        it.done.add(step)

    async def _watch_over_cut(self, it: Replacement) -> None:
        """Get ready for the time in which nobody answers, so that clients do not wait longer than that."""
        with contextlib.suppress(NotFoundError):
            incumbent = await self._tools.engine.container(it.incumbent)
            await self._cut.enter_async_context(self._tools.announce.during_cut(incumbent))

    async def _second_opinion(self, it: Replacement, guard: Guard, verdict: Unhealthy) -> None:
        """Tell a broken release from a private network that was not enough, and go on with stop-first if so.

        Raises `Unhealthy` where the release fails on its serving networks too.
        """
        self._notes.note("second-opinion", id=it.id, first=str(verdict))
        await self._hands(it, guard).abandon_candidate()
        try:
            await race(self._tools.prover.second_opinion(it, self._policies[it.id], guard), guard, self._stop)
        except Unhealthy as second:
            raise Unhealthy(f"{verdict}; on its serving networks too: {second}", second.output) from verdict
        self.needs_serving[it.name] = str(verdict)
        go_on_with_stop_first(it, str(verdict))

    def _hands(self, it: Replacement, guard: Guard, prove: Prove | None = None) -> Hands:
        """The hands of one replacement; a reverse one has the policy of the replacement it undoes."""
        return self._tools.hands(it, self._policies[it.id.removesuffix(BACK)], guard, prove)
