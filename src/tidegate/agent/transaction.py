"""One transaction: the containers of one unit move together to a new release, or none of them does."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

import structlog

from tidegate.agent.events import EventHub
from tidegate.agent.guard import Guard, Interfered
from tidegate.agent.hands import Announce, Hands, Prove, Unhealthy
from tidegate.agent.injected import Kept
from tidegate.agent.private import PrivateNetworks
from tidegate.agent.replacement import Replacement
from tidegate.agent.settling import Settler, describe
from tidegate.domain.policy import Policy
from tidegate.domain.transaction import Settlement, Step, Strategy, cut_of, steps_of
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError
from tidegate.engine.model import Event
from tidegate.engine.port import Engine

BACK = "-back"
_ONLY_RUNNING = {Step.START, Step.PROVE}
"""Steps that a container which did not run before is spared: it is made anew, and stays stopped."""
_log = structlog.get_logger(__name__)


class Ending(StrEnum):
    """How a transaction ended."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled-back"
    GAVE_WAY = "gave-way"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Inconclusive(Exception):  # noqa: N818 - a verdict, not an error
    """The proof itself could not be made; nothing is known of the release."""


class Broken(Unhealthy):
    """A container that serves did not hold; `container` is its name."""

    def __init__(self, container: str, verdict: Unhealthy) -> None:
        super().__init__(f"{container}: {verdict}")
        self.container = container


class Journal(Kept, Protocol):
    """Where a step is written down before it is taken."""

    def begin(self, txid: str, record: Mapping[str, Any]) -> None:
        """Open a transaction; on disk when it returns."""

    def append(self, txid: str, record: Mapping[str, Any]) -> None:
        """Add a record; on disk when it returns."""

    def close(self, txid: str) -> None:
        """The transaction is over."""


class PastEvents(Protocol):
    """The engine's memory of what happened."""

    async def __call__(self, since_ns: int) -> list[Event]:
        """Events from then until now."""


class Prover(Protocol):
    """Gives verdicts."""

    async def prove(self, container: str, policy: Policy, guard: Guard, *, network: str | None) -> None:
        """Return when healthy. Raises `Unhealthy`, `Inconclusive`."""

    async def second_opinion(self, it: Replacement, policy: Policy, guard: Guard) -> None:
        """Prove the release on the serving networks, unnamed and without ports. Raises `Unhealthy`."""

    async def bake(self, container: str, policy: Policy) -> None:
        """Watch a serving container for its bake time. Raises `Unhealthy`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a transaction came to. `blame` tells whether a release is at fault and goes to quarantine.

    It is that of the container named `culprit`; an empty name blames all of them.
    """

    ending: Ending
    reason: str
    blame: bool = False
    ends: Mapping[str, Settlement] = field(default_factory=dict)
    needs_serving_network: Mapping[str, str] = field(default_factory=dict)
    culprit: str = ""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Result":
        """From the last record of a journal."""
        ends = {name: Settlement(end) for name, end in record["ends"].items()}
        needs = record["needs_serving_network"]
        culprit = record.get("culprit", "")
        return cls(Ending(record["ending"]), record["reason"], record["blame"], ends, needs, culprit)


@dataclass(frozen=True, slots=True)
class Tools:
    """What every transaction of an agent works with."""

    engine: Engine
    hub: EventHub
    private: PrivateNetworks
    settler: Settler
    prover: Prover
    announce: Announce
    journal: Journal
    past_events: "PastEvents"


