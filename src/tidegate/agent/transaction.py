"""One transaction: the containers of one unit move together to a new release, or none of them does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import structlog

from tidegate.agent.baking import Bake
from tidegate.agent.guard import Guard, Interfered
from tidegate.agent.hands import Hands, Prove, Unhealthy
from tidegate.agent.hold import Hold
from tidegate.agent.meanwhile import is_to_go_back, runs_newer
from tidegate.agent.outcome import Broken, Ending, Inconclusive, Result, result_of
from tidegate.agent.racing import race
from tidegate.agent.replacement import Replacement
from tidegate.agent.riders import bring_along
from tidegate.agent.second_opinion import go_on_with_stop_first, worth_a_second_opinion
from tidegate.agent.stopping import ToldToStop, brought_to_rest
from tidegate.agent.tools import Tools
from tidegate.agent.way_back import BACK, ProveAnyway, reverse_of
from tidegate.domain.policy import Policy
from tidegate.domain.transaction import Settlement, Step, cut_of, steps_of
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError

_ONLY_RUNNING = {Step.START, Step.PROVE}
"""Steps that a container which did not run before is spared: it is made anew, and stays stopped."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Transaction:
    """The run of one unit. `policies` maps a replacement's id to its policy.

    `replaced` are those whose candidate serves. `theirs` are containers that somebody acted on, with the newer release
    in their place, and what was done. `hold` is for the quarantine, once the transaction is committed. When `stop` is
    set, it comes to rest as soon as it can.
    """

    id: str
    tools: Tools
    replacements: Sequence[Replacement]
    policies: Mapping[str, Policy]
    replaced: list[Replacement] = field(default_factory=list)
    theirs: dict[str, str] = field(default_factory=dict)
    hold: Hold | None = None
    ends: dict[str, Settlement] = field(default_factory=dict)
    needs_serving: dict[str, str] = field(default_factory=dict)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _began_ns: int = field(default_factory=time.time_ns)
    _replaced_ns: dict[str, int] = field(default_factory=dict)
    _cut: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def begin(self, *, handover: bool = False) -> None:
        """Write down what is about to be done, before anything is. `handover`: by the agent's successor."""
        records = [it.record() for it in self.replacements]
        hold = self.hold.record() if self.hold else None
        self.tools.journal.begin(
            self.id, {"kind": "begin", "handover": handover, "replacements": records, "hold": hold}
        )

    async def run(self) -> Result:
        """From first touch to commit or rollback. Raises `EngineUnavailableError`; recovery goes on from there."""
        self.begin()
        for it in self.replacements:
            result = await self.forward(it)
            if result is not None:
                return await self._undo(result)
        return await self.bake()

    async def _undo(self, result: Result) -> Result:
        """Put back what was replaced already, newest first; what people did to it meanwhile stands."""
        if self.replaced:
            events = await self.tools.past_events(self._began_ns)
            for it in reversed(self.replaced):
                if it.parent:
                    continue  # it is brought along when its parent is back
                since_ns = self._replaced_ns.get(it.id, self._began_ns)
                if await is_to_go_back(it, self.tools.engine, [one for one in events if one.time_ns > since_ns]):
                    await self.put_back(it)
        await self.bring_riders_along()
        return self.finish(result)

    async def bring_riders_along(self) -> None:
        """After a way back: what lives in another's namespaces lives in those that it has now."""
        for it in self.replacements:
            if it.parent:
                await bring_along(it, self.ends.get(it.name), self.tools.engine, self._remake)

    async def _remake(self, back: Replacement) -> None:
        self._note({"kind": "reverse", "replacement": back.record()})
        await self.reverse(back, self.policies[back.id.removesuffix(BACK)])

    async def bake(self) -> Result:
        """Watch what serves now; then it is done, or it goes back."""
        self._note({"kind": "bake"})
        try:
            await Bake(self.tools, self.policies, self.guard, self.stop).watch(self.replaced)
        except Broken as verdict:
            self._note({"kind": "verdict", "reason": str(verdict), "container": verdict.container})
            result = Result(Ending.ROLLED_BACK, str(verdict), blame=True, culprit=verdict.container)
            return await self._undo(result)
        for it in self.replaced:
            if it.private is not None:
                await self.tools.private.release(it.private)
        return self.finish(Result(Ending.COMMITTED, "; ".join(["healthy", *self.theirs.values()]), ends=self.ends))

    async def forward(self, it: Replacement) -> Result | None:
        """Replace one container; None when its candidate serves, else how it ended."""
        guard = self.guard(it)
        async with self._following(guard):
            try:
                await self._catch_up(guard)
                await self.walk(it, guard)
            except EngineUnavailableError:
                raise
            except (Unhealthy, Inconclusive, Interfered, EngineError, ToldToStop) as cause:
                result = await self._settle(it, guard, cause)
                if result is not None or it.name in self.theirs:
                    return result
        self.note_replaced(it)
        return None

    async def _catch_up(self, guard: Guard) -> None:
        """Show a later member's guard what people have done since the transaction began."""
        if self.replaced or self.theirs:
            for event in await self.tools.past_events(self._began_ns):
                guard.feed(event)

    @contextlib.asynccontextmanager
    async def _following(self, guard: Guard) -> AsyncIterator[None]:
        """Follow the events, and let go in the end of what watched over a cut."""
        with self.tools.hub.listening(guard.feed):
            async with self._cut:
                yield

    async def _watch_over_cut(self, it: Replacement) -> None:
        """Get ready for the time in which nobody answers, so that clients do not wait longer than that."""
        with contextlib.suppress(NotFoundError):
            incumbent = await self.tools.engine.container(it.incumbent)
            await self._cut.enter_async_context(self.tools.announce.during_cut(incumbent))

    async def _settle(self, it: Replacement, guard: Guard, cause: BaseException) -> Result | None:
        """End a replacement that was cut short; None where it came out with the candidate all the same."""
        if isinstance(cause, Unhealthy | EngineError):
            await guard.news()
        if guard.interfered:
            await guard.quiet()
        back = isinstance(cause, Unhealthy | Inconclusive) and not guard.interfered
        if back and isinstance(cause, Unhealthy):
            self._note({"kind": "verdict", "reason": f"{it.name}: {cause}", "container": it.name})
        end = await self.settle(it, guard, back=back)
        if isinstance(cause, ToldToStop | EngineError) and _goes_on(end, guard):
            return None
        result = result_of(it, cause, end, interfered=guard.interfered)
        if len(self.replacements) > 1 and guard.interfered and await runs_newer(it, end, guard, self.tools.engine):
            self.note_theirs(it, result.reason)
            return None
        self.note_settled(it, end, gave_way=guard.interfered)
        return result

    async def settle(
        self, it: Replacement, guard: Guard, *, back: bool = False, chosen: Settlement | None = None
    ) -> Settlement:
        """Bring one replacement to rest; what is decided is written down first."""

        def decided(end: Settlement) -> None:
            self._note({"kind": "settling", "id": it.id, "end": end, "gave_way": guard.interfered})

        end = await self.tools.settler.settle(it, guard, decided, back=back, chosen=chosen)
        self.ends[it.name] = end
        return end

    async def settled(self, it: Replacement, guard: Guard, cause: BaseException) -> Result:
        """End a transaction of one replacement that was cut short. A `CancelledError` is raised again, at rest."""
        told = isinstance(cause, asyncio.CancelledError)
        result = await brought_to_rest(self._settle(it, guard, ToldToStop() if told else cause), self.stop)
        ended = self.finish(result or Result(Ending.COMMITTED, "it came out with the new container all the same"))
        if told:
            raise cause
        return ended

    async def walk(self, it: Replacement, guard: Guard) -> None:
        """Take every step that is not done yet."""
        for step in steps_of(it.strategy):
            if step in it.done or (step in _ONLY_RUNNING and not it.was_running):
                continue
            try:
                await self.take(step, it, guard)
            except Unhealthy as verdict:
                if not worth_a_second_opinion(it, step):
                    raise
                await self._second_opinion(it, guard, verdict)
                await self.walk(it, guard)
                return

    async def take(self, step: Step, it: Replacement, guard: Guard, prove: Prove | None = None) -> None:
        """Write one step down, then do it. Raises `Unhealthy`, `Interfered`, `EngineError`."""
        stop = None if it.reverse else self.stop
        if step is cut_of(it.strategy):
            await race(self._watch_over_cut(it), guard, stop)
        self._note(it.step_record(step))
        await race(self._hands(it, guard, prove).perform(step), guard, stop)
        it.done.add(step)

    async def _second_opinion(self, it: Replacement, guard: Guard, verdict: Unhealthy) -> None:
        """Tell a broken release from a private network that was not enough, and go on with stop-first if so.

        Raises `Unhealthy` where the release fails on its serving networks too.
        """
        self._note({"kind": "second-opinion", "id": it.id, "first": str(verdict)})
        await self._hands(it, guard).abandon_candidate()
        try:
            await race(self.tools.prover.second_opinion(it, self.policies[it.id], guard), guard, self.stop)
        except Unhealthy as second:
            raise Unhealthy(f"{verdict}; on its serving networks too: {second}") from verdict
        self.needs_serving[it.name] = str(verdict)
        go_on_with_stop_first(it, str(verdict))

    async def put_back(self, it: Replacement) -> None:
        """Bring the release back that ran before. It is not judged: a rollback is never rolled back."""
        try:
            back = await reverse_of(it, self.tools.engine)
        except NotFoundError:
            _log.info("nothing is put back: somebody removed it meanwhile", container=it.name)
            return
        await self._remake(back)

    async def reverse(self, back: Replacement, policy: Policy) -> None:
        """Walk a replacement whose candidate is the earlier release."""
        guard = self.guard(back)
        prove = ProveAnyway(self.tools.prover, policy, self.stop)
        async with self._following(guard):
            try:
                for step in steps_of(back.strategy):
                    if step not in back.done and (back.was_running or step not in _ONLY_RUNNING):
                        await self.take(step, back, guard, prove)
            except EngineUnavailableError:
                raise
            except (Unhealthy, Interfered, EngineError) as cause:
                await self._settle_reverse(back, guard, cause)
        self.ends[back.name] = Settlement.INCUMBENT
        self.note_reversed(back)

    def note_theirs(self, it: Replacement, why: str) -> None:
        """It runs the newer release as somebody else left it, and the others of the transaction go on."""
        self._note({"kind": "theirs", "id": it.id, "why": why})
        self.theirs[it.name] = why

    def note_settled(self, it: Replacement, end: Settlement, *, gave_way: bool) -> None:
        """It is at rest, and the transaction does not go on from here."""
        self._note({"kind": "settled", "id": it.id, "end": end, "gave_way": gave_way})

    def note_replaced(self, it: Replacement) -> None:
        """Its candidate serves, and the transaction may go on."""
        self._note({"kind": "replaced", "id": it.id})
        self.replaced.append(it)
        self._replaced_ns[it.id] = time.time_ns()
        self.ends[it.name] = Settlement.CANDIDATE

    def note_reversed(self, back: Replacement) -> None:
        """It runs the earlier release again."""
        self._note({"kind": "reversed", "id": back.id})

    async def _settle_reverse(self, back: Replacement, guard: Guard, cause: Exception) -> None:
        await guard.news()
        if guard.interfered:
            await guard.quiet()
        end = await self.settle(back, guard)
        _log.error("a rollback was cut short", container=back.name, reason=str(cause), end=str(end))

    def guard(self, it: Replacement) -> Guard:
        """What watches a replacement; listen with it before the first step."""
        guard = Guard((it.cluster, it.service, it.number), it.incumbent, it.id)
        if it.engine_may_start_it:
            guard.may_come_back(it.incumbent)
        return guard

    def _hands(self, it: Replacement, guard: Guard, prove: Prove | None = None) -> Hands:
        """The hands of one replacement; a reverse one has the policy of the replacement it undoes."""
        return self.tools.hands(it, self.policies[it.id.removesuffix(BACK)], guard, prove)

    def _note(self, record: Mapping[str, Any]) -> None:
        self.tools.journal.append(self.id, {**record, "time_ns": time.time_ns()})

    def finish(self, result: Result) -> Result:
        """Write down the end. The journal is closed by who has told of it, in the history and the quarantine."""
        ended = replace(result, ends=dict(self.ends), needs_serving_network=dict(self.needs_serving))
        self._note({"kind": "end", **asdict(ended)})
        return ended


def _goes_on(end: Settlement, guard: Guard) -> bool:
    """Whether a replacement that was cut short came out with its candidate, by nobody's doing but ours."""
    return end is Settlement.CANDIDATE and not guard.interfered
