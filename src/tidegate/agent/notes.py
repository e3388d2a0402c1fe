"""What a transaction writes down: what it is about to do, and what that came to."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import structlog

from tidegate.agent.hold import Hold
from tidegate.agent.replacement import Replacement
from tidegate.agent.state import StateError
from tidegate.domain.transaction import Settlement, Step

_log = structlog.get_logger(__name__)


class Writing(Protocol):
    """The journal, as far as it is written to."""

    def begin(self, txid: str, record: Mapping[str, Any]) -> None:
        """Open a transaction; on disk when it returns. Raises `StateError`."""

    def append(self, txid: str, record: Mapping[str, Any]) -> None:
        """Add a record; on disk when it returns. Raises `StateError`."""


class Notes:
    """The records of one transaction; `unfinished.read` reads them.

    A step forward is not taken where it cannot be written down. Everything else brings the transaction to rest, which
    it has to come to all the same: a service may be down.
    """

    def __init__(self, journal: Writing, txid: str) -> None:
        self._journal = journal
        self._txid = txid

    def begin(
        self,
        replacements: Sequence[Replacement],
        hold: Hold | None,
        *,
        handover: bool,
        assignments: Sequence[str] = (),
        delegated: bool = False,
    ) -> None:
        """Open the journal; `assignments` are the ids of what the manager wants done by it. Raises `StateError`."""
        record = {
            "kind": "begin",
            "handover": handover,
            "delegated": delegated,
            "replacements": [it.record() for it in replacements],
            "hold": hold.record() if hold else None,
            "assignments": list(assignments),
        }
        self._journal.begin(self._txid, record)

    def step(self, it: Replacement, step: Step) -> None:
        """A step is about to be taken. Raises `StateError` on the way forward."""
        if it.reverse:
            self._try(it.step_record(step))
        else:
            self._write(it.step_record(step))

    def note(self, kind: str, **more: Any) -> None:
        """Anything else."""
        self._try({"kind": kind, **more})

    def verdict(self, reason: str, container: str, output: str = "") -> None:
        """A release is broken, as `container` has shown; `output` is what that wrote last, if it is known already."""
        self.note("verdict", reason=reason, container=container, **({"output": output} if output else {}))

    def output(self, text: str) -> None:
        """What the container wrote last that failed."""
        self.note("output", text=text)

    def settling(self, it: Replacement, end: Settlement, *, gave_way: bool) -> None:
        """It is to be brought to rest like this."""
        self.note("settling", id=it.id, end=end, gave_way=gave_way)

    def settled(self, it: Replacement, end: Settlement, *, gave_way: bool) -> None:
        """It is at rest, and the transaction does not go on from here."""
        self.note("settled", id=it.id, end=end, gave_way=gave_way)

    def _try(self, record: Mapping[str, Any]) -> None:
        try:
            self._write(record)
        except StateError as error:
            _log.error(
                "the journal could not be written; the update is ended without",
                record=record["kind"],
                reason=str(error),
            )

    def _write(self, record: Mapping[str, Any]) -> None:
        self._journal.append(self._txid, {**record, "time_ns": time.time_ns()})
