"""The rules: from what is so, what is worth an alert, and in which words. Pure.

A text says what, to what, since when, and what to do now. Times are absolute, so that it stays the same while nothing
changes.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from tidegate.domain.rollout import NOT_APPROVED, NOT_OVER, State
from tidegate.manager.people.audit import MANAGER
from tidegate.manager.telling.alert import Finding, Rule, Severity, Thresholds
from tidegate.manager.telling.alert_facts import (
    Drifted,
    Facts,
    Failure,
    Hampered,
    Quarantined,
    Refused,
    Silent,
    Troubled,
    Unreachable,
)

_DIGEST_CHARS = 19
_REASON_CHARS = 500
_BY_A_PERSON = "paused by "


def findings(
    facts: Facts, limits: Thresholds, now: datetime, told: Collection[tuple[Rule, str]] = frozenset()
) -> list[Finding]:
    """Everything that is worth an alert now. `told` is what alerts that are open tell of: rules and subjects."""
    since, held = facts.watching_since, {one.digest: one.id for one in facts.quarantined}
    return [
        *(_failed(one, held) for one in facts.failures),
        *_newest(found for one in facts.rollouts for found in _rollout(one, held, limits, now)),
        *(
            found
            for one in facts.silent
            for found in _silent(one, None if _offline(one) in told else since, limits, now)
        ),
        *(_drifted(one) for one in facts.drifted if now >= one.since + limits.drift),
        *(_unreachable(one, now) for one in facts.unreachable if one.failures >= limits.channel_failures),
        *(_hampered(one, now) for one in facts.hampered),
        *(_refused(one) for one in facts.refused),
        *(_quarantined(one) for one in facts.quarantined),
    ]


def _newest(found: Iterable[Finding]) -> Iterable[Finding]:
    """Of what is found of one subject, the last: that of the newest rollout."""
    return {(one.rule, one.subject): one for one in found}.values()


def _failed(it: Failure, held: Mapping[str, int]) -> Finding:
    text = (
        f"{it.target}: the update to {_release(it.version, it.digest)} failed at {_when(it.at)}{_why(it.reason)}. "
        f"`tidegate targets show {it.target}` tells what runs there now; mend what the reason names, "
        f"{_once_more(it, held)}, or acknowledge this."
    )
    return Finding(Rule.UPDATE_FAILED, it.target, Severity.WARNING, text, it.at, it.assignment)


def _once_more(it: Failure, held: Mapping[str, int]) -> str:
    """How it is tried again: a rollout that is over, or goes back, as it does by default, cannot be."""
    if it.state in {State.RUNNING, State.PAUSED}:
        return f"then `tidegate rollout retry {it.rollout}` while that one goes on"
    return (
        f"and push another release. Rollout {it.rollout} is {it.state.replace('_', ' ')} and tries nothing again; "
        f"{_anew(it, held)}"
    )


def _anew(it: Failure | Troubled, held: Mapping[str, int]) -> str:
    """How a release is sent out once more; `held` has the entries of quarantine by their digests."""
    start = f"`tidegate rollout start {it.channel} {it.version or _digest(it.digest)}` sends this release out anew"
    entry = held.get(it.digest)
    return start if entry is None else f"first `tidegate quarantine release {entry}` (an admin), then {start}"


def _rollout(it: Troubled, held: Mapping[str, int], limits: Thresholds, now: datetime) -> Iterator[Finding]:
    what = f"rollout {it.id} of {_release(it.version, it.digest)} on {it.channel}"
    since = it.since or now
    match it.state:
        case State.AWAITING_APPROVAL if now >= since + limits.approval:
            yield _waits(it, what, since)
        case State.PAUSED if not it.reason.startswith(_BY_A_PERSON):
            yield _paused(it, what, now)
        case State.ROLLING_BACK | State.ROLLED_BACK:
            yield _went_back(it, what, since)
        case State.FAILED:
            yield _not_put_back(it, what, since)
        case State.CANCELLED if it.reason.startswith((NOT_APPROVED, NOT_OVER)):
            yield _expired(it, what, since, held)


def _waits(it: Troubled, what: str, since: datetime) -> Finding:
    """It is the channel that waits: where one release follows another, that is no news."""
    text = (
        f"{what} waits for approval ({it.agreed} of {it.needed}); its channel waits for one since {_when(since)}. "
        f"`tidegate rollout show {it.id}` tells what changes; somebody other than {it.requested_by} approves it with "
        f"`tidegate rollout approve {it.id}`, or turns it down with `tidegate rollout reject {it.id}`."
    )
    subject = f"channel {it.channel}" if it.whole else f"rollout {it.id}"
    return Finding(Rule.APPROVAL_WAITING, subject, Severity.INFO, text, since)


def _paused(it: Troubled, what: str, now: datetime) -> Finding:
    text = (
        f"{what} has stopped and waits for a person{_why(it.reason)}. Nothing more is updated until then. Look with "
        f"`tidegate rollout show {it.id}`; then `tidegate rollout resume {it.id}` to go on, or "
        f"`tidegate rollout rollback {it.id}` to put back what ran before."
    )
    return Finding(Rule.ROLLOUT_PAUSED, f"rollout {it.id}", Severity.CRITICAL, text, it.since or now)


def _went_back(it: Troubled, what: str, since: datetime) -> Finding:
    text = (
        f"{what} is rolled back, which began at {_when(since)}{_why(it.reason)}. Its targets get back what ran before. "
        f"Nothing has to be done at once: see `tidegate rollout show {it.id}`, mend the release, and push another one."
    )
    return Finding(Rule.ROLLED_BACK, f"rollout {it.id}", Severity.WARNING, text, since, str(it.id))


def _not_put_back(it: Troubled, what: str, since: datetime) -> Finding:
    text = (
        f"{what} failed at {_when(since)}, and not every target was put back{_why(it.reason)}. It may be down: look "
        f"with `tidegate rollout show {it.id}`, and mend it on its host (docs/operations.md, going back by hand)."
    )
    return Finding(Rule.ROLLOUT_FAILED, f"rollout {it.id}", Severity.CRITICAL, text, since, str(it.id))


def _expired(it: Troubled, what: str, since: datetime, held: Mapping[str, int]) -> Finding:
    text = (
        f"{what} has expired at {_when(since)}{_why(it.reason)}. What it has updated stays so, and this release goes "
        f"nowhere else by itself. `tidegate rollout show {it.id}` tells who has it; "
        f"{_anew(it, held)}."
    )
    return Finding(Rule.ROLLOUT_EXPIRED, f"rollout {it.id}", Severity.WARNING, text, since, str(it.id))


def _offline(it: Silent) -> tuple[Rule, str]:
    return Rule.TARGET_OFFLINE, f"agent {it.agent}"


def _silent(it: Silent, watching_since: datetime | None, limits: Thresholds, now: datetime) -> Iterator[Finding]:
    """Whoever could not be heard because the manager, or its database, did not run has its time from when it does.

    Not who was missed before (`watching_since` is None): that one is not back because the manager is.
    """
    last = it.last_seen_at or it.enrolled_at
    if now < max(last, watching_since or last) + limits.offline:
        return
    ends = "its target" if it.targets == 1 else f"its {it.targets} targets"
    text = (
        f"agent {it.agent} was not heard since {_when(last)}, and {ends} cannot be updated or watched meanwhile; what "
        f"runs there goes on. On its host: is the machine up, does the agent run (`docker compose ps`), and what does "
        f"it say of the manager (`docker compose logs` of the agent's service: `tidegate`; in the autonomy cluster "
        f"`watchtower`, or `agent` beside Watchtower)?"
    )
    yield Finding(*_offline(it), Severity.WARNING, text, last)


def _drifted(it: Drifted) -> Finding:
    text = (
        f"{it.target} runs {_digest(it.runs)} since {_when(it.since)}, and not {_digest(it.wanted)}, which was put "
        f"there. Somebody has changed it by hand. {_to_stay(it)}`tidegate rollback {it.target} --to "
        f"{_digest(it.wanted)}` puts it back."
    )
    return Finding(Rule.DRIFT, it.target, Severity.WARNING, text, it.since)


def _to_stay(it: Drifted) -> str:
    """How to say that what was put there is to run: by all of its digest, which may be of no release."""
    if not it.runs:
        return ""
    return f"If that is to stay, `tidegate rollback {it.target} --to {it.runs}` says so, and moves nothing; if not, "


def _unreachable(it: Unreachable, now: datetime) -> Finding:
    text = (
        f"the registry of channel {it.channel} cannot be asked for new releases{_why(it.trouble)}. What runs goes on, "
        f"and it is tried again by itself. Check the registry, the name of the image and the credentials."
    )
    return Finding(Rule.CHANNEL_UNREACHABLE, f"channel {it.channel}", Severity.WARNING, text, now)


def _hampered(it: Hampered, now: datetime) -> Finding:
    text = (
        f"what updates the targets of agent {it.agent} is in trouble{_why(it.trouble)}. What runs there goes on; what "
        f"is assigned there may fail meanwhile. On its host: does Watchtower run (`docker compose ps`), and what does "
        f"it say (`docker compose logs watchtower`)?"
    )
    return Finding(Rule.UPDATER_TROUBLE, f"agent {it.agent}", Severity.WARNING, text, now)


def _refused(it: Refused) -> Finding:
    about = f" for {it.target}" if it.target else ""
    text = (
        f"{it.subject} refused an order{about} at {_when(it.at)}{_why(it.reason)}. Nothing was touched there. If the "
        f"reason names a repository, correct the agent's allow-list; if it names a signature or another agent, "
        f"somebody may be using the manager's place: see `tidegate audit list`, then rotate the key. Acknowledge this "
        f"when it is understood."
    )
    return Finding(Rule.ASSIGNMENT_REFUSED, it.subject, Severity.CRITICAL, text, it.at)


def _quarantined(it: Quarantined) -> Finding:
    by = "" if it.by == MANAGER else f" by {it.by}"
    text = (
        f"{_digest(it.digest)}{f' of {it.channel}' if it.channel else ''} is in quarantine since {_when(it.at)}{by}"
        f"{_why(it.reason)}. It is offered to nobody. Push a mended release; if this one is good after all, an admin "
        f"releases it: `tidegate quarantine release {it.id}`."
    )
    severity = Severity.WARNING if it.by == MANAGER else Severity.INFO
    return Finding(Rule.DIGEST_QUARANTINED, f"digest {it.digest}", severity, text, it.at, str(it.id))


def _release(version: str, digest: str) -> str:
    return f"{version} ({_digest(digest)})" if version else _digest(digest)


def _digest(digest: str) -> str:
    return digest[:_DIGEST_CHARS] if digest else "nothing that is known"


def _when(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _why(reason: str) -> str:
    """The reason on one line, as the end of a sentence."""
    line = " ".join(reason.split()).rstrip(".")
    return f": {line[:_REASON_CHARS]}" if line else ""