@dataclass(slots=True)
class Transaction:
    """The run of one unit. `policies` maps a replacement's id to its policy."""

    id: str
    tools: Tools
    replacements: Sequence[Replacement]
    policies: Mapping[str, Policy]
    replaced: list[Replacement] = field(default_factory=list)
    ends: dict[str, Settlement] = field(default_factory=dict)
    needs_serving: dict[str, str] = field(default_factory=dict)
    _cut: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    def begin(self, *, handover: bool = False) -> None:
        """Write down what is about to be done, before anything is. `handover`: by the agent's successor."""
        records = [it.record() for it in self.replacements]
        self.tools.journal.begin(self.id, {"kind": "begin", "handover": handover, "replacements": records})

    async def run(self) -> Result:
        """From first touch to commit or rollback. Raises `EngineUnavailableError`; recovery goes on from there."""
        self.begin()
        for it in self.replacements:
            result = await self.forward(it)
            if result is not None:
                return await self._undo(result)
        return await self.bake()

    async def bake(self) -> Result:
        """Watch what serves now; then it is done, or it goes back."""
        self._note({"kind": "bake"})
        watches = [asyncio.ensure_future(self._bake_one(it)) for it in self.replaced]
        try:
            await asyncio.gather(*watches)
        except Broken as verdict:
            self._note({"kind": "verdict", "reason": str(verdict), "container": verdict.container})
            await _end(watches)
            result = Result(Ending.ROLLED_BACK, str(verdict), blame=True, culprit=verdict.container)
            return await self._undo(result)
        finally:
            await _end(watches)
        for it in self.replaced:
            if it.private is not None:
                await self.tools.private.release(it.private)
        return self.finish(Result(Ending.COMMITTED, "healthy", ends=self.ends))

    async def _bake_one(self, it: Replacement) -> None:
        """A person who acts on a serving container ends its watch: it is theirs from then on."""
        guard = self.guard(it)
        with self.tools.hub.listening(guard.feed):
            guard.candidate_is(it.candidate or "")
            guard.may_come_back(it.candidate or "")  # others of the transaction were on their way meanwhile
            if not it.was_running:
                return
            watch = self.tools.prover.bake(it.candidate or "", self.policies[it.id])
            try:
                await race(watch, guard)
            except Interfered:
                await guard.quiet()
            except Unhealthy as verdict:
                raise Broken(it.name, verdict) from verdict

    async def forward(self, it: Replacement) -> Result | None:
        """Replace one container; None when its candidate serves, else how it ended."""
        guard = self.guard(it)
        async with self._following(guard):
            try:
                await self.walk(it, guard)
            except EngineUnavailableError:
                raise
            except (Unhealthy, Inconclusive, Interfered, EngineError, asyncio.CancelledError) as cause:
                result = await self._settle(it, guard, cause)
                if result is not None:
                    return result
        self.note_replaced(it)
        return None

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
        end = await asyncio.shield(self.settle(it, guard, back=back))
        if isinstance(cause, asyncio.CancelledError | EngineError) and _goes_on(end, guard):
            if isinstance(cause, EngineError):
                return None
            self.note_replaced(it)
        else:
            self.note_settled(it, end, gave_way=guard.interfered)
        if isinstance(cause, asyncio.CancelledError):
            _log.warning("the agent was told to stop amid an update; its next start ends it", state=describe(end, it))
            raise cause
        return _result(it, cause, end, interfered=guard.interfered)

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
        """End a transaction of one replacement that was cut short."""
        result = await self._settle(it, guard, cause)
        return self.finish(result or Result(Ending.COMMITTED, "it came out with the new container all the same"))

    async def walk(self, it: Replacement, guard: Guard) -> None:
        """Take every step that is not done yet."""
        for step in steps_of(it.strategy):
            if step in it.done or (step in _ONLY_RUNNING and not it.was_running):
                continue
            try:
                await self.take(step, it, guard)
            except Unhealthy as verdict:
                if not self._worth_a_second_opinion(it, step):
                    raise
                await self._second_opinion(it, guard, verdict)
                await self.walk(it, guard)
                return

    async def take(self, step: Step, it: Replacement, guard: Guard, prove: Prove | None = None) -> None:
        """Write one step down, then do it. Raises `Unhealthy`, `Interfered`, `EngineError`."""
        if step is cut_of(it.strategy):
            await race(self._watch_over_cut(it), guard)
        self._note(_step_record(it, step))
        await race(self._hands(it, guard, prove).perform(step), guard)
        it.done.add(step)

    @staticmethod
    def _worth_a_second_opinion(it: Replacement, step: Step) -> bool:
        return step in _ONLY_RUNNING and it.strategy is not Strategy.STOP_FIRST and not it.reverse

    async def _second_opinion(self, it: Replacement, guard: Guard, verdict: Unhealthy) -> None:
        """Tell a broken release from a private network that was not enough, and go on with stop-first if so.

        Raises `Unhealthy` where the release fails on its serving networks too.
        """
        self._note({"kind": "second-opinion", "id": it.id, "first": str(verdict)})
        await self._hands(it, guard).abandon_candidate()
        try:
            await race(self.tools.prover.second_opinion(it, self.policies[it.id], guard), guard)
        except Unhealthy as second:
            raise Unhealthy(f"{verdict}; on its serving networks too: {second}") from verdict
        self.needs_serving[it.name] = str(verdict)
        _log.warning("not provable on a private network; stop-first instead", container=it.name, reason=str(verdict))
        it.strategy, it.early, it.late = Strategy.STOP_FIRST, tuple(it.endpoints), ()
        it.done = {Step.MOVE_TAG}

    async def _undo(self, result: Result) -> Result:
        """Put back what was replaced already, newest first; a person's doing is left as it is."""
        if result.ending is not Ending.GAVE_WAY:
            for it in reversed(self.replaced):
                await self.put_back(it)
        return self.finish(result)

    async def put_back(self, it: Replacement) -> None:
        """Bring the release back that ran before. It is not judged: a rollback is never rolled back."""
        back = await reverse_of(it, self.tools.engine)
        self._note({"kind": "reverse", "replacement": back.record()})
        await self.reverse(back, self.policies[it.id])

    async def reverse(self, back: Replacement, policy: Policy) -> None:
        """Walk a replacement whose candidate is the earlier release."""
        guard = self.guard(back)
        prove = _ProveAnyway(self.tools.prover, policy)
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

    def note_settled(self, it: Replacement, end: Settlement, *, gave_way: bool) -> None:
        """It is at rest, and the transaction does not go on from here."""
        self._note({"kind": "settled", "id": it.id, "end": end, "gave_way": gave_way})

    def note_replaced(self, it: Replacement) -> None:
        """Its candidate serves, and the transaction may go on."""
        self._note({"kind": "replaced", "id": it.id})
        self.replaced.append(it)
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
        policy = self.policies[it.id.removesuffix(BACK)]

        async def prove_strictly(container: str, guard: Guard, *, network: str | None) -> None:
            await self.tools.prover.prove(container, policy, guard, network=network)

        tools = self.tools
        return Hands(
            tools.engine,
            tools.private,
            replacement=it,
            policy=policy,
            guard=guard,
            prove=prove or prove_strictly,
            announce=tools.announce,
            kept=tools.journal,
        )

    def _note(self, record: Mapping[str, Any]) -> None:
        self.tools.journal.append(self.id, {**record, "time_ns": time.time_ns()})

    def finish(self, result: Result) -> Result:
        """Write down the end. The journal is closed by who has told of it, in the history and the quarantine."""
        ended = replace(result, ends=dict(self.ends), needs_serving_network=dict(self.needs_serving))
        self._note({"kind": "end", **asdict(ended)})
        return ended


