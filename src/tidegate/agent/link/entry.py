"""An assignment as the agent remembers it: how far it is, and what the manager was told of it last."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tidegate.domain.assignment import Assignment
from tidegate.domain.course import MOST_STEPS, StepTook
from tidegate.domain.rollout_apply import Outcome
from tidegate.protocol.events import Report
from tidegate.protocol.fields import Fields, MessageError, write_time
from tidegate.protocol.signed import read_unverified, write_document


class Stage(StrEnum):
    """`begun`: it is being carried out, or was when the agent was cut off."""

    WAITING = "waiting"
    BEGUN = "begun"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Entry:
    """`outcome` is what was told last, None: nothing yet. `begun_at` is when it was begun, for the duration.

    `withdrawn`: the manager has taken it back after it was begun; if it is cut off it is not begun again. `output` is
    told once, and not remembered here; `steps`, what was waited for, likewise.
    """

    it: Assignment
    stage: Stage = Stage.WAITING
    outcome: Outcome | None = None
    reason: str = ""
    blame: bool = False
    begun_at: datetime | None = None
    duration_s: float | None = None
    withdrawn: bool = False
    output: str = ""
    steps: tuple[StepTook, ...] = ()

    def report(self, at: datetime) -> Report:
        """What the manager is told of it."""
        it = self.it
        return Report(
            at=at,
            assignment=it.id,
            rollout=it.rollout,
            target=it.target,
            generation=it.generation,
            digest=it.digest,
            outcome=self.outcome or Outcome.BUSY,
            reason=self.reason,
            blame=self.blame,
            duration_s=self.duration_s,
            output=self.output,
            steps=self.steps[-MOST_STEPS:],
        )

    def record(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "document": write_document(self.it),
            "stage": str(self.stage),
            "outcome": str(self.outcome) if self.outcome else None,
            "reason": self.reason,
            "blame": self.blame,
            "begun_at": write_time(self.begun_at) if self.begun_at else None,
            "duration_s": self.duration_s,
            "withdrawn": self.withdrawn,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Entry":
        """The reverse of `record`. Raises ValueError."""
        fields = Fields(record)
        it = read_unverified(fields.text("document", most=64 * 1024))
        if not isinstance(it, Assignment):
            raise MessageError("document", "it is no assignment")
        outcome = fields.text("outcome", "")
        return cls(
            it=it,
            stage=Stage(fields.text("stage")),
            outcome=Outcome(outcome) if outcome else None,
            reason=fields.text("reason", "", most=64 * 1024),
            blame=fields.yes("blame", default=False),
            begun_at=fields.time("begun_at") if record.get("begun_at") else None,
            duration_s=fields.seconds_or_none("duration_s"),
            withdrawn=fields.yes("withdrawn", default=False),
        )
