"""A transaction whose steps forward are Watchtower's: it replaces the containers, the agent proves what it made.

What the way back needs is written down before Watchtower is told, so a kill at any moment ends as with a transaction
of the agent's own. The way back leads to the old release by digest: Watchtower follows tags, and would undo it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from tidegate.agent.guard import TRANSACTION, Guard, Interfered
from tidegate.agent.hands import STOPPING, Unhealthy
from tidegate.agent.missed import ensure_same_engine
from tidegate.agent.outcome import Broken, Ending, Inconclusive, NotPutBackError, Result
from tidegate.agent.racing import race
from tidegate.agent.replacement import Replacement
from tidegate.agent.stopping import ToldToStop
from tidegate.agent.tags import point_tag
from tidegate.agent.transaction import Transaction
from tidegate.agent.watchtower.client import BrokenOffError, SilentError, WatchtowerClient, WatchtowerError
from tidegate.agent.watchtower.found import Found, look
from tidegate.agent.watchtower.rehearsal import clear_away, rehearse
from tidegate.domain.recreate_candidate import for_candidate
from tidegate.domain.transaction import Settlement
from tidegate.engine.errors import EngineError, EngineUnavailableError
from tidegate.engine.port import Engine

BringBack = Callable[[str, str], Awaitable[None]]
"""Has a release, by reference and digest, on the engine. Raises `EngineError`."""
_BACK_WITHIN_S = 60.0
"""After a start of the host Watchtower's API may come a little later than the agent."""
_RESTARTED_WITHIN_S = 10.0
"""The engine starts a Watchtower again that has died; a service may be down meanwhile."""
_CUT_OFF = "the agent was stopped while Watchtower was at it"
_log = structlog.get_logger(__name__)