class _ProveAnyway:
    """Waits for the earlier release to be healthy, and goes on when it is not: there is nothing better."""

    def __init__(self, prover: Prover, policy: Policy) -> None:
        self._prover = prover
        self._policy = policy

    async def __call__(self, container: str, guard: Guard, *, network: str | None) -> None:
        try:
            await self._prover.prove(container, self._policy, guard, network=network)
        except (Unhealthy, Inconclusive) as verdict:
            _log.error("the release that was put back is not healthy either", container=container, reason=str(verdict))


async def _end(tasks: Sequence[asyncio.Future[None]]) -> None:
    """Cancel what still runs and wait until it has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def race(work: Awaitable[None], guard: Guard) -> None:
    """Do the work unless somebody acts first. Raises `Interfered`."""
    task: asyncio.Future[None] = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(guard.wait())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        guard.check()
        await task
    finally:
        for future in (task, watch):
            future.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


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


def step_update(it: Replacement, record: Mapping[str, Any]) -> None:
    """Bring a replacement read from the journal up to one of its step records."""
    it.strategy = Strategy(record["strategy"])
    it.late, it.early = tuple(record["late"]), tuple(record["early"])
    it.candidate, it.private = record["candidate"], record["private"]
    it.done = {Step(step) for step in record["done"]}


def _step_record(it: Replacement, step: Step) -> dict[str, Any]:
    return {
        "kind": "step",
        "id": it.id,
        "doing": step,
        "done": sorted(it.done),
        "candidate": it.candidate,
        "private": it.private,
        "strategy": it.strategy,
        "late": list(it.late),
        "early": list(it.early),
    }


def _goes_on(end: Settlement, guard: Guard) -> bool:
    """Whether a replacement that was cut short came out with its candidate, by nobody's doing but ours."""
    return end is Settlement.CANDIDATE and not guard.interfered


def _result(it: Replacement, cause: BaseException, end: Settlement, *, interfered: bool) -> Result | None:
    if interfered:
        return Result(Ending.GAVE_WAY, f"{cause}; {describe(end, it)}")
    match cause:
        case Unhealthy():
            return Result(Ending.ROLLED_BACK, f"{it.name}: {cause}", blame=True, culprit=it.name)
        case Inconclusive():
            return Result(Ending.INCONCLUSIVE, f"{it.name}: {cause}; {describe(end, it)}")
        case _:
            return Result(Ending.FAILED, f"{it.name}: {cause}; {describe(end, it)}")
