"""Whether enough different people have agreed to a rollout."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody's yes."""

    by: str
    at: datetime


class ApprovalRefusedError(Exception):
    """An approval that does not count; the message says why."""


def approved(requested_by: str, before: Sequence[Approval], new: Approval) -> tuple[Approval, ...]:
    """All approvals with a new one. Raises `ApprovalRefusedError` for the requester's own, and for a second one.

    Names that differ only in case are one person's.
    """
    if is_same_person(new.by, requested_by):
        raise ApprovalRefusedError(f"{requested_by} asked for this rollout; somebody else has to approve it")
    if any(is_same_person(one.by, new.by) for one in before):
        raise ApprovalRefusedError(f"{new.by} has approved it already; somebody else has to")
    return (*before, new)


def is_same_person(one: str, other: str) -> bool:
    """Whether two names of users are one person's: `Bob` is no second person beside `bob`."""
    return one.casefold() == other.casefold()
