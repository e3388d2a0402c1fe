"""One transaction: the containers of one unit move together to a new release, or none of them does."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from tidegate.agent.baking import Bake
from tidegate.agent.guard import Guard, Interfered
from tidegate.agent.hands import Unhealthy
from tidegate.agent.hold import Hold
from tidegate.agent.meanwhile import acted_on, is_to_go_back, missed, runs_newer
from tidegate.agent.notes import Notes
from tidegate.agent.outcome import Broken, Ending, Inconclusive, Result, result_of
from tidegate.agent.replacement import Replacement
from tidegate.agent.riders import bring_along, fallen_with_parent
from tidegate.agent.settling import describe
from tidegate.agent.state import StateError
from tidegate.agent.steps import ONLY_RUNNING, Steps
from tidegate.agent.stopping import ToldToStop, brought_to_rest
from tidegate.agent.tools import Tools
from tidegate.agent.way_back import BACK, ProveAnyway, reverse_of
from tidegate.domain.policy import Policy
from tidegate.domain.transaction import Settlement, steps_of
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError
from tidegate.engine.model import Event

_log = structlog.get_logger(__name__)


async def _nothing(replaced: Sequence[Replacement]) -> None:
    """What ran before is on the engine: the agent has not removed it."""


@dataclass(slots=True)
class Transaction:
    """The run of one unit. `policies` maps a replacement's id to its policy.

    What people do counts from `began_ns` on: before the containers were looked at. `replaced` are those whose candidate
    serves; `since_ns` tells, by id, from when on nobody has looked at what people do to it. `theirs` are containers
    that somebody acted on, with the newer release in their place, and what was done. `hold` is for the quarantine,
    once the transaction is committed. `assignments` are the ids of those of the manager that it carries out. When
    `stop` is set, it comes to rest as soon as it can. `before_undo` gets ready what the way back of these needs.
    `output` is what the container wrote last that failed.
    """

    id: str
    tools: Tools
    replacements: Sequence[Replacement]
    policies: Mapping[str, Policy]
    replaced: list[Replacement] = field(default_factory=list)
    theirs: dict[str, str] = field(default_factory=dict)
    hold: Hold | None = None
    assignments: Sequence[str] = ()
    ends: dict[str, Settlement] = field(default_factory=dict)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    before_undo: Callable[[Sequence[Replacement]], Awaitable[None]] = _nothing
    since_ns: dict[str, int] = field(default_factory=dict)
    notes: Notes = field(init=False)
    began_ns: int = field(default_factory=time.time_ns)
    output: str = ""
    steps: Steps = field(init=False)

    def __post_init__(self) -> None:
        self.notes = Notes(self.tools.journal, self.id)
        self.steps = Steps(self.tools, self.policies, self.notes, self.stop)

    def begin(self, *, handover: bool = False, delegated: bool = False) -> None:
        """Write down what is about to be done, before anything is.

        `handover`: by the agent's successor; `delegated`: by another updater, of which the agent takes over the proof.
        """
        self.notes.begin(
            self.replacements, self.hold, handover=handover, assignments=self.assignments, delegated=delegated
        )

    async def run(self) -> Result:
        """From first touch to commit or rollback. Raises `EngineUnavailableError`; recovery goes on from there.

        Raises `StateError` where it could not begin.
        """
        self.begin()
        for it in self.replacements:
            result = await self.forward(it)
            if result is not None:
                return await self.undo(result)
        return await self.bake()

    async def undo(self, result: Result) -> Result:
        """Put back what was replaced already, newest first; what people did to it meanwhile stands."""
        await self.before_undo(self.replaced)
        for it, events in reversed(await self.missed()):
            if it.parent:
                continue  # it is brought along when its parent is back
            if await is_to_go_back(it, self.tools.engine, events):
                await self.put_back(it)
        await self.bring_riders_along()
        return self.finish(result)

    def _watched_from(self) -> list[tuple[Replacement, int]]:
        return [(it, self.since_ns.get(it.id, self.began_ns)) for it in self.replaced]

    async def missed(self) -> list[tuple[Replacement, list[Event]]]:
        """What was replaced already, and what has happened since, as far as the engine remembers it."""
        return await missed(self._watched_from(), self.tools.past_events)

    async def _acted_on(self) -> str:
        """What was replaced already and somebody has acted on since, in words; empty where nobody has."""
        return await acted_on(await self.missed(), self.tools.engine)

    async def bring_riders_along(self) -> None:
        """After a way back: what lives in another's namespaces lives in those that it has now."""
        for it in self.replacements:
            if it.parent:
                await bring_along(it, self.ends.get(it.name), self.tools.engine, self.remake)

    async def remake(self, back: Replacement) -> None:
        """Walk the way back of one container, written down first."""
        self.notes.note("reverse", replacement=back.record())
        await self.reverse(back, self.policies[back.id.removesuffix(BACK)])

    async def bake(self) -> Result:
        """Watch what serves now; then it is done, or it goes back."""
        self.notes.note("bake")
        try:
            await Bake(self.tools, self.policies, self.guard, self.stop).watch(self._watched_from())
        except Broken as verdict:
            acted = await self._acted_on()
            if acted:
                return await self.undo(Result(Ending.GAVE_WAY, f"{verdict}; {acted}"))
            self.notes.verdict(str(verdict), verdict.container)
            await self.keep_output(verdict.container)
            result = Result(Ending.ROLLED_BACK, str(verdict), blame=True, culprit=verdict.container)
            return await self.undo(result)
        for it in self.replaced:
            if it.private is not None:
                await self.tools.private.release(it.private)
        return self.finish(Result(Ending.COMMITTED, "; ".join(["healthy", *self.theirs.values()]), ends=self.ends))

    async def forward(self, it: Replacement) -> Result | None:
        """Replace one container; None when its candidate serves, else how it ended."""
        guard = self.guard(it)
        async with self.steps.following(guard):
            try:
                await self._catch_up(guard)
                await self.steps.walk(it, guard)
            except EngineUnavailableError:
                raise
            except (Unhealthy, Inconclusive, Interfered, EngineError, StateError, ToldToStop) as cause:
                result = await self._settle(it, guard, cause)
                if result is not None or it.name in self.theirs:
                    return result
        self.note_replaced(it)
        return None

    async def _catch_up(self, guard: Guard) -> None:
        """Show a guard what people have done since the transaction was begun to be prepared."""
        for event in await self.tools.past_events(self.began_ns):
            guard.feed(event)

    async def _settle(self, it: Replacement, guard: Guard, cause: BaseException) -> Result | None:
        """End a replacement that was cut short; None where it came out with the candidate all the same."""
        if isinstance(cause, Unhealthy | EngineError):
            await guard.news()
        if guard.interfered:
            await guard.quiet()
        acted = "" if guard.interfered or isinstance(cause, ToldToStop) else await self._acted_on()
        cause = cause if acted else await fallen_with_parent(it, cause, self.tools.engine)
        back = isinstance(cause, Unhealthy | Inconclusive) and not guard.interfered
        if back and not acted:
            await self._note_failure(it, cause)
        end = await self.settle(it, guard, back=back)
        if isinstance(cause, ToldToStop | EngineError | StateError) and _goes_on(end, guard):
            return None
        if acted:  # what it lacked may have been just that
            self.notes.settled(it, end, gave_way=True)
            return Result(Ending.GAVE_WAY, f"{it.name}: {cause}; {acted}; {describe(end, it)}")
        result = result_of(it, cause, end, interfered=guard.interfered)
        if len(self.replacements) > 1 and guard.interfered and await runs_newer(it, end, guard, self.tools.engine):
            self.note_theirs(it, result.reason)
            return None
        self.notes.settled(it, end, gave_way=guard.interfered)
        return result

    async def settle(
        self, it: Replacement, guard: Guard, *, back: bool = False, chosen: Settlement | None = None
    ) -> Settlement:
        """Bring one replacement to rest; what is decided is written down first."""

        def decided(end: Settlement) -> None:
            self.notes.settling(it, end, gave_way=guard.interfered)

        policy = self.policies[it.id.removesuffix(BACK)]
        end = await self.tools.settler.settle(it, policy, guard, decided, back=back, chosen=chosen)
        self.ends[it.name] = end
        return end

    async def _note_failure(self, it: Replacement, cause: BaseException) -> None:
        """The verdict, before time is spent on what the candidate wrote, unless that is known already."""
        if isinstance(cause, Unhealthy):
            self.output = cause.output
            self.notes.verdict(f"{it.name}: {cause}", it.name, self.output)
        if not self.output:
            await self.keep_output(it.candidate)

    async def keep_output(self, container: str | None) -> None:
        """Note what a container wrote last that has failed, while it is there."""
        self.output = await self.tools.output.last(container)
        if self.output:
            self.notes.output(self.output)

    async def settled(self, it: Replacement, guard: Guard, cause: BaseException) -> Result:
        """End a transaction of one replacement that was cut short. A `CancelledError` is raised again, at rest."""
        told = isinstance(cause, asyncio.CancelledError)
        result = await brought_to_rest(self._settle(it, guard, ToldToStop() if told else cause), self.stop)
        ended = self.finish(result or Result(Ending.COMMITTED, "it came out with the new container all the same"))
        if told:
            raise cause
        return ended

    async def put_back(self, it: Replacement) -> None:
        """Bring the release back that ran before. It is not judged: a rollback is never rolled back."""
        try:
            back = await reverse_of(it, self.tools.engine)
        except NotFoundError:
            _log.info("nothing is put back: somebody removed it meanwhile", container=it.name)
            return
        await self.remake(back)

    async def reverse(self, back: Replacement, policy: Policy) -> None:
        """Walk a replacement whose candidate is the earlier release."""
        guard = self.guard(back)
        prove = ProveAnyway(self.tools.prover, policy, self.stop)
        async with self.steps.following(guard):
            try:
                for step in steps_of(back.strategy):
                    if step not in back.done and (back.was_running or step not in ONLY_RUNNING):
                        await self.steps.take(step, back, guard, prove)
            except EngineUnavailableError:
                raise
            except (Unhealthy, Interfered, EngineError) as cause:
                await self._settle_reverse(back, guard, cause)
        self.ends[back.name] = Settlement.INCUMBENT
        self.notes.note("reversed", id=back.id)

    def note_theirs(self, it: Replacement, why: str) -> None:
        """It runs the newer release as somebody else left it, and the others of the transaction go on."""
        self.notes.note("theirs", id=it.id, why=why)
        self.theirs[it.name] = why

    def note_delegated(self, it: Replacement, candidate: str) -> None:
        """Somebody else has put its candidate there on the agent's behalf, before now."""
        if it.candidate != candidate:
            it.candidate = candidate
            self.notes.note("made", id=it.id, candidate=candidate)
        if it.id not in {one.id for one in self.replaced}:
            self.steps.last_ns = time.time_ns()
            self.note_replaced(it)

    def note_replaced(self, it: Replacement) -> None:
        """Its candidate serves, and the transaction may go on."""
        self.since_ns[it.id] = self.steps.last_ns
        self.notes.note("replaced", id=it.id, since_ns=self.steps.last_ns)
        self.replaced.append(it)
        self.ends[it.name] = Settlement.CANDIDATE

    async def _settle_reverse(self, back: Replacement, guard: Guard, cause: Exception) -> None:
        await guard.news()
        if guard.interfered:
            await guard.quiet()
        end = await self.settle(back, guard)
        _log.error("a rollback was cut short", container=back.name, reason=str(cause), end=str(end))

    def guard(self, it: Replacement) -> Guard:
        """What watches a replacement; listen with it before the first step."""
        place = (it.cluster, it.service, it.number)
        guard = Guard(place, it.incumbent, it.id, slack_ns=self.tools.slack_ns)
        if it.engine_may_start_it:
            guard.may_come_back(it.incumbent)
        return guard

    def finish(self, result: Result) -> Result:
        """Write down the end. The journal is closed by who has told of it, in the history and the quarantine."""
        ended = replace(
            result,
            ends=dict(self.ends),
            needs_serving_network=dict(self.steps.needs_serving),
            output=self.output if result.ending in {Ending.ROLLED_BACK, Ending.INCONCLUSIVE} else "",
        )
        self.notes.note("end", **ended.record())
        return ended


def _goes_on(end: Settlement, guard: Guard) -> bool:
    """Whether a replacement that was cut short came out with its candidate, by nobody's doing but ours."""
    return end is Settlement.CANDIDATE and not guard.interfered
