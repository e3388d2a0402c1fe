"""What the commands of the agent answer with, and how they fail."""

from dataclasses import dataclass

from tidegate.domain.course import StepTook


class CommandError(Exception):
    """A command failed; the message is one line that names the thing and the remedy."""


class CommandRefusedError(CommandError):
    """What was asked for is not possible now; nothing was touched."""


@dataclass(frozen=True, slots=True)
class UpdaterRow:
    """The Watchtower that updates in the agent's place, and what it counts in its last scan.

    The counts are None where it does not answer; `scans` are those since it was started. `trouble` is empty while all
    is well.
    """

    scanned: int | None
    updated: int | None
    failed: int | None
    scans: int | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One selected container now. `last_at` is ISO 8601; `transaction` the step of an update in progress.

    `decided_by` is who says what is updated: `agent` or `manager`; `updater` None: the agent does it itself.
    """

    container: str
    cluster: str | None
    service: str | None
    image: str
    state: str
    health: str
    running_digest: str | None
    last_outcome: str | None
    last_at: str | None
    quarantined: tuple[str, ...]
    transaction: str | None
    decided_by: str = "agent"
    updater: UpdaterRow | None = None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One transaction that ended. `at` is ISO 8601, `seconds` from its first step to its last.

    `output` is what the container wrote last that failed, `steps` what was waited for on the way.
    """

    at: str
    cluster: str | None
    service: str | None
    container: str
    image: str
    from_digest: str | None
    to_digest: str | None
    strategy: str | None
    outcome: str
    seconds: float
    detail: str
    output: str = ""
    steps: tuple[StepTook, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """How a command that changes something ended; `message` is one sentence for a person."""

    ok: bool
    message: str
