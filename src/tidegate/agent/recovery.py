"""After a kill of the agent, the engine or the host: ends what the journal says was begun."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from tidegate.agent.guard import Guard
from tidegate.agent.hands import STOPPING
from tidegate.agent.replacement import Replacement
from tidegate.agent.transaction import BACK, Ending, Result, Tools, Transaction, step_update
from tidegate.domain.policy import Policy
from tidegate.domain.recreate_candidate import labels_of
from tidegate.domain.transaction import Settlement, Step
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Event

_log = structlog.get_logger(__name__)

PolicyOf = Callable[[Mapping[str, str]], Policy]
"""The policy that a container's labels ask for."""


@dataclass(slots=True)
class Unfinished:
    """A transaction as its journal tells it. `walking` is the replacement that was under way, if one was."""

    txid: str
    replacements: list[Replacement]
    replaced: list[Replacement] = field(default_factory=list)
    walking: Replacement | None = None
    doing: Step | None = None
    reversing: bool = False
    reversed_ids: set[str] = field(default_factory=set)
    baking: bool = False
    handover: bool = False
    last_ns: int | None = None


def read(txid: str, records: Sequence[Mapping[str, Any]]) -> Unfinished:
    """What a journal's records add up to."""
    unfinished = Unfinished(txid, [])
    known: dict[str, Replacement] = {}
    for record in records:
        unfinished.last_ns = record.get("time_ns", unfinished.last_ns)
        _apply(unfinished, known, record)
    return unfinished


def _apply(it: Unfinished, known: dict[str, Replacement], record: Mapping[str, Any]) -> None:
    match record["kind"]:
        case "begin":
            it.replacements = [Replacement.from_record(each) for each in record["replacements"]]
            it.handover = bool(record.get("handover"))
            known.update({each.id: each for each in it.replacements})
        case "step":
            it.walking, it.doing = known[record["id"]], Step(record["doing"])
            step_update(it.walking, record)
        case "replaced":
            it.replaced.append(known[record["id"]])
            it.walking = it.doing = None
        case "settled":
            it.walking = it.doing = None
            it.reversing = True
        case "bake":
            it.baking = True
        case "reverse":
            back = Replacement.from_record(record["replacement"])
            known[back.id], it.reversing, it.walking = back, True, back
        case "reversed":
            it.reversed_ids.add(record["id"])
            it.walking = it.doing = None


async def recover(unfinished: Unfinished, tools: Tools, policy_of: PolicyOf, own: str | None = None) -> Result:
    """End one transaction: on with what serves, back with what does not.

    `own` is the agent's container: where that is the candidate of a hand-over, this agent is to take over.

    What people did while nobody watched is read from the engine's events, as far as it still has them.
    """
    policies = {it.id: policy_of(labels_of(it.request)) for it in unfinished.replacements}
    transaction = Transaction(
        unfinished.txid, tools, unfinished.replacements, policies, replaced=list(unfinished.replaced)
    )
    _log.warning("an update was cut off and is being ended", transaction=unfinished.txid)
    walking = unfinished.walking
    if unfinished.handover and walking is not None and own is not None and walking.candidate == own:
        return await _take_over(transaction, walking)
    if walking is not None:
        await _settle_walking(unfinished, transaction)
    complete = len(transaction.replaced) == len(unfinished.replacements)
    if complete and not unfinished.reversing:
        await _forget_removed(transaction)
        return await transaction.bake()
    return await _go_back(unfinished, transaction)


async def _settle_walking(unfinished: Unfinished, transaction: Transaction) -> None:
    """Bring the replacement that was under way to rest."""
    it = unfinished.walking
    if it is None:
        return
    guard = Guard((it.cluster, it.service, it.number), it.incumbent, it.id)
    _say_ours(guard, it, unfinished.doing)
    for event in await _missed_events(unfinished, transaction.tools):
        guard.feed(event)
    end = await transaction.tools.settler.settle(it, guard)
    transaction.ends[it.name] = end
    if not it.reverse and end is Settlement.CANDIDATE:
        transaction.replaced.append(it)


def _say_ours(guard: Guard, it: Replacement, doing: Step | None) -> None:
    """What the agent itself did, or was about to do, when it was cut off."""
    if it.candidate is not None:
        guard.candidate_is(it.candidate)
        guard.ours(it.candidate, "start")
    done = {*it.done, doing}
    if done & {Step.STOP, Step.CUT, Step.REMOVE}:
        guard.ours(it.incumbent, *STOPPING)
    if Step.REMOVE in done:
        guard.ours(it.incumbent, "destroy")


async def _missed_events(unfinished: Unfinished, tools: Tools) -> list[Event]:
    """Events since the last record, up to now; none after a restart of the engine, which forgets them."""
    if unfinished.last_ns is None:
        return []
    return await tools.past_events(unfinished.last_ns)


async def _forget_removed(transaction: Transaction) -> None:
    """What a person has taken down meanwhile is not watched any more."""
    for it in tuple(transaction.replaced):
        try:
            await transaction.tools.engine.container(it.candidate or "")
        except NotFoundError:
            transaction.replaced.remove(it)


async def _go_back(unfinished: Unfinished, transaction: Transaction) -> Result:
    """All or nothing: what had been replaced already is put back."""
    await _forget_removed(transaction)
    for it in reversed(transaction.replaced):
        if f"{it.id}{BACK}" not in unfinished.reversed_ids:
            await transaction.put_back(it)
    reason = "the agent was interrupted before the update was proved"
    return transaction.finish(Result(Ending.FAILED, reason))


async def _take_over(transaction: Transaction, it: Replacement) -> Result:
    """The new agent's side of a hand-over: retire the old one and take its place."""
    it.done.add(Step.PROVE)
    guard = transaction.guard(it)
    # from here on the engine restarts the new agent, should it fall before the old one is gone for good
    await transaction.take(Step.ADOPT, it, guard)
    result = await transaction.forward(it)
    return result if result is not None else transaction.finish(Result(Ending.COMMITTED, "the new agent took over"))
