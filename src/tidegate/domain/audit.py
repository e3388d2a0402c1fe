"""The audit log: who did what to what.

Each entry holds the hash of the one before it, so that none can be changed, left out or put in between without all
that follow it telling.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

BEGINNING = "0" * 64
"""What the first entry holds in place of a hash."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. `before` and `after` are what it changed, as JSON values; `source` is the address that it came from."""

    number: int
    at: datetime
    actor: str
    source: str
    action: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    previous: str
    hash: str = ""


def sealed(entry: Entry) -> Entry:
    """The entry with the hash of everything in it."""
    document = [
        entry.number,
        entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        entry.actor,
        entry.source,
        entry.action,
        entry.subject,
        entry.before,
        entry.after,
        entry.previous,
    ]
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return replace(entry, hash=hashlib.sha256(text.encode()).hexdigest())


def follow(last: Entry | None, entry: Entry) -> Entry:
    """The entry as the one after `last`, numbered and sealed."""
    number, previous = (last.number + 1, last.hash) if last is not None else (1, BEGINNING)
    return sealed(replace(entry, number=number, previous=previous))


def fault(entries: Iterable[Entry], last: Entry | None = None) -> str | None:
    """Where a log stops being what was written, in words; None where it holds. It goes on from `last`.

    What is cut off at its end cannot be told from the log alone: `miscounted` compares it with how many were written,
    and whoever can change that, too, is found out by a last hash that is kept elsewhere.
    """
    for entry in entries:
        number, previous = (last.number + 1, last.hash) if last is not None else (1, BEGINNING)
        if entry.number != number:
            return f"entry {number} is missing: {entry.number} follows in its place"
        if entry.previous != previous:
            return f"entry {entry.number} does not follow the one before it"
        if sealed(entry).hash != entry.hash:
            return f"entry {entry.number} was changed after it was written"
        last = entry
    return None


def miscounted(last: int, written: int) -> str | None:
    """What is wrong with a log whose last entry has this number, where so many were written; None: nothing."""
    if last < written:
        gone = f"entry {written} is" if last + 1 == written else f"entries {last + 1} to {written} are"
        return f"{gone} missing at its end: {written} were written"
    return None if last == written else f"entry {last} is in it, and only {written} were written"
