"""What the journal of a transaction that was cut off adds up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tidegate.agent.hold import Hold
from tidegate.agent.outcome import Result
from tidegate.agent.replacement import Replacement
from tidegate.agent.restarts import Restart
from tidegate.domain.transaction import Settlement, Step

TO_THE_INCUMBENT = frozenset({Settlement.INCUMBENT, Settlement.INCUMBENT_STOPPED})
TO_THE_CANDIDATE = frozenset({Settlement.CANDIDATE, Settlement.CANDIDATE_STOPPED})

UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
"""What a journal raises that has lost lines, or is an agent's of another version."""


@dataclass(slots=True)
class Unfinished:
    """A transaction as its journal tells it.

    `theirs` are containers that somebody acted on, with the newer release in their place, and what was done.
    `walking` is the replacement that was under way, if one was, and `doing` the step that was begun with it;
    `settling` is the end that was chosen for it and `abandoning` tells that its candidate was being given up.
    `since_ns` tells by a replaced one's id from when on what is done to its candidate has not been looked at.
    `reversing`: the transaction was on its way back. `gave_way`: to a person. `verdict` is why the release is
    broken, if that was known, `culprit` the container that showed it, and `output` what that wrote last. `ended` is
    how it ended, where only the telling of it was cut off, and `booked` that it is in the history already.
    `delegated`: another updater replaces the containers. `hold` is what it leaves in the quarantine, and
    `assignments` are the ids of those of the manager that it carries out. `restart`: it is no update,
    but a restart, and `stops` counts how often its stop was begun.
    """

    txid: str
    replacements: list[Replacement]
    replaced: list[Replacement] = field(default_factory=list)
    since_ns: dict[str, int] = field(default_factory=dict)
    theirs: dict[str, str] = field(default_factory=dict)
    walking: Replacement | None = None
    doing: Step | None = None
    abandoning: bool = False
    settling: Settlement | None = None
    reversing: bool = False
    reversed_ids: set[str] = field(default_factory=set)
    gave_way: bool = False
    handover: bool = False
    delegated: bool = False
    hold: Hold | None = None
    assignments: tuple[str, ...] = ()
    restart: Restart | None = None
    stops: int = 0
    verdict: str | None = None
    culprit: str = ""
    output: str = ""
    ended: Result | None = None
    booked: bool = False
    last_ns: int | None = None

    @property
    def with_another(self) -> bool:
        """Whether another updater was at it, or the proof of what that made; nothing of it is on its way back."""
        back = self.reversing or self.verdict is not None or self.walking is not None
        return self.delegated and self.ended is None and not back

    def was_stopping(self, it: Replacement) -> bool:
        """Whether the agent had begun to stop the incumbent of what was under way."""
        return bool({*it.done, self.doing} & {Step.STOP, Step.CUT}) or self.was_removing(it)

    def was_draining(self, it: Replacement) -> bool:
        """Whether the incumbent of what was under way had been told to drain, or was about to be."""
        return Step.DRAIN in {*it.done, self.doing}

    def was_removing(self, it: Replacement) -> bool:
        """Whether the agent had begun to remove the incumbent of what was under way."""
        return Step.REMOVE in {*it.done, self.doing} or self.settling in TO_THE_CANDIDATE


def read(txid: str, records: Sequence[Mapping[str, Any]]) -> Unfinished:
    """What a journal's records add up to. Raises one of `UNREADABLE`."""
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
            it.delegated = bool(record.get("delegated"))
            it.hold = Hold.from_record(record["hold"]) if record.get("hold") else None
            it.assignments = tuple(map(str, record.get("assignments") or ()))
            known.update({each.id: each for each in it.replacements})
        case "restart" | "stopping":
            _restarting(it, record)
        case "step":
            it.walking, it.doing, it.abandoning = known[record["id"]], Step(record["doing"]), False
            it.walking.step_update(record)
        case "made" | "second-opinion":
            _of_candidate(it, known, record)
        case "settling":
            on_its_way_back = it.walking is not None and it.walking.reverse
            it.settling, it.gave_way = Settlement(record["end"]), bool(record["gave_way"]) and not on_its_way_back
        case "replaced" | "settled" | "reversed" | "theirs":
            _at_rest(it, known[record["id"]], record)
        case "verdict" | "output":
            _judged(it, record)
        case "reverse":
            back = Replacement.from_record(record["replacement"])
            known[back.id], it.reversing, it.walking = back, True, back
        case "end" | "booked":
            _ended(it, record)


def _of_candidate(it: Unfinished, known: Mapping[str, Replacement], record: Mapping[str, Any]) -> None:
    if record["kind"] == "made":
        known[record["id"]].candidate = str(record["candidate"])
    else:
        it.abandoning = True


def _restarting(it: Unfinished, record: Mapping[str, Any]) -> None:
    if record["kind"] == "restart":
        it.restart = Restart.from_record(record)
    else:
        it.stops += 1


def _judged(it: Unfinished, record: Mapping[str, Any]) -> None:
    if record["kind"] == "verdict":
        it.verdict, it.culprit = str(record["reason"]), str(record.get("container", ""))
        it.output = str(record.get("output", ""))
    else:
        it.output = str(record["text"])


def _ended(it: Unfinished, record: Mapping[str, Any]) -> None:
    if record["kind"] == "end":
        it.ended = Result.from_record(record)
    else:
        it.booked = True


def _at_rest(it: Unfinished, which: Replacement, record: Mapping[str, Any]) -> None:
    """One replacement has come to its end."""
    it.walking = it.doing = it.settling = None
    match record["kind"]:
        case "replaced":
            it.replaced.append(which)
            it.since_ns[which.id] = int(record.get("since_ns", record.get("time_ns", 0)))
        case "reversed":
            it.reversed_ids.add(which.id)
        case "theirs":
            it.theirs[which.name], it.gave_way = str(record["why"]), False
        case _:
            it.reversing, it.gave_way = True, bool(record["gave_way"])