class Delegated:
    """Has Watchtower carry transactions out."""

    def __init__(self, client: WatchtowerClient | None, engine: Engine, bring_back: BringBack) -> None:
        """Without `client` there is no Watchtower any more: what it was at is ended all the same."""
        self._client = client
        self._engine = engine
        self._bring_back = bring_back

    async def run(self, transaction: Transaction) -> Result:
        """From the call of Watchtower to commit or rollback. Raises what `Transaction.run` raises."""
        transaction.before_undo = self._have_the_way_back
        transaction.begin(delegated=True)
        ended = transaction.tools.journal.ended
        refused = await rehearse(transaction.replacements, self._engine, transaction.notes, ended)
        if refused:
            transaction.ends |= {it.name: Settlement.INCUMBENT for it in transaction.replacements}
            return transaction.finish(Result(Ending.FAILED, refused))
        said = await self._waited(self._update(transaction.replacements), transaction.stop)
        found = await self._found(transaction)
        return await self._judged(transaction, found, Result(Ending.FAILED, "; ".join(_words(found, said))))

    async def go_on(self, transaction: Transaction) -> Result:
        """The same where the transaction has begun, also before a kill.

        Watchtower is not asked again for what it has not done: its tag may name something else by now. That is
        interrupted, and whoever wants it decides anew. An agent that is told to stop leaves the journal open
        (`ToldToStop`): Watchtower goes on without it.
        """
        transaction.before_undo = self._have_the_way_back
        await clear_away(transaction.replacements, self._engine)
        said = await self._waited(self._at_rest(_BACK_WITHIN_S), transaction.stop)
        found = await self._found(transaction)
        why = "; ".join(_words(found, said))
        untouched = not found.lost and not found.elsewhere and not found.idle
        short = Result(Ending.INTERRUPTED, f"{_CUT_OFF}; {why}") if untouched else Result(Ending.FAILED, why)
        return await self._judged(transaction, found, short)

    async def earlier(self, replacements: Sequence[Replacement]) -> None:
        """Before a way back that was cut off is gone on with: what it leads to is on the engine."""
        await self._have_the_way_back(replacements)

    async def _update(self, replacements: Sequence[Replacement]) -> None:
        if self._client is None:
            raise WatchtowerError("the agent has no Watchtower to tell")
        try:
            await self._client.update([it.reference for it in replacements])
        except BrokenOffError:
            await self._at_rest(_RESTARTED_WITHIN_S)
            raise

    async def _at_rest(self, patience_s: float) -> None:
        if self._client is not None:
            await self._client.at_rest(patience_s=patience_s)

    @staticmethod
    async def _waited(work: Awaitable[None], stop: asyncio.Event) -> str:
        """What Watchtower had to say to it. Raises `EngineError` while it may still be at work, `ToldToStop`."""
        try:
            await _unless_stopped(work, stop)
        except SilentError as error:  # whatever is judged now it would change later, with nobody looking
            raise EngineError(f"{error}. It may still be at work, so this update is ended when it is done") from error
        except WatchtowerError as error:
            return str(error)
        return ""

    async def _found(self, transaction: Transaction) -> Found:
        """What is there; what Watchtower made is written down, what people did is out of the agent's hands."""
        events = await transaction.tools.past_events(transaction.began_ns)
        found = await look(transaction.replacements, self._engine, events)
        for it in found.made:
            container = found.placed[it.id]
            if container is not None:
                transaction.note_delegated(it, container.id)
        transaction.replaced = [it for it in transaction.replaced if it.id not in found.theirs]
        return found

    async def _judged(self, transaction: Transaction, found: Found, short: Result) -> Result:
        """Proved and watched, if it has come to what was asked for; else put back. `short` tells how that ends."""
        if found.theirs:
            await self._restore(transaction, found)
            why = "; ".join([*found.theirs.values(), "what is there now stays"])
            return await transaction.undo(Result(Ending.GAVE_WAY, why))
        if found.short:
            await self._restore(transaction, found)
            return await transaction.undo(short)
        for it in found.moved:
            if found.went_down_with_the_engine(it):
                await self._engine.start(it.candidate or "")
        try:
            await self._have_the_way_back(transaction.replacements)
        except EngineUnavailableError:
            raise
        except EngineError as error:  # it is needed only if what runs now does not hold
            _log.warning("what ran before cannot be had now; the new release is proved all the same", why=str(error))
        return await self._proved(transaction)

    async def _have_the_way_back(self, replacements: Sequence[Replacement]) -> None:
        """Watchtower's cleanup removes what ran before; it is fetched again before it may be needed."""
        for it in replacements:
            await self._bring_back(it.reference, it.old_digest)

    async def _restore(self, transaction: Transaction, found: Found) -> None:
        """What Watchtower has stopped, or lost, runs again. Raises `NotPutBackError`, once all was tried."""
        stuck = []
        for it in transaction.replacements:
            if it.id in found.theirs:
                transaction.ends[it.name] = found.end_of(it)
        for it in found.left:
            if found.is_down(it):
                _log.error("Watchtower has stopped a container and done no more; it is started", container=it.name)
                stuck.append(await _refused(self._engine.start(it.incumbent), f"Watchtower has stopped {it.name}"))
            transaction.ends[it.name] = Settlement.INCUMBENT
        for it in found.lost:
            _log.error("Watchtower has lost a container; it is made anew", container=it.name)
            stuck.append(await _refused(self._make_anew(it), f"Watchtower has removed {it.name}"))
            transaction.ends[it.name] = Settlement.INCUMBENT
        if any(stuck):
            raise NotPutBackError("; ".join(filter(None, stuck)))

    async def _make_anew(self, it: Replacement) -> None:
        """What ran before, from its saved request. What a kill in here leaves in its place is put back once more."""
        await self._have_the_way_back([it])
        places: list[tuple[str | None, dict[str, Any]]] = [*it.saved_endpoints.items()] or [(None, {})]
        (first, settings), *rest = places
        body = for_candidate(it.saved, {TRANSACTION: it.id}, first, settings)
        container = await self._engine.create(it.name, body)
        for network, place in rest:
            await self._engine.connect(network or "", container, place)
        if it.was_running:
            await self._engine.start(container)
        await self._engine.set_restart_policy(container, it.saved_policy)
        await point_tag(self._engine, it.reference, it.old_image)

    async def _proved(self, transaction: Transaction) -> Result:
        """What serves is proved, then watched; it goes back where it does not hold."""
        for it in transaction.replaced:
            if not it.was_running:
                continue
            try:
                await self._prove(transaction, it)
            except Unhealthy as verdict:
                broken = Broken(it.name, verdict)
                transaction.notes.verdict(str(broken), it.name)
                await transaction.keep_output(it.candidate)
                return await transaction.undo(Result(Ending.ROLLED_BACK, str(broken), blame=True, culprit=it.name))
            except Inconclusive as error:
                return await transaction.undo(Result(Ending.INCONCLUSIVE, f"{it.name}: {error}; it was put back"))
            except Interfered as error:
                return await _gave_way(transaction, f"{it.name}: {error}")
            except EngineUnavailableError:
                raise
            except EngineError as error:
                return await transaction.undo(Result(Ending.FAILED, f"{it.name}: {error}"))
        return await transaction.bake()

    async def _prove(self, transaction: Transaction, it: Replacement) -> None:
        """Wait for the verdict. Raises `Unhealthy`, `Inconclusive`, `Interfered`, `ToldToStop`, `EngineError`."""
        guard = transaction.guard(it)
        with transaction.tools.hub.listening(guard.feed):
            await _catch_up(guard, it, transaction)
            try:
                await self._verdict(guard, it, transaction)
            except Interfered:
                await guard.quiet()
                await ensure_same_engine(self._engine, guard)
                raise

    @staticmethod
    async def _verdict(guard: Guard, it: Replacement, transaction: Transaction) -> None:
        policy = transaction.policies[it.id]
        proving = transaction.tools.prover.prove(it.candidate or "", policy, guard, network=None)
        try:
            await race(proving, guard, transaction.stop)
        except Unhealthy:
            await guard.news()  # it may have ended by somebody's hand, of which word comes a little later
            guard.check()
            raise


