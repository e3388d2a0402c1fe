"""What a release has failed by on targets, and that it goes to quarantine for that."""

from collections.abc import Sequence
from dataclasses import replace

from tidegate.domain.rollout import Kind, Progress, TargetProgress
from tidegate.domain.rollout_effects import Quarantine
from tidegate.domain.rollout_policy import OnFailure
from tidegate.domain.rollout_work import Work


def told(failures: Sequence[TargetProgress]) -> str:
    """The first of them, and how many more there are."""
    more = f" (and {len(failures) - 1} more)" if failures[1:] else ""
    return f"{failures[0].id}: {failures[0].reason}{more}"


def quarantine_what_is_bad(work: Work) -> None:
    """Put the release of an update that goes back, or has ended, in quarantine where a target has proved it bad.

    One that does not go back asks its policy. What was found once is not found again, so that a release which a person
    lets out of quarantine stays out, until it fails anew.
    """
    it = work.rollout
    if it.kind is Kind.ROLLBACK or (it.back_since is None and it.policy.on_failure is not OnFailure.ROLLBACK):
        return
    found = [one for one in work.targets.values() if one.progress is Progress.FAILED and one.blamed and not one.excused]
    for one in found:
        work.set(replace(one, excused=True))
    if found and not work.is_quarantined:
        work.do(Quarantine(it.digest, told(found)))
