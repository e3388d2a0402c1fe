"""After a kill of the agent, the engine or the host: ends what the journal says was begun."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence

import structlog

from tidegate.agent.hands import STOPPING
from tidegate.agent.meanwhile import Watch, find, is_to_go_back, meanwhile, runs_newer
from tidegate.agent.missed import memory
from tidegate.agent.outcome import Ending, Result
from tidegate.agent.replacement import Replacement
from tidegate.agent.tools import Tools
from tidegate.agent.transaction import Transaction
from tidegate.agent.unfinished import TO_THE_CANDIDATE, TO_THE_INCUMBENT, Unfinished
from tidegate.agent.unseen import find_out, kept_up, stopped_by_somebody
from tidegate.agent.way_back import BACK
from tidegate.domain.policy import Policy
from tidegate.domain.transaction import Settlement, Step, Touch
from tidegate.engine.model import Container, Event

_log = structlog.get_logger(__name__)

_ACTED_ON = "somebody acted on it while the agent was away"
_INTERRUPTED = "the agent, the engine or the host was stopped before the update was proved"


async def recover(
    unfinished: Unfinished,
    tools: Tools,
    policies: Mapping[str, Policy],
    stop: asyncio.Event,
    own: str | None = None,
) -> Result:
    """End one transaction: on with what serves, back with what does not. `policies` go by the replacements' ids.

    When `stop` is set meanwhile, it comes to rest as soon as it can.

    `own` is the agent's container: where that is the candidate of a hand-over, this agent is to take over.

    What people did while nobody watched is read from the engine's events, as far as it still has them.
    """
    if unfinished.ended is not None:
        return unfinished.ended
    transaction = resumed(unfinished, tools, policies, stop)
    walking = unfinished.walking
    if unfinished.handover and walking is not None and own is not None and walking.candidate == own:
        return await _take_over(transaction, walking)
    _log.warning("an update was cut off and is being ended", transaction=unfinished.txid)
    if walking is not None:
        await _settle_walking(walking, unfinished, transaction)
    newer = len(transaction.replaced) + len(transaction.theirs)
    whole = newer == len(unfinished.replacements) and not unfinished.reversing and not unfinished.gave_way
    if whole and unfinished.verdict is None:  # a verdict stands: a second watch might miss what the first one saw
        return await _bake_again(transaction)
    return await _go_back(unfinished, transaction)


def resumed(unfinished: Unfinished, tools: Tools, policies: Mapping[str, Policy], stop: asyncio.Event) -> Transaction:
    """The transaction as far as it had come."""
    transaction = Transaction(unfinished.txid, tools, unfinished.replacements, policies, stop=stop)
    transaction.replaced, transaction.theirs = list(unfinished.replaced), dict(unfinished.theirs)
    transaction.since_ns, transaction.output = dict(unfinished.since_ns), unfinished.output
    transaction.ends = {it.name: Settlement.CANDIDATE for it in unfinished.replaced}
    return transaction


async def _missed_events(unfinished: Unfinished, tools: Tools) -> list[Event]:
    """Events since the last record, up to now; none after a restart of the engine, which forgets them."""
    if unfinished.last_ns is None:
        return []
    return await tools.past_events(unfinished.last_ns)


@contextlib.contextmanager
def _watching(it: Replacement, transaction: Transaction) -> Iterator[Watch]:
    watch = Watch(it)
    with transaction.tools.hub.listening(watch.guard.feed):
        yield watch


async def _settle_walking(it: Replacement, unfinished: Unfinished, transaction: Transaction) -> None:
    """Bring the replacement that was under way to rest."""
    events = await _missed_events(unfinished, transaction.tools)
    with _watching(it, transaction) as watch:
        guard = watch.guard
        await _say_ours(watch, it, unfinished, transaction)
        watch.replay(events)
        if guard.interfered:
            await guard.quiet()
        else:
            drains = transaction.policies[it.id.removesuffix(BACK)].drain_hook is not None
            await find_out(guard, it, unfinished, transaction.tools.engine, drains=drains)
        back = unfinished.verdict is not None and not it.reverse and not guard.interfered
        if back and not transaction.output:
            await transaction.keep_output(it.candidate)
        end = await transaction.settle(it, guard, back=back, chosen=unfinished.settling)
    if it.reverse:
        if end in TO_THE_CANDIDATE:
            transaction.notes.note("reversed", id=it.id)
        return
    unfinished.gave_way = unfinished.gave_way or guard.interfered
    several = len(unfinished.replacements) > 1
    if end is Settlement.CANDIDATE and not unfinished.gave_way:
        transaction.note_replaced(it)
    elif several and unfinished.gave_way and await runs_newer(it, end, guard, transaction.tools.engine):
        transaction.note_theirs(it, _ACTED_ON)
        unfinished.gave_way = False
    else:
        transaction.notes.settled(it, end, gave_way=unfinished.gave_way)


async def _say_ours(watch: Watch, it: Replacement, unfinished: Unfinished, transaction: Transaction) -> None:
    """What the agent itself did, or was about to do, when it was cut off: said before the first event is heard."""
    guard = watch.guard
    if unfinished.was_stopping(it):
        guard.ours(it.incumbent, *STOPPING)
    if unfinished.settling in TO_THE_INCUMBENT:
        guard.ours(it.incumbent, "start")
    if unfinished.was_removing(it):
        guard.ours(it.incumbent, *STOPPING, "destroy")
    if it.candidate is None:
        return
    guard.candidate_is(it.candidate)
    guard.ours(it.candidate, "start")
    if unfinished.abandoning or unfinished.settling in {*TO_THE_INCUMBENT, Settlement.NOTHING}:
        guard.ours(it.candidate, *STOPPING, "destroy")
    candidate = await find(transaction.tools.engine, it.candidate)
    if candidate is not None:
        watch.candidate(candidate)


async def _bake_again(transaction: Transaction) -> Result:
    """What serves is watched for its whole bake time; what a person has acted on meanwhile is theirs."""
    for it, events in await transaction.missed():
        touch, container = await meanwhile(it, transaction.tools.engine, events)
        if container is None or touch is not Touch.NONE or await _kept_stopped(it, container, transaction):
            transaction.replaced.remove(it)
        elif it.was_running and not container.running and not _ended(it, events):
            await transaction.tools.engine.start(container.id)
    if transaction.replacements and not transaction.replaced:
        return transaction.finish(Result(Ending.GAVE_WAY, _ACTED_ON))
    return await transaction.bake()


async def _kept_stopped(it: Replacement, container: Container, transaction: Transaction) -> bool:
    """Whether somebody has stopped what serves, though the engine does not remember it."""
    if container.running or not it.was_running or not kept_up(container):
        return False
    since_ns = transaction.since_ns.get(it.id, transaction.began_ns)
    return stopped_by_somebody(container, await memory(transaction.tools.engine, since_ns))


def _ended(it: Replacement, events: Sequence[Event]) -> bool:
    """Whether its own end was seen; what stopped unseen went down with the engine."""
    return any(event.id == it.candidate and event.action == "die" for event in events)


async def _go_back(unfinished: Unfinished, transaction: Transaction) -> Result:
    """All or nothing: what had been replaced already is put back, stopped where a person has stopped it."""
    for it, events in reversed(await transaction.missed()):
        if it.parent or f"{it.id}{BACK}" in unfinished.reversed_ids:
            continue
        if await _is_to_go_back(it, unfinished, transaction, events):
            await transaction.put_back(it)
    await transaction.bring_riders_along()
    if unfinished.gave_way:
        return transaction.finish(Result(Ending.GAVE_WAY, _ACTED_ON))
    if unfinished.verdict is not None:
        culprit = unfinished.culprit
        return transaction.finish(Result(Ending.ROLLED_BACK, unfinished.verdict, blame=True, culprit=culprit))
    walking = unfinished.walking
    culprit = "" if walking is None or walking.reverse else walking.name
    return transaction.finish(Result(Ending.INTERRUPTED, _INTERRUPTED, culprit=culprit))


async def _is_to_go_back(
    it: Replacement, unfinished: Unfinished, transaction: Transaction, events: Sequence[Event]
) -> bool:
    """Whether the newer release is still there; it goes back stopped where a person has stopped it."""
    walking = unfinished.walking
    if walking is not None and walking.id == f"{it.id}{BACK}":  # what was done to it was judged when that was settled
        end = transaction.ends[it.name]
        it.was_running = it.was_running and end is Settlement.INCUMBENT
        return end in TO_THE_INCUMBENT
    container = await find(transaction.tools.engine, it.candidate)
    if container is not None and await _kept_stopped(it, container, transaction):
        it.was_running = False
    return await is_to_go_back(it, transaction.tools.engine, events)


async def _take_over(transaction: Transaction, it: Replacement) -> Result:
    """The new agent's side of a hand-over: retire the old one and take its place."""
    it.done.add(Step.PROVE)
    guard = transaction.guard(it)
    # from here on the engine restarts the new agent, should it fall before the old one is gone for good
    transaction.steps.handed_over = True
    await transaction.steps.take(Step.ADOPT, it, guard)
    result = await transaction.forward(it)
    if result is not None:
        return transaction.finish(result)
    if it.private is not None:
        await transaction.tools.private.release(it.private)
    result = transaction.finish(Result(Ending.COMMITTED, "the new agent took over"))
    await transaction.bring_riders_along()  # after the end is noted: for their sake the agent does not go back
    return result
