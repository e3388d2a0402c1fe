"""Carries decisions out: units in the order of their dependencies, each in a transaction of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import structlog

from tidegate.agent.bookkeeping import Bookkeeping
from tidegate.agent.course import course_of
from tidegate.agent.decide import Decision
from tidegate.agent.hold import Hold
from tidegate.agent.hooks import HookOutcome
from tidegate.agent.interrupted import judged
from tidegate.agent.managed import Ends
from tidegate.agent.metrics import Metrics
from tidegate.agent.outcome import Ending, NotEndedError, NotPutBackError, Result
from tidegate.agent.plan_row import Action
from tidegate.agent.policies import policies_of
from tidegate.agent.prepare import Prepared, Preparer
from tidegate.agent.recovery import recover, resumed
from tidegate.agent.replacement import Replacement
from tidegate.agent.restarts import Restart, Restarts, start
from tidegate.agent.retention import Retention
from tidegate.agent.round import Round
from tidegate.agent.signatures import UnverifiedError
from tidegate.agent.state import State, StateError
from tidegate.agent.stopping import brought_to_rest
from tidegate.agent.survey import Survey
from tidegate.agent.tally import Closed, Tally, held
from tidegate.agent.tools import Tools, new_id
from tidegate.agent.transaction import Transaction
from tidegate.agent.unfinished import UNREADABLE, Unfinished
from tidegate.agent.unverified import Unverified
from tidegate.agent.update_hooks import UpdateHooks
from tidegate.domain.course import StepTook
from tidegate.domain.ordering import plan_units
from tidegate.domain.policy import Policy, PolicyDefaults
from tidegate.engine.errors import EngineError, EngineUnavailableError
from tidegate.registry.errors import RegistryError

Look = Callable[[], Awaitable[Survey]]
Walk = Callable[[Transaction], Awaitable[Result]]
_log = structlog.get_logger(__name__)


class Delegates(Protocol):
    """Who has another updater carry transactions out."""

    async def go_on(self, transaction: Transaction) -> Result:
        """End one that was cut off while the other updater was at it."""

    async def earlier(self, replacements: Sequence[Replacement]) -> None:
        """Have what the way back leads to on the engine. Raises `EngineError`."""


class Updater:
    """The acting half of the agent. What it has begun is at rest before a cancellation is raised."""

    def __init__(
        self,
        tools: Tools,
        preparer: Preparer,
        state: State,
        defaults: PolicyDefaults,
        look: Look,
        *,
        metrics: Metrics,
        revive: bool = False,
    ) -> None:
        """`look` tells what is on the engine now. `revive` starts what was stopped before its update."""
        self._look = look
        self._revive = revive
        self._tools = tools
        self._preparer = preparer
        self._defaults = defaults
        self._journal = state.journal
        self._history = state.history
        self._books = Bookkeeping(state, Retention(tools.engine, state), metrics)
        self._hooks = UpdateHooks(tools.engine, self._books, state.busy)
        self._restarts = Restarts(tools.engine, state.journal, tools.past_events)
        self.forget_gone = self._books.forget_gone
        self.tell_failure = self._books.tell_failure
        self._unverified = Unverified(self._books)
        self.tell_unverified = self._unverified.tell
        self.ask_hooks = self._hooks.before
        self.ends: Ends | None = None
        self.delegates: Callable[[], Delegates] | None = None

    async def carry_out(self, survey: Survey, decisions: Sequence[Decision], closed: Closed) -> Tally:
        """Update what is due. A unit that fails does not keep the others from their turn.

        `survey` is of everything: what depends on what is due starts again though it is not due itself. `closed` is
        asked of each when its turn comes: the updates before it may have taken hours.
        """
        due = [one for one in decisions if one.action is Action.UPDATE]
        tally = Tally()
        if not due:
            return tally
        round_ = Round.of(survey, {one.place.target for one in due})
        plan = plan_units(round_.nodes)
        for complaint in plan.complaints():
            _log.warning(complaint)
        units = [[one for target in unit.targets for one in due if one.place.target == target] for unit in plan.units]
        for number, members in enumerate(units):
            if members:
                round_.to_come = {one.place.target for later in units[number + 1 :] for one in later}
                await self._unit(members, tally, round_, closed)
        # what was to have its turn, and had not
        await brought_to_rest(self._restart(await self._restarts.begin(round_.to_restart())), asyncio.Event())
        return tally

    async def _unit(self, members: list[Decision], tally: Tally, round_: Round, closed: Closed) -> None:
        names = {one.place.name for one in members}
        if names & round_.moved:  # made anew with the container whose network they share, from the image they had
            tally.busy |= names
            return
        try:
            if held(members, tally, closed):
                return
            await self._preparer.admit(_followed(members))  # no hook stops work for what is not let in
            if not await self._hooks_allow(members, tally):
                return
            result = await self.update(members, round_)
        except EngineUnavailableError:
            raise
        except NotEndedError as error:
            tally.failed += len(members)
            _log.error("an update could not be ended; it is tried again soon", reason=str(error))
        except (EngineError, RegistryError, StateError) as error:
            tally.failed += len(members)
            self._books.tell_failure(members, str(error))
        except UnverifiedError as error:
            tally.failed += len(members)
            if self._unverified.tell(members, str(error)):
                tally.busy |= names
        else:
            tally.updated += len(members) if result.ending is Ending.COMMITTED else 0
            tally.failed += len(members) if result.ending not in {Ending.COMMITTED, Ending.GAVE_WAY} else 0

    async def _hooks_allow(self, members: Sequence[Decision], tally: Tally) -> bool:
        outcome = await self._hooks.before(members, alone=True)
        if outcome is HookOutcome.BUSY:
            tally.busy |= {one.place.name for one in members}
        if outcome is HookOutcome.FAILED:
            tally.failed += 1
        return outcome is HookOutcome.DONE

    async def update(
        self,
        members: Sequence[Decision],
        round_: Round,
        hold: Hold | None = None,
        *,
        assignments: Sequence[str] = (),
        walk: Walk = Transaction.run,
    ) -> Result:
        """One transaction over these containers, and what a commit of it brings with it.

        Raises `EngineError` or `UnverifiedError` where it could not begin, and `NotEndedError`. `hold` is what a
        rollback by hand leaves in the quarantine, `assignments` the ids of what the manager wants done by it. `walk`
        takes its steps.
        """
        txid, began_ns = new_id(), time.time_ns()
        prepared = await self._preparer.prepare(txid, _followed(members))
        for one in prepared:
            it = one.replacement
            _log.info("update begins", container=it.name, strategy=str(it.strategy), why=it.why, to=it.new_digest)
        transaction = Transaction(
            txid,
            self._tools,
            [one.replacement for one in prepared],
            {one.replacement.id: one.policy for one in prepared},
            hold=hold,
            assignments=assignments,
            began_ns=began_ns,
        )
        return await brought_to_rest(self._run(transaction, prepared, round_, walk), transaction.stop)

    async def _run(self, transaction: Transaction, prepared: Sequence[Prepared], round_: Round, walk: Walk) -> Result:
        began = datetime.now(UTC)
        try:
            result = await walk(transaction)
            self._hooks.forget(prepared)
            self._unverified.forget(prepared)
            await self.conclude(
                transaction.id,
                result,
                prepared,
                began=began,
                hold=transaction.hold,
                round_=round_,
                assignments=transaction.assignments,
            )
        except EngineUnavailableError:
            raise
        except NotPutBackError as error:
            self._tell_not_put_back(transaction.assignments, error)
            raise
        except EngineError as error:
            raise NotEndedError(str(error)) from error
        if transaction.stop.is_set():  # otherwise the end of the look does it
            await self._tools.private.collect(self._tools.journal.knows, datetime.now(UTC))
        return result

    async def recover(self, unfinished: Unfinished, own: str | None = None) -> None:
        """End a transaction that was cut off, and note how. `own` is the agent's container: it may be the candidate."""
        stop = asyncio.Event()
        if unfinished.restart is not None:
            await brought_to_rest(self._restarts.finish(unfinished.txid, unfinished.restart, unfinished.stops), stop)
        else:
            await brought_to_rest(self._recover(unfinished, own, stop), stop)

    async def _recover(self, unfinished: Unfinished, own: str | None, stop: asyncio.Event) -> None:
        began = datetime.now(UTC)
        policies = policies_of(unfinished.replacements, self._defaults)
        try:
            result = await self._ended(unfinished, policies, stop, own)
        except NotPutBackError as error:
            self._tell_not_put_back(unfinished.assignments, error)
            raise
        prepared = [Prepared(it, policies[it.id]) for it in unfinished.replacements]
        if unfinished.booked:
            await self._bring_with_it(unfinished.txid, prepared)
        else:
            await self.conclude(
                unfinished.txid,
                result,
                prepared,
                began=began,
                hold=unfinished.hold,
                assignments=unfinished.assignments,
            )

    async def _ended(
        self, unfinished: Unfinished, policies: Mapping[str, Policy], stop: asyncio.Event, own: str | None
    ) -> Result:
        if unfinished.delegated and unfinished.ended is None and self.delegates is not None:
            delegates = self.delegates()
            if unfinished.with_another:
                transaction = resumed(unfinished, self._tools, policies, stop)
                transaction.began_ns = int(min(it.began for it in unfinished.replacements).timestamp() * 1e9)
                return await delegates.go_on(transaction)
            await delegates.earlier(unfinished.replaced)
        return await recover(unfinished, self._tools, policies, stop, own)

    def _tell_not_put_back(self, assignments: Sequence[str], error: NotPutBackError) -> None:
        """Whoever assigned it hears at once that nothing serves; the journal stays open, and it is tried again."""
        try:
            if self.ends is not None:
                self.ends.not_put_back(assignments, str(error))
        except StateError as unwritten:
            _log.error("the manager cannot be told that nothing serves; it is tried again", reason=str(unwritten))

    async def conclude(
        self,
        txid: str,
        result: Result,
        prepared: Sequence[Prepared],
        *,
        began: datetime | None = None,
        hold: Hold | None = None,
        round_: Round | None = None,
        assignments: Sequence[str] = (),
    ) -> None:
        """Tell how a transaction ended, do what a commit brings with it, and close its journal.

        What is interrupted again and again is told as failed.
        Where that cannot be written, the journal stays open, and the next recovery does it.
        """
        try:
            result = judged(result, prepared, self._history, hold=hold, assigned=bool(assignments))
            result = replace(result, course=self._course(txid))
            await self._books.book(result, prepared, began, hold)
            if self.ends is not None:
                self.ends.ended(assignments, result, prepared)
            if result.ending is Ending.COMMITTED:
                self._journal.append(txid, {"kind": "booked"})
                await self._bring_with_it(txid, prepared, round_)
            else:
                self._journal.close(txid)
        except StateError as error:
            _log.error("how an update ended could not be noted; it is tried again", update=txid, reason=str(error))

    def _course(self, txid: str) -> tuple[StepTook, ...]:
        """What was waited for; nothing where that cannot be told, for it is no reason not to end."""
        try:
            return course_of(self._journal.records(txid))
        except (StateError, *UNREADABLE) as error:
            _log.warning("how long the steps of an update took is not known", update=txid, reason=str(error))
            return ()

    async def _bring_with_it(self, txid: str, prepared: Sequence[Prepared], round_: Round | None = None) -> None:
        """Post-update hooks and restarts; the journal stays open until the restarts have journals of their own."""
        round_ = round_ or Round.of(await self._look())
        round_.updated(prepared)
        await self._after(prepared)
        restarts = await self._restarts.begin(round_.to_restart())
        self._journal.close(txid)
        await self._restart(restarts)

    async def _after(self, prepared: Sequence[Prepared]) -> None:
        """Stopped containers are revived where that is asked for; post-update hooks run in the new containers."""
        for one in prepared:
            it = one.replacement
            if self._revive and not it.was_running and it.candidate is not None:
                await start(self._tools.engine, it.candidate, it.name)
            await self._hooks.after(one)

    async def _restart(self, restarts: Mapping[str, Restart]) -> None:
        for txid, restart in restarts.items():
            await self._restarts.finish(txid, restart)


def _followed(members: Sequence[Decision]) -> list[tuple[Decision, str]]:
    """Decisions with the references that their containers follow."""
    return [(one, one.place.followed) for one in members]
