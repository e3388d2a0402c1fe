"""The agent's own update: the old process starts the new one, proves it, and hands the rest over to it.

Both run side by side for a moment, but only the one that holds the state's lock acts. The old one lets go of it
when the new one has connected and asked; if the new one dies before it has taken over, the lock falls back.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn, Protocol

import structlog

from tidegate.agent.command_rows import CommandOutcome
from tidegate.agent.control import ask
from tidegate.agent.decide import Decision
from tidegate.agent.guard import Guard, Interfered
from tidegate.agent.hands import Unhealthy
from tidegate.agent.outcome import Ending, Inconclusive
from tidegate.agent.prepare import Prepared
from tidegate.agent.racing import race
from tidegate.agent.replacement import Replacement
from tidegate.agent.signatures import UnverifiedError
from tidegate.agent.state import State, StateError
from tidegate.agent.tools import Tools, new_id
from tidegate.agent.transaction import Transaction
from tidegate.agent.updater import Updater
from tidegate.agent.within import within
from tidegate.domain.transaction import Step, Strategy, steps_of
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError
from tidegate.registry.errors import RegistryError

TAKE_OVER = "take-over"
_LOOK_EVERY_S = 0.5
_LOCK_WITHIN_S = 30.0
_ASK_TIMES = 10
_log = structlog.get_logger(__name__)


class Preparing(Protocol):
    """What builds the replacement."""

    async def prepare(self, txid: str, decisions: list[tuple[Decision, str]]) -> list[Prepared]:
        """Images pulled, requests built. Raises `EngineError`, `UnverifiedError`."""


class Successor:
    """The old agent's side of its own update."""

    def __init__(self, tools: Tools, preparer: Preparing, updater: Updater, state: State) -> None:
        self._tools = tools
        self._preparer = preparer
        self._updater = updater
        self._state = state
        self._expected: str | None = None
        self._asked = asyncio.Event()

    async def hand_over(self, decision: Decision, assignments: Sequence[str] = ()) -> Ending:
        """Start the successor and let it take over. Returns only where it did not, with everything put back.

        `assignments` are the ids of what the manager wants done by it. Raises `EngineUnavailableError`.
        """
        self._asked.clear()
        txid = new_id()
        try:
            one, *riders = await self._prepare(txid, decision)
        except EngineUnavailableError:
            raise
        except (EngineError, RegistryError) as error:
            self._updater.tell_failure([decision], str(error))
            return Ending.FAILED
        except UnverifiedError as error:
            self._updater.tell_unverified([decision], str(error))
            return Ending.FAILED
        return await self._hand_over(txid, one, riders, assignments)

    async def _hand_over(
        self, txid: str, one: Prepared, riders: Sequence[Prepared], assignments: Sequence[str]
    ) -> Ending:
        it, policy = one.replacement, one.policy
        policies = {each.replacement.id: each.policy for each in (one, *riders)}
        replacements = [each.replacement for each in (one, *riders)]
        transaction = Transaction(txid, self._tools, replacements, policies, assignments=assignments)
        transaction.begin(handover=True)
        guard = transaction.guard(it)
        with self._tools.hub.listening(guard.feed):
            try:
                await self._start(transaction, it, guard)
                await race(self._wait_until_asked(it, policy.health_timeout_s), guard)
                await self._step_aside(it, policy.health_timeout_s)
            except (Unhealthy, Interfered, EngineError, StateError, asyncio.CancelledError) as cause:
                return await self._undo(transaction, one, guard, cause)

    async def _prepare(self, txid: str, decision: Decision) -> list[Prepared]:
        """The agent's own replacement, then those of containers in its namespaces.

        Two agents may overlap: only one acts. Without host ports the networks are joined at once.
        """
        policy = decision.place.policy
        if policy is None:
            raise ValueError("the agent's own labels cannot be used")
        free = replace(policy, overlap=True, strategy=None, probe=None)
        place = replace(decision.place, selection=replace(decision.place.selection, policy=free))
        prepared = await self._preparer.prepare(txid, [(replace(decision, place=place), place.followed)])
        it = prepared[0].replacement
        if it.strategy is not Strategy.SWAP:
            it.strategy, it.early, it.late = Strategy.START_FIRST, tuple(it.endpoints), ()
            it.done.add(Step.PRIVATE_NETWORK)
        return prepared

    async def _start(self, transaction: Transaction, it: Replacement, guard: Guard) -> None:
        for step in steps_of(it.strategy)[: steps_of(it.strategy).index(Step.PROVE)]:
            if step not in it.done:
                self._expected = it.candidate
                await transaction.steps.take(step, it, guard)
        _log.info("the new agent runs; waiting for it to take over", container=it.name)

    async def _wait_until_asked(self, it: Replacement, limit_s: float) -> None:
        """The proof of an agent is that it reaches the engine and this socket."""
        try:
            async with asyncio.timeout(limit_s):
                while not self._asked.is_set():
                    await self._must_run(it)
                    await within(self._asked, _LOOK_EVERY_S)
        except TimeoutError as error:
            raise Unhealthy(f"the new agent did not ask to take over within {limit_s:.0f} s") from error

    async def _must_run(self, it: Replacement) -> None:
        try:
            container = await self._tools.engine.container(it.candidate or "")
        except NotFoundError as error:
            raise Unhealthy("the new agent was removed") from error
        if not container.running or container.restart_count > 0:
            said = await self._tools.engine.logs(container.id, tail=5)
            raise Unhealthy(f"the new agent exited with code {container.exit_code}: {' '.join(said.split())[-300:]}")

    async def _step_aside(self, it: Replacement, limit_s: float) -> NoReturn:
        """Let go of the lock and stand by; having it back means that the successor is dead, or slow to take it."""
        for _ in range(max(1, int(limit_s / _LOOK_EVERY_S))):
            self._state.lock.release()
            await asyncio.sleep(_LOOK_EVERY_S)
            await self._state.lock.acquire(timeout_s=limit_s)
            await self._must_run(it)
        raise Unhealthy(f"the new agent did not take over within {limit_s:.0f} s")

    async def _undo(self, transaction: Transaction, one: Prepared, guard: Guard, cause: BaseException) -> Ending:
        """Put everything back; where the successor acts already, do nothing and go."""
        self._expected = None
        if not self._state.lock.held:
            raise cause
        if isinstance(cause, Unhealthy) and one.replacement.strategy is Strategy.SWAP:
            cause = Inconclusive(f"{cause}; it had a private network only")  # nobody can tell which of the two it was
        result = await transaction.settled(one.replacement, guard, cause)
        await self._updater.conclude(transaction.id, result, [one], assignments=transaction.assignments)
        return result.ending

    async def serve(self, request: Mapping[str, Any]) -> CommandOutcome:
        """The successor asks; only the container that was started for it is let in."""
        if self._expected is None or request.get("container") != self._expected:
            return CommandOutcome(ok=False, message="this agent is not waiting for a successor")
        self._asked.set()
        return CommandOutcome(ok=True, message="go ahead")


async def claim(state: State, own: str | None) -> bool:
    """Take the state's lock, from a predecessor if it started this agent to succeed it. Raises `StateError`.

    Whether it was handed over.
    """
    if state.lock.try_acquire():
        return False
    handed = own is not None and await _let_in(state, own)
    await state.lock.acquire(timeout_s=_LOCK_WITHIN_S)
    return handed


async def _let_in(state: State, own: str) -> bool:
    """Ask the agent that holds the lock to go; it knows of us a moment after we started."""
    for _ in range(_ASK_TIMES):
        try:
            outcome = await ask(state.directory, {"verb": TAKE_OVER, "container": own})
        except OSError as error:
            _log.debug("the agent that runs broke off", error=str(error))
            outcome = None
        if outcome is not None and outcome.ok:
            return True
        if state.lock.try_acquire():
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return False
