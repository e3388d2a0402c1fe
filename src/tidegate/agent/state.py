"""The agent's local state: one directory, named by TIDEGATE_STATE, that a person can read."""

from dataclasses import dataclass
from pathlib import Path

from tidegate.agent.store.busy import Busy
from tidegate.agent.store.files import Clock, StateError, make_directory, wall_clock, write
from tidegate.agent.store.history import History
from tidegate.agent.store.journal import Journal, JournalFile
from tidegate.agent.store.lock import StateLock
from tidegate.agent.store.previous import Earlier, Previous
from tidegate.agent.store.quarantine import Quarantine, QuarantineEntry, named
from tidegate.agent.store.seen import Seen
from tidegate.agent.store.unprovable import Unprovable

__all__ = [
    "Busy",
    "Earlier",
    "History",
    "Journal",
    "JournalFile",
    "Previous",
    "Quarantine",
    "QuarantineEntry",
    "Seen",
    "State",
    "StateError",
    "StateLock",
    "Unprovable",
    "named",
]


@dataclass(frozen=True, slots=True)
class State:
    """Everything the agent keeps. Nothing is read or created before it is asked for."""

    directory: Path
    lock: StateLock
    journal: Journal
    history: History
    quarantine: Quarantine
    seen: Seen
    previous: Previous
    unprovable: Unprovable
    busy: Busy

    @classmethod
    def at(cls, directory: Path, *, clock: Clock = wall_clock) -> "State":
        """The state in a directory that may not exist yet; reading from it then finds nothing."""
        return cls(
            directory=directory,
            lock=StateLock(directory),
            journal=Journal(directory / "journal", clock=clock),
            history=History(directory, clock=clock),
            quarantine=Quarantine(directory, clock=clock),
            seen=Seen(directory, clock=clock),
            previous=Previous(directory, clock=clock),
            unprovable=Unprovable(directory, clock=clock),
            busy=Busy(directory, clock=clock),
        )

    def check_writable(self) -> None:
        """Create the directory and write to it, so that an agent finds out before it touches a container.

        Raises `StateError`.
        """
        make_directory(self.directory)
        probe = self.directory / "write-check"
        write(probe, b"this directory can be written to\n")
        probe.unlink(missing_ok=True)
