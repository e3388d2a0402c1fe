"""The steps of an update, and how a transaction that cannot go on is settled.

Two containers take part: the incumbent and the candidate that is to replace it. A transaction walks through
`steps_of(strategy)`. When it is cut short (a person or Compose acted, the agent was killed, a verdict was bad),
`settle` looks at what is left and says which of the two stays, and whether it runs.
"""

from dataclasses import dataclass
from enum import StrEnum


class Strategy(StrEnum):
    """How candidate and incumbent share the time between them."""

    START_FIRST = "start-first"
    SWAP = "swap"
    STOP_FIRST = "stop-first"


class Step(StrEnum):
    """One step; each is idempotent and is journalled before it acts."""

    MOVE_TAG = "move-tag"
    PRIVATE_NETWORK = "private-network"
    CREATE = "create"
    START = "start"
    PROVE = "prove"
    HOLD = "hold"
    DRAIN = "drain"
    CUT = "cut"
    JOIN = "join"
    CONFIRM = "confirm"
    STOP = "stop"
    REMOVE = "remove"
    NAME = "name"
    ADOPT = "adopt"


_STEPS = {
    Strategy.START_FIRST: (
        Step.MOVE_TAG,
        Step.PRIVATE_NETWORK,
        Step.CREATE,
        Step.START,
        Step.PROVE,
        Step.JOIN,
        Step.CONFIRM,
        Step.HOLD,
        Step.DRAIN,
        Step.STOP,
        Step.REMOVE,
        Step.NAME,
        Step.ADOPT,
    ),
    Strategy.SWAP: (
        Step.MOVE_TAG,
        Step.PRIVATE_NETWORK,
        Step.CREATE,
        Step.START,
        Step.PROVE,
        Step.HOLD,
        Step.DRAIN,
        Step.CUT,
        Step.JOIN,
        Step.CONFIRM,
        Step.STOP,
        Step.REMOVE,
        Step.NAME,
        Step.ADOPT,
    ),
    Strategy.STOP_FIRST: (
        Step.MOVE_TAG,
        Step.PRIVATE_NETWORK,
        Step.CREATE,
        Step.HOLD,
        Step.DRAIN,
        Step.STOP,
        Step.START,
        Step.PROVE,
        Step.REMOVE,
        Step.NAME,
        Step.ADOPT,
    ),
}

_SERVES_AFTER = {
    Strategy.START_FIRST: Step.CONFIRM,
    Strategy.SWAP: Step.CONFIRM,
    Strategy.STOP_FIRST: Step.PROVE,
}


_NEEDS_CANDIDATE = {
    Strategy.START_FIRST: {Step.STOP, Step.REMOVE},
    Strategy.SWAP: {Step.CUT, Step.JOIN, Step.STOP, Step.REMOVE},
    Strategy.STOP_FIRST: {Step.REMOVE},
}
_CUT = {Strategy.SWAP: Step.CUT, Strategy.STOP_FIRST: Step.STOP}


def steps_of(strategy: Strategy) -> tuple[Step, ...]:
    """Every step of a strategy, in order."""
    return _STEPS[strategy]


def cut_of(strategy: Strategy) -> Step | None:
    """The step from which nobody answers at the incumbent's addresses until the candidate does; None if there is none.

    With start-first both answer by then, by addresses of their own.
    """
    return _CUT.get(strategy)


def needs_candidate(strategy: Strategy, step: Step) -> bool:
    """Whether a step makes room for a candidate that has been proved: it is looked at once more before."""
    return step in _NEEDS_CANDIDATE[strategy]


def serves(strategy: Strategy, done: frozenset[Step]) -> bool:
    """Whether the candidate has been proved and is what answers: from here on, going forward is the safe way."""
    return _SERVES_AFTER[strategy] in done


