"""A transaction whose steps forward are Watchtower's: it replaces the containers, the agent proves what it made.

What the way back needs is written down before Watchtower is told, so a kill at any moment ends as with a transaction
of the agent's own. The way back leads to the old release by digest: Watchtower follows tags, and would undo it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from tidegate.agent.guard import NUMBER, PROJECT, SERVICE, TRANSACTION, Interfered
from tidegate.agent.hands import Unhealthy
from tidegate.agent.meanwhile import find
from tidegate.agent.outcome import Broken, Ending, Inconclusive, Result
from tidegate.agent.racing import race
from tidegate.agent.replacement import Replacement
from tidegate.agent.stopping import ToldToStop
from tidegate.agent.tags import point_tag
from tidegate.agent.transaction import Transaction
from tidegate.agent.watchtower.client import WatchtowerClient, WatchtowerError
from tidegate.domain.recreate_candidate import for_candidate
from tidegate.domain.transaction import Settlement
from tidegate.engine.errors import EngineError, EngineUnavailableError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

BringBack = Callable[[str, str], Awaitable[None]]
"""Has a release, by reference and digest, on the engine. Raises `EngineError`."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Found:
    """What Watchtower left of each container."""

    moved: list[Replacement] = field(default_factory=list)
    left: list[Replacement] = field(default_factory=list)
    lost: list[Replacement] = field(default_factory=list)
    elsewhere: list[Replacement] = field(default_factory=list)


class Delegated:
    """Has Watchtower carry transactions out."""

    def __init__(self, client: WatchtowerClient, engine: Engine, bring_back: BringBack) -> None:
        self._client = client
        self._engine = engine
        self._bring_back = bring_back

    async def run(self, transaction: Transaction) -> Result:
        """From the call of Watchtower to commit or rollback. Raises what `Transaction.run` raises."""
        transaction.begin(delegated=True)
        return await self.go_on(transaction)

    async def go_on(self, transaction: Transaction) -> Result:
        """The same where the transaction has begun, also before a kill: Watchtower, asked again, does what is left.

        An agent that is told to stop leaves the journal open (`ToldToStop`): Watchtower goes on without it.
        """
        said = ""
        try:
            asking = self._client.update([it.reference for it in transaction.replacements])
            await _unless_stopped(asking, transaction.stop)
        except WatchtowerError as error:
            said = str(error)
        found = await self._found(transaction)
        await self._have_the_way_back(transaction.replacements)
        if found.lost or found.left or found.elsewhere:
            return await self._fell_short(transaction, found, said)
        return await self._proved(transaction)

    async def earlier(self, replacements: Sequence[Replacement]) -> None:
        """Before a way back that was cut off is gone on with: what it leads to is on the engine."""
        await self._have_the_way_back(replacements)

    async def _found(self, transaction: Transaction) -> _Found:
        found = _Found()
        known = {it.id for it in transaction.replaced}
        for it in transaction.replacements:
            container = await self._now(it)
            if container is None:
                found.lost.append(it)
            elif container.id == it.incumbent:
                found.left.append(it)
            else:
                it.candidate = container.id
                if it.id not in known:
                    transaction.note_delegated(it)
                (found.moved if container.image_id == it.new_image else found.elsewhere).append(it)
        return found

    async def _now(self, it: Replacement) -> Container | None:
        """What is in its place: Watchtower keeps name and labels."""
        named = await find(self._engine, it.name)
        if named is not None or not it.cluster:
            return named
        labels = {PROJECT: it.cluster, SERVICE: it.service, NUMBER: it.number}
        rows = await self._engine.containers(labels=labels)
        return await find(self._engine, rows[0].id) if rows else None

    async def _have_the_way_back(self, replacements: Sequence[Replacement]) -> None:
        """Watchtower's cleanup removes what ran before; it is fetched again before it may be needed."""
        for it in replacements:
            await self._bring_back(it.reference, it.old_digest)

    async def _fell_short(self, transaction: Transaction, found: _Found, said: str) -> Result:
        why = "; ".join(_words(found, said))
        for it in found.lost:
            _log.error("Watchtower has lost a container; it is made anew", container=it.name)
            await self._make_anew(it)
            transaction.ends[it.name] = Settlement.INCUMBENT
        for it in found.left:
            transaction.ends[it.name] = Settlement.INCUMBENT
        return await transaction.undo(Result(Ending.FAILED, why))

    async def _make_anew(self, it: Replacement) -> None:
        """What ran before, from its saved request. What a kill in here leaves in its place is put back once more."""
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
                return await transaction.undo(Result(Ending.ROLLED_BACK, str(broken), blame=True, culprit=it.name))
            except Inconclusive as error:
                return await transaction.undo(Result(Ending.INCONCLUSIVE, f"{it.name}: {error}; it was put back"))
            except Interfered as error:
                return transaction.finish(Result(Ending.GAVE_WAY, f"{it.name}: {error}"))
            except EngineUnavailableError:
                raise
            except EngineError as error:
                return await transaction.undo(Result(Ending.FAILED, f"{it.name}: {error}"))
        return await transaction.bake()

    async def _prove(self, transaction: Transaction, it: Replacement) -> None:
        candidate = it.candidate or ""
        guard = transaction.guard(it)
        guard.candidate_is(candidate)
        guard.ours(candidate, "start")
        policy = transaction.policies[it.id]
        with transaction.tools.hub.listening(guard.feed):
            proving = transaction.tools.prover.prove(candidate, policy, guard, network=None)
            await race(proving, guard, transaction.stop)


def _words(found: _Found, said: str) -> list[str]:
    words = [said] if said else []
    if found.left:
        names = ", ".join(it.name for it in found.left)
        words.append(f"Watchtower left {names} as it was; its log says why")
    if found.lost:
        names = ", ".join(it.name for it in found.lost)
        words.append(f"Watchtower removed {names} and made nothing in its place; it was made anew with what ran before")
    if found.elsewhere:
        names = ", ".join(it.name for it in found.elsewhere)
        words.append(f"Watchtower brought {names} another release than was assigned: the tag was moved meanwhile")
    return words


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