async def _refused(work: Awaitable[None], did: str) -> str:
    """Why what ran before is not there again, in words; empty where it is. Raises `EngineUnavailableError`."""
    try:
        await work
    except EngineUnavailableError:
        raise
    except EngineError as error:
        return f"{did}, and what ran before cannot run: {error}. Nothing serves there until that is mended"
    return ""


async def _catch_up(guard: Guard, it: Replacement, transaction: Transaction) -> None:
    """Show a guard what people have done since Watchtower was done: others may have been proved meanwhile."""
    candidate = it.candidate or ""
    guard.candidate_is(candidate)
    guard.ours(candidate, "start")
    guard.ours(it.incumbent, *STOPPING, "destroy")
    guard.may_come_back(candidate)
    for event in await transaction.tools.past_events(transaction.since_ns[it.id]):
        guard.feed(event)


async def _gave_way(transaction: Transaction, why: str) -> Result:
    """What somebody acted on is theirs. Others that moved with it were not proved, so all of them go back."""
    result = Result(Ending.GAVE_WAY, why)
    return transaction.finish(result) if len(transaction.replacements) == 1 else await transaction.undo(result)


def _words(found: Found, said: str) -> list[str]:
    """Why it has not come to what was asked for."""
    words = [said] if said else []
    down = [it for it in found.left if found.is_down(it)]
    still = [it for it in found.left if not found.is_down(it)]
    if still:
        words.append(f"Watchtower left {_names(still)} as it was; its log says why")
    if down:
        words.append(f"Watchtower stopped {_names(down)} and put nothing in its place; it was started again")
    if found.lost:
        lost = _names(found.lost)
        words.append(f"Watchtower removed {lost} and made nothing in its place; it was made anew with what ran before")
    if found.idle:
        words.append(f"Watchtower made {_names(found.idle)} anew but did not start it; what ran before was put back")
    if found.elsewhere:
        names = _names(found.elsewhere)
        words.append(f"Watchtower brought {names} another release than was assigned: the tag was moved meanwhile")
    return words


def _names(replacements: Sequence[Replacement]) -> str:
    return ", ".join(it.name for it in replacements)


async def _unless_stopped(work: Awaitable[None], stop: asyncio.Event) -> None:
    """Wait for it, unless the agent is told to stop. Raises `ToldToStop`."""
    doing, told = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, told}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            raise ToldToStop
        await doing
    finally:
        doing.cancel()
        told.cancel()
        await asyncio.gather(doing, told, return_exceptions=True)