class Touch(StrEnum):
    """What somebody other than the agent did to a container since the transaction began."""

    NONE = "none"
    RESTARTED = "restarted"
    STOPPED = "stopped"
    REMOVED = "removed"
    """Stopped and then removed, as Compose does."""
    KILLED = "killed"
    """Removed by force while it ran, as `docker rm -f` does."""
    CLEARED = "cleared"
    """Removed after the agent had stopped it already."""


@dataclass(frozen=True, slots=True)
class Party:
    """One of the two containers, as found when the transaction is settled."""

    present: bool
    touch: Touch = Touch.NONE


@dataclass(frozen=True, slots=True)
class Scene:
    """What is left of a transaction.

    `serves`: the candidate was proved and answers. `candidate_runs`: so it does, or it is not meant to.
    `incumbent_stopped`: the agent had stopped the incumbent.
    `unseen`: the candidate was so young when somebody acted that they cannot have meant it.
    `stranger`: a container of the same service that the agent did not make has appeared; `stranger_idle`: whoever made
    it never started it.
    """

    incumbent: Party
    candidate: Party
    serves: bool = False
    candidate_runs: bool = True
    incumbent_stopped: bool = False
    unseen: bool = False
    stranger: bool = False
    stranger_idle: bool = False


class Settlement(StrEnum):
    """Which container a transaction ends with."""

    INCUMBENT = "incumbent"
    INCUMBENT_STOPPED = "incumbent-stopped"
    CANDIDATE = "candidate"
    CANDIDATE_STOPPED = "candidate-stopped"
    NOTHING = "nothing"
    STRANGER = "stranger"


def settle(scene: Scene) -> Settlement:
    """The end of a transaction that was cut short: what a person did is what counts, then what was safe."""
    if scene.stranger and not (scene.stranger_idle and _untouched(scene)):
        return Settlement.STRANGER
    return _ours(scene)


def _untouched(scene: Scene) -> bool:
    return {scene.incumbent.touch, scene.candidate.touch} <= {Touch.NONE, Touch.RESTARTED}


def _ours(scene: Scene) -> Settlement:
    if not scene.candidate.present:
        return _incumbent_alone(scene)
    if not scene.incumbent.present:
        return _candidate_alone(scene)
    return _both(scene)


def _incumbent_alone(scene: Scene) -> Settlement:
    if not scene.incumbent.present:
        return Settlement.NOTHING
    if scene.incumbent.touch is Touch.STOPPED:
        return Settlement.INCUMBENT_STOPPED
    return Settlement.INCUMBENT


def _candidate_alone(scene: Scene) -> Settlement:
    if scene.incumbent.touch is Touch.KILLED:
        return Settlement.NOTHING
    if scene.incumbent.touch is Touch.REMOVED and scene.unseen:
        return Settlement.NOTHING
    if scene.candidate.touch is Touch.STOPPED:
        return Settlement.CANDIDATE_STOPPED
    if scene.incumbent.touch is Touch.NONE and not scene.serves and not scene.candidate_runs:
        return Settlement.NOTHING  # it was removed before anybody looked, and nothing has taken its place yet
    return Settlement.CANDIDATE


def _both(scene: Scene) -> Settlement:
    touched = {scene.incumbent.touch, scene.candidate.touch}
    if scene.incumbent.touch is Touch.STOPPED and scene.candidate.touch is Touch.NONE:
        return Settlement.INCUMBENT_STOPPED
    if scene.incumbent.touch is Touch.STOPPED or (scene.candidate.touch is Touch.STOPPED and scene.incumbent_stopped):
        return Settlement.CANDIDATE_STOPPED if scene.serves else Settlement.INCUMBENT_STOPPED
    if touched == {Touch.NONE} or scene.incumbent.touch is Touch.NONE:
        forward = scene.serves and scene.candidate_runs and scene.candidate.touch is not Touch.STOPPED
        return Settlement.CANDIDATE if forward else Settlement.INCUMBENT
    return Settlement.INCUMBENT
