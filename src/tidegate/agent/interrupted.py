"""An update that is interrupted is tried again, but not for ever: it may be what kills the agent, or the host."""

from collections.abc import Sequence
from dataclasses import replace

from tidegate.agent.hold import Hold
from tidegate.agent.outcome import Ending, Result
from tidegate.agent.prepare import Prepared
from tidegate.agent.replacement import Replacement
from tidegate.agent.state import History

MOST = 3
"""So often in a row the same release may be interrupted on a target; then it counts as failed."""
_LOOKED_AT = 1000


def judged(
    result: Result, prepared: Sequence[Prepared], history: History, *, hold: Hold | None = None, assigned: bool = False
) -> Result:
    """What an end counts as, by those in the history. Of its own transaction nothing counts, so it may be asked twice.

    What nobody else decides about (`assigned`: the manager does) is blamed at last, or the next look would try it
    again. What a person asked for (`hold`) nobody tries again. Raises `StateError`.
    """
    if result.ending is not Ending.INTERRUPTED or hold is not None:
        return result
    moved = [one.replacement for one in prepared if not one.replacement.follows]
    times = 1 + min((_earlier(it, history) for it in moved), default=0)
    if times < MOST:
        return result
    reason = f"{result.reason}; it was interrupted {times} times in a row, so it counts as failed"
    return replace(result, ending=Ending.FAILED, reason=reason, blame=not assigned)


def _earlier(it: Replacement, history: History) -> int:
    """How many transactions in a row, up to this one, were interrupted while they brought that release in."""
    seen = {_transaction(it)}
    for row in reversed(history.tail(_LOOKED_AT, cluster=it.cluster, service=it.service)):
        if row.get("container") != it.name or row.get("transaction") in {None, _transaction(it)}:
            continue
        if (row.get("outcome"), row.get("to")) != (Ending.INTERRUPTED, it.new_digest):
            break
        seen.add(str(row["transaction"]))
    return len(seen) - 1


def _transaction(it: Replacement) -> str:
    return it.id.rpartition(".")[0]
