"""What the manager says, taken in; and what is said of it in return. Every word is on disk before it counts."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from tidegate.agent.bookkeeping import at_fault
from tidegate.agent.link.entry import Entry, Stage
from tidegate.agent.link.log import Change, LinkLog
from tidegate.agent.outcome import Ending, Result
from tidegate.agent.prepare import Prepared
from tidegate.domain.assignment import Accepting, Assignment, refusal
from tidegate.domain.course import StepTook
from tidegate.domain.rollout_apply import Outcome
from tidegate.protocol.events import Event, Refusal
from tidegate.protocol.fields import MessageError
from tidegate.protocol.messages import Item
from tidegate.protocol.signed import (
    Document,
    Pin,
    UnsignedError,
    Withdraw,
    address_of,
    is_sealed,
    read_document,
    read_unverified,
)

_OUTCOMES = {
    Ending.COMMITTED: Outcome.HEALTHY,
    Ending.ROLLED_BACK: Outcome.FAILED,
    Ending.FAILED: Outcome.FAILED,
    Ending.INCONCLUSIVE: Outcome.INCONCLUSIVE,
    Ending.GAVE_WAY: Outcome.INCONCLUSIVE,  # a person acted on it, so a person is to look
}
_REPLACED = "a later assignment takes its place"
_NO_STEPS: Mapping[str, tuple[StepTook, ...]] = {}
_REMEMBERED = 1000
"""Of what was turned away, so that it is told once however often it comes."""
_log = structlog.get_logger(__name__)

Clock = Callable[[], datetime]


class Desk:
    """The assignments of one agent. `clock` is the manager's time as far as the agent knows it."""

    def __init__(self, log: LinkLog, clock: Clock, *, allowed: Collection[str] = ()) -> None:
        """`allowed` are the repositories that the agent lets in, whatever its manager says; empty: all."""
        self._log = log
        self._clock = clock
        self._allowed = tuple(allowed)
        self._turned_away: OrderedDict[str, None] = OrderedDict()
        self.agent = ""

    def take(self, items: Iterable[Item]) -> bool:
        """Take items in, each on disk when the next is looked at; whether there was a new one. Raises `StateError`.

        Only the manager's own word moves the cursor on: else whoever is between could have its word passed over.
        """
        new = False
        for item in items:
            if item.seq <= self._log.cursor:
                continue
            if (why := self._foreign(item)) is not None:
                self._turn_away(item, why)
                continue
            number = address_of(item.document)[1]
            self._log.commit(replace(self._judged(item), cursor=item.seq, numbered=number is not None))
            new = True
        return new

    def _foreign(self, item: Item) -> str | None:
        """Why an item is not the manager's word to this agent, in this place; None if it is."""
        if not is_sealed(self._log.manager_key, item.document, item.signature):
            return str(UnsignedError())
        agent, number = address_of(item.document)
        if agent and agent != self.agent:
            return f"it is for agent {agent}, and this is {self.agent}"
        if number is None and self._log.numbered:
            return "it has no number, and what the manager signs has had one before"
        if number is not None and number != item.seq:
            return f"it was sent as number {item.seq}, and is number {number}"
        return None

    def _turn_away(self, item: Item, why: str) -> None:
        mark = hashlib.sha256(f"{item.seq}\n{item.signature}\n{item.document}".encode()).hexdigest()
        if mark in self._turned_away:
            return
        self._log.commit(self._unusable(item, why))
        self._turned_away[mark] = None
        while len(self._turned_away) > _REMEMBERED:
            self._turned_away.popitem(last=False)

    def entries(self, stage: Stage) -> list[Entry]:
        """Assignments that are that far, in the order in which they were told."""
        return [entry for entry in self._log.entries.values() if entry.stage is stage]

    def assigned(self) -> Mapping[str, str]:
        """The digest that each target was last moved to by assignment."""
        done = (entry for entry in self._log.entries.values() if entry.outcome is Outcome.HEALTHY)
        return {entry.it.target: entry.it.digest for entry in done}

    def objection(self, it: Assignment, followed: Mapping[str, str]) -> str | None:
        """Why an assignment is not carried out, now that its turn has come; `followed` as in `Accepting`."""
        return refusal(it, self._accepting(followed), self._clock())

    def is_over(self, it: Assignment) -> bool:
        """Whether the time is over in which it may begin; that is an objection only once clocks cannot be why."""
        return self._clock() >= it.expires_at

    def begin(self, entries: Sequence[Entry]) -> None:
        """These are about to be carried out, together. Raises `StateError`."""
        now = self._clock()
        begun = tuple(
            replace(one, stage=Stage.BEGUN, outcome=Outcome.BEGUN, reason="", begun_at=now) for one in entries
        )
        told = [one.report(now) for one, before in zip(begun, entries, strict=True) if before.outcome != one.outcome]
        self._log.commit(Change(entries=begun, events=tuple(told)))

    def reopen(self, under_way: Collection[str]) -> None:
        """What was begun, and is not `under_way` by any journal, has touched nothing yet. Raises `StateError`."""
        cut_off = [one for one in self.entries(Stage.BEGUN) if one.it.id not in under_way]
        if cut_off:
            self._once_more(cut_off)

    def busy(self, entries: Iterable[Entry], reason: str) -> None:
        """Not now. It is told once for each reason. Raises `StateError`."""
        said = [
            replace(one, outcome=Outcome.BUSY, reason=reason)
            for one in entries
            if (one.outcome, one.reason) != (Outcome.BUSY, reason)
        ]
        if said:
            _log.info("assignments wait", targets=[one.it.target for one in said], reason=reason)
            self._say(said)

    def end(
        self,
        entries: Iterable[Entry],
        outcome: Outcome,
        reason: str,
        *,
        blamed: Collection[str] = (),
        output: str = "",
        steps: Mapping[str, tuple[StepTook, ...]] = _NO_STEPS,
    ) -> None:
        """These are over; `blamed` are the ids of those whose release is bad. Raises `StateError`.

        `output` is told of the blamed ones, and where none is, of all. `steps` are what was waited for, by targets.
        """
        self._say(
            [
                replace(
                    self._ended(one, outcome, reason, blame=one.it.id in blamed),
                    output=output if not blamed or one.it.id in blamed else "",
                    steps=steps.get(one.it.target, ()),
                )
                for one in entries
            ]
        )

    def refuse(self, entry: Entry, reason: str) -> None:
        """It is not carried out: it is not let in here. Raises `StateError`."""
        self._log.commit(self._refused(entry.it, reason))

    def ended(self, assignments: Collection[str], result: Result, prepared: Sequence[Prepared]) -> None:
        """A transaction that carried these out came to its end. What was told already is not told again.

        What was interrupted is carried out once more, and nothing is told of that.
        Raises `StateError`.
        """
        entries = self._open(assignments)
        if entries and result.ending is Ending.INTERRUPTED:
            self._once_more(entries)
        elif entries:
            blamed, steps = _blamed(entries, result, prepared), _steps(result, prepared)
            outcome, output = _OUTCOMES[result.ending], result.output
            self.end(entries, outcome, result.reason, blamed=blamed, output=output, steps=steps)

    def not_put_back(self, assignments: Collection[str], reason: str) -> None:
        """Nothing serves where these were carried out. It is told once. Raises `StateError`."""
        entries = self._open(assignments)
        if entries:
            self.end(entries, Outcome.FAILED, reason)

    def _open(self, assignments: Collection[str]) -> list[Entry]:
        known = [self._log.entries[id_] for id_ in assignments if id_ in self._log.entries]
        return [entry for entry in known if entry.stage is not Stage.ENDED]

    def tell(self, *events: Event) -> None:
        """Anything else. Raises `StateError`."""
        self._log.commit(Change(events=events))

    def _once_more(self, entries: Iterable[Entry]) -> None:
        """They wait again; those that are not wanted any more are over."""
        changed = tuple(map(self._again, entries))
        over = tuple(one.report(self._clock()) for one in changed if one.stage is Stage.ENDED)
        self._log.commit(Change(entries=changed, events=over))

    def _again(self, one: Entry) -> Entry:
        later = (other.it for other in self._log.entries.values() if other.it.target == one.it.target)
        if any(it.generation > one.it.generation for it in later):
            return self._ended(one, Outcome.WITHDRAWN, _REPLACED)
        if one.withdrawn:
            return self._ended(one, Outcome.WITHDRAWN, "withdrawn, and cut off before it was proved")
        return replace(one, stage=Stage.WAITING)

    def _say(self, entries: Sequence[Entry]) -> None:
        now = self._clock()
        self._log.commit(Change(entries=tuple(entries), events=tuple(one.report(now) for one in entries)))

    def _ended(self, one: Entry, outcome: Outcome, reason: str, *, blame: bool = False) -> Entry:
        took = max(0.0, (self._clock() - one.begun_at).total_seconds()) if one.begun_at else None
        duration_s = round(took, 3) if took is not None else None
        return replace(one, stage=Stage.ENDED, outcome=outcome, reason=reason, blame=blame, duration_s=duration_s)

    def _judged(self, item: Item) -> Change:
        """What one item comes to."""
        try:
            document = read_document(self._log.manager_key, item.document, item.signature)
        except (UnsignedError, MessageError) as error:
            return self._unusable(item, str(error))
        match document:
            case Assignment():
                return self._assigned(document)
            case Withdraw():
                return self._withdrawn(document)
            case Pin():
                _log.warning("the manager has a new key, signed by the one before")
                return Change(manager_key=document.key)
            case _:
                _log.info("the manager sent what this version does not know", kind=document.kind)
                return Change()

    def _assigned(self, it: Assignment) -> Change:
        why = refusal(it, self._accepting({it.target: it.repository}), self._clock())
        if why is not None:
            return self._refused(it, why)
        for known in self._log.entries.values():
            if known.it.id == it.id or (known.it.target, known.it.generation) == (it.target, it.generation):
                return Change(events=(known.report(self._clock()),) if known.outcome else ())
        _log.info("assigned by the manager", target=it.target, digest=it.digest, rollout=it.rollout)
        earlier = [one for one in self.entries(Stage.WAITING) if one.it.target == it.target]
        over = [self._ended(one, Outcome.WITHDRAWN, _REPLACED) for one in earlier]
        return Change(entries=(*over, Entry(it)), events=tuple(one.report(self._clock()) for one in over))

    def _withdrawn(self, it: Withdraw) -> Change:
        """What has begun is not cut off: it goes to its end, and that is told. It is not begun twice, though."""
        for one in self.entries(Stage.WAITING):
            if _is(one, it):
                over = self._ended(one, Outcome.WITHDRAWN, "withdrawn before it began")
                _log.info("withdrawn by the manager", target=it.target)
                return Change(entries=(over,), events=(over.report(self._clock()),))
        begun = [one for one in self.entries(Stage.BEGUN) if _is(one, it)]
        return Change(entries=tuple(replace(one, withdrawn=True) for one in begun))

    def _unusable(self, item: Item, reason: str) -> Change:
        try:
            document: Document | None = read_unverified(item.document)
        except MessageError:
            document = None
        if isinstance(document, Assignment):
            return Change(events=(self._told_refused(document, reason),))
        target, generation = (document.target, document.generation) if isinstance(document, Withdraw) else ("", 0)
        _log.error("refused what came as the manager's word", target=target, reason=reason)
        return Change(events=(Refusal(self._clock(), "", target, generation, reason),))

    def _refused(self, it: Assignment, reason: str) -> Change:
        known = self._log.entries.get(it.id)
        over = (self._ended(known, Outcome.REFUSED, reason),) if known and known.stage is not Stage.ENDED else ()
        return Change(entries=over, events=(self._told_refused(it, reason),))

    def _told_refused(self, it: Assignment, reason: str) -> Refusal:
        _log.error("an assignment was refused", target=it.target, digest=it.digest, reason=reason)
        return Refusal(self._clock(), it.id, it.target, it.generation, reason)

    def _accepting(self, followed: Mapping[str, str]) -> Accepting:
        accepted: dict[str, tuple[int, str]] = {}
        for entry in self._log.entries.values():
            it = entry.it
            if it.generation >= accepted.get(it.target, (0, ""))[0]:
                accepted[it.target] = (it.generation, it.digest)
        return Accepting(self.agent, followed, self._allowed, accepted)


def _is(one: Entry, it: Withdraw) -> bool:
    return (one.it.target, one.it.generation) == (it.target, it.generation)


def _blamed(entries: Iterable[Entry], result: Result, prepared: Sequence[Prepared]) -> set[str]:
    """The assignments of those whose release failed; what moved with it and is innocent is not among them."""
    if not result.blame:
        return set()
    guilty = {f"{one.replacement.cluster}/{one.replacement.service}" for one in at_fault(prepared, result.culprit)}
    return {entry.it.id for entry in entries if entry.it.target in guilty}


def _steps(result: Result, prepared: Sequence[Prepared]) -> dict[str, tuple[StepTook, ...]]:
    """By targets, what was waited for of their containers and of all."""
    names: dict[str, set[str]] = {}
    for one in prepared:
        it = one.replacement
        names.setdefault(f"{it.cluster}/{it.service}", {""}).add(it.name)
    return {target: tuple(one for one in result.course if one.container in some) for target, some in names.items()}
