"""How a transaction can end, and what that says of its release."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from tidegate.agent.hands import Unhealthy
from tidegate.agent.replacement import Replacement
from tidegate.agent.settling import describe
from tidegate.agent.stopping import ToldToStop
from tidegate.domain.course import StepTook
from tidegate.domain.transaction import Settlement
from tidegate.engine.errors import EngineError


class Ending(StrEnum):
    """How a transaction ended. `interrupted`: cut off before it was proved, and put back; it is tried again."""

    COMMITTED = "committed"
    ROLLED_BACK = "rolled-back"
    GAVE_WAY = "gave-way"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    INTERRUPTED = "interrupted"


class NotEndedError(EngineError):
    """The engine refused what would have brought an update to rest; its journal is open, and tells how to go on."""


class NotPutBackError(NotEndedError):
    """What ran before is gone, or down, and the engine refuses to have it run again: a person has to look, now."""


class Inconclusive(Exception):  # noqa: N818 - a verdict, not an error
    """The proof itself could not be made; nothing is known of the release."""


class Broken(Unhealthy):
    """A container that serves did not hold; `container` is its name."""

    def __init__(self, container: str, verdict: Unhealthy) -> None:
        super().__init__(f"{container}: {verdict}", verdict.output)
        self.container = container


@dataclass(frozen=True, slots=True)
class Result:
    """What a transaction came to. `blame` tells whether a release is at fault and goes to quarantine.

    It is that of the container named `culprit`; an empty name blames all of them. Of what was interrupted, and is not
    to blame yet, `culprit` is what was on its way then. `output` is what the container that failed wrote last,
    `course` what was waited for on the way; that is read from the journal once all of it is there.
    """

    ending: Ending
    reason: str
    blame: bool = False
    ends: Mapping[str, Settlement] = field(default_factory=dict)
    needs_serving_network: Mapping[str, str] = field(default_factory=dict)
    culprit: str = ""
    output: str = ""
    course: tuple[StepTook, ...] = ()

    def record(self) -> dict[str, Any]:
        """As the last record of a journal has it."""
        return {name: value for name, value in asdict(self).items() if name != "course"}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Result":
        """The reverse of `record`."""
        ends = {name: Settlement(end) for name, end in record["ends"].items()}
        needs = record["needs_serving_network"]
        culprit, output = record.get("culprit", ""), record.get("output", "")
        return cls(Ending(record["ending"]), record["reason"], record["blame"], ends, needs, culprit, output)


def result_of(it: Replacement, cause: BaseException, end: Settlement, *, interfered: bool) -> Result:
    """What cutting one replacement short makes of its transaction."""
    if interfered:
        return Result(Ending.GAVE_WAY, f"{cause}; {describe(end, it)}")
    match cause:
        case Unhealthy():
            return Result(Ending.ROLLED_BACK, f"{it.name}: {cause}", blame=True, culprit=it.name)
        case Inconclusive():
            return Result(Ending.INCONCLUSIVE, f"{it.name}: {cause}; {describe(end, it)}")
        case ToldToStop():
            return Result(Ending.INTERRUPTED, f"{it.name}: {cause}; {describe(end, it)}", culprit=it.name)
        case _:
            return Result(Ending.FAILED, f"{it.name}: {cause}; {describe(end, it)}")
