"""Why nothing is happening to a service that does not run the newest release of its channel: one sentence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.domain.rollout import ENDED, STILL_OFFERED, Kind, Progress, State
from tidegate.domain.rollout_policy import Mode
from tidegate.domain.windows import Gate
from tidegate.manager.console.words import spoken

_BY_HAND = frozenset({Mode.PINNED, Mode.MONITOR_ONLY})
_PAUSED_BY = "paused by "
_OPEN = Gate(open=True, reason="")
_WENT_WRONG = {
    Progress.FAILED: "failed here",
    Progress.INCONCLUSIVE: "could not tell whether it works here",
    Progress.SKIPPED: "went on without it",
    Progress.LEFT_ALONE: "leaves it alone",
    Progress.WENT_BACK: "was taken back here",
    Progress.NOT_PUT_BACK: "failed here, and what ran before could not be put back",
}


@dataclass(frozen=True, slots=True)
class Named:
    """A release: its digest, what people call it, and its number."""

    digest: str
    name: str
    id: int


@dataclass(frozen=True, slots=True)
class Bringing:
    """A rollout that brings a release there, or was to. Waves count from 1; `wave` None: it is for other targets.

    `progress` and `said` are of the target; `approvals` is how many people have agreed, `needed` how many have to.
    """

    id: int
    name: str
    state: State
    kind: Kind = Kind.UPDATE
    reason: str = ""
    open_wave: int = 1
    waves: int = 1
    passed_at: datetime | None = None
    not_before: datetime | None = None
    approvals: int = 0
    needed: int = 0
    wave: int | None = 1
    progress: Progress = Progress.WAITING
    said: str = ""
    deadline: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more of it begins."""
        return self.state in ENDED

    @property
    def called(self) -> str:
        """How a sentence begins that is about it."""
        return f"Rollout {self.id} {'back to' if self.kind is Kind.ROLLBACK else 'of'} {self.name}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a service that follows a channel.

    `running` is empty where it is not known, `newest` None where nothing was seen. `quarantined` says why the newest
    release is in quarantine; None: it is not. `choice` is what the channel last chose, in words; `trouble` what its
    registry said that was asked in vain. `last_seen_at` is of the agent; `gate` that of windows and freezes.
    """

    running: str
    newest: Named | None
    now: datetime
    online: bool = True
    revoked: bool = False
    last_seen_at: datetime | None = None
    held: bool = False
    reason: str = ""
    drifted: bool = False
    mode: Mode = Mode.AUTOMATIC
    choice: str = ""
    trouble: str = ""
    quarantined: str | None = None
    rollout: Bringing | None = None
    gate: Gate = _OPEN


@dataclass(frozen=True, slots=True)
class Answer:
    """The sentence; `link` leads to what it is about, where there is such a page. `looks` is a state for its colour."""

    text: str
    link: str = ""
    looks: str = "waiting"


def why(it: Facts) -> Answer | None:
    """The first reason that holds; None: it runs the newest release, and nothing is wrong with knowing that."""
    if it.newest is not None and it.newest.digest == it.running:
        return _may_be_stale(it)
    return next(answer for rule in _RULES if (answer := rule(it)) is not None)


def _may_be_stale(it: Facts) -> Answer | None:
    if not it.trouble:
        return None
    text = f"It runs the newest release that is known, but its registry could not be asked: {it.trouble}"
    return Answer(text, "/channels", "behind")


# of the agent


def _revoked(it: Facts) -> Answer | None:
    if not it.revoked:
        return None
    return Answer("Its agent was revoked and does nothing any more: enrol one anew", "", "offline")


def _offline(it: Facts) -> Answer | None:
    if it.online:
        return None
    since = f"since {_moment(it.last_seen_at)}" if it.last_seen_at else "yet"
    then = ""
    if it.rollout is not None and it.rollout.wave is not None and not it.rollout.ended:
        then = f"; rollout {it.rollout.id} goes on there once it is back"
    return Answer(f"Its agent was not heard {since}{then}", "", "offline")


def _under_way(it: Facts) -> Answer | None:
    its = it.rollout
    if its is None or its.progress is not Progress.UPDATING or its.wave is None:
        return None
    until = f", until {_moment(its.deadline)} at the latest" if its.deadline else ""
    return Answer(f"{its.called} is at it now{until}", _page(its), "updating")


def _held(it: Facts) -> Answer | None:
    if not it.held:
        return None
    return Answer(f"Its agent leaves it alone: {it.reason or 'it is set so where it runs'}", "", "held")


# of the release


def _nothing_known(it: Facts) -> Answer | None:
    if it.newest is not None:
        return None
    told = f"its registry could not be asked: {it.trouble}" if it.trouble else "nothing was seen on its channel yet"
    return Answer(f"Nothing newer is known: {told}", "/channels", "behind" if it.trouble else "waiting")


def _quarantined(it: Facts) -> Answer | None:
    if it.quarantined is None or it.newest is None:
        return None
    told = f": {it.quarantined}" if it.quarantined else ""
    return Answer(
        f"The newest release, {it.newest.name}, is in quarantine{told}", f"/releases/{it.newest.id}", "failed"
    )


# of the rollout that is open


def _rollout_waits(it: Facts) -> Answer | None:
    """Before it has begun, and where a person stopped it, it is the same for all of its targets."""
    its = it.rollout
    if its is None or its.ended:
        return None
    match its.state:
        case State.AWAITING_APPROVAL:
            told = f"waits for approval: {its.approvals} of {its.needed} have agreed"
        case State.PAUSED:
            told = f"is {its.reason}" if its.reason.startswith(_PAUSED_BY) else _with_reason("is paused", its.reason)
        case State.ROLLING_BACK:
            told = _with_reason("goes back", its.reason)
        case State.SCHEDULED if its.not_before is not None and its.not_before > it.now:
            told = f"begins not before {_moment(its.not_before)}"
        case State.SCHEDULED:
            told = _behind_gate(it, "is about to begin")
        case _:
            return None
    return Answer(f"{its.called} {told}", _page(its), its.state)


def _not_in_it(it: Facts) -> Answer | None:
    its = it.rollout
    if its is None or its.ended or its.wave is not None:
        return None
    return Answer(f"{its.called} is on its way to other targets; this one is not among them", _page(its), "waiting")


def _its_wave(it: Facts) -> Answer | None:
    its = it.rollout
    if its is None or its.ended or its.wave is None or its.progress is not Progress.WAITING:
        return None
    if its.wave > its.open_wave:
        open_ = f"wave {its.open_wave} {'soaks' if its.passed_at else 'is open'}"
        return Answer(f"{its.called} has it in wave {its.wave} of {its.waves}, and {open_}", _page(its), "waiting")
    told = _behind_gate(it, f"takes it once others of wave {its.wave} are done")
    return Answer(f"{its.called} {told}", _page(its), "waiting")


def _offered(it: Facts) -> Answer | None:
    its = it.rollout
    if its is None or its.ended or its.progress not in STILL_OFFERED:
        return None
    if its.progress is Progress.BUSY:
        return Answer(f"{its.called} is asked to wait: {its.said or 'the service is busy'}", _page(its), "busy")
    return Answer(f"{its.called} was offered to its agent, which has not begun", _page(its), "offered")


# of what became of a rollout here


def _went_wrong(it: Facts) -> Answer | None:
    its = it.rollout
    if its is None or its.wave is None or its.progress not in _WENT_WRONG:
        return None
    text = _with_reason(f"{its.called} {_WENT_WRONG[its.progress]}", its.said or its.reason)
    return Answer(text, _page(its), str(its.progress))


def _missed(it: Facts) -> Answer | None:
    its = it.rollout
    if its is None or its.wave is None or its.progress is not Progress.OFFLINE:
        return None
    return Answer(f"{its.called} found its agent offline, and comes back to it", _page(its), "offline")


def _ended_before(it: Facts) -> Answer | None:
    its = it.rollout
    if its is None or its.wave is None or not its.ended or its.progress is not Progress.WAITING:
        return None
    text = _with_reason(f"{its.called} was {spoken(its.state)} before it came here", its.reason)
    return Answer(text, _page(its), str(its.state))


def _put_there(it: Facts) -> Answer | None:
    its = it.rollout
    if its is None or its.progress is not Progress.HEALTHY or not it.drifted:
        return None
    return Answer(
        f"{its.called} was done here, and another hand has put something else there since", _page(its), "behind"
    )


# of the channel


def _by_hand(it: Facts) -> Answer | None:
    if it.mode not in _BY_HAND or it.newest is None:
        return None
    text = f"Its channel's policy is {it.mode}: {it.newest.name} goes out by hand only"
    return Answer(text, f"/releases/{it.newest.id}", "held")


def _chosen(it: Facts) -> Answer:
    link = f"/releases/{it.newest.id}" if it.newest is not None else "/channels"
    if it.choice:
        return Answer(f"No rollout brings it: {it.choice}", link, "behind")
    if not it.running:
        return Answer("What runs there is not known: its agent has told of no digest", link)
    return Answer("The channel has something new, and was not looked at since", link)


_RULES: Sequence[Callable[[Facts], Answer | None]] = (
    _revoked,
    _offline,
    _under_way,
    _nothing_known,
    _held,
    _quarantined,
    _not_in_it,
    _rollout_waits,
    _its_wave,
    _offered,
    _went_wrong,
    _missed,
    _ended_before,
    _put_there,
    _by_hand,
    _chosen,
)
"""What keeps more from happening comes first; the last one has always an answer."""


def _behind_gate(it: Facts, otherwise: str) -> str:
    return otherwise if it.gate.open else f"waits: {it.gate.reason}"


def _with_reason(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text


def _page(its: Bringing) -> str:
    return f"/rollouts/{its.id}"


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at is not None else "not known"
