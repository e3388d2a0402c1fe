"""What may hold a release back from a target: quarantine, cool-down, windows and freezes."""

from datetime import datetime, timedelta

from tidegate.agent.state import State
from tidegate.agent.survey import Place
from tidegate.cron import occurrences
from tidegate.domain.durations import format_duration
from tidegate.domain.policy import Policy
from tidegate.domain.reference import parse_reference
from tidegate.domain.windows import Gate, WindowError, gate, parse_freezes, parse_windows


class StateGates:
    """Gates that read the agent's state."""

    def __init__(self, state: State, *, zone: str, remember: bool) -> None:
        """`zone` holds for windows that name none; `remember` False only looks, as `plan` does."""
        self._state = state
        self._zone = zone
        self._remember = remember

    def quarantined(self, place: Place, digest: str) -> str | None:
        """Why the digest is never to be offered to this target, or None."""
        repository = parse_reference(place.followed).name
        entry = self._state.quarantine.find(repository, digest, place.cluster, place.service)
        if entry is None:
            return None
        return (
            f"{digest[:19]} is in quarantine since {entry.since[:16]}: {entry.reason}; "
            f"`tidegate agent quarantine release {digest[7:19]}` offers it again"
        )

    def closed(self, place: Place, policy: Policy, digest: str, now: datetime) -> Gate | None:
        """Why now is not the time, and when it is; None where it is."""
        return self._cooling(place, policy, digest, now) or self._outside(policy, now)

    def _cooling(self, place: Place, policy: Policy, digest: str, now: datetime) -> Gate | None:
        seen = now
        if self._remember:
            seen = self._state.seen.first_seen(place.followed, digest, now)
        if policy.cooldown_s <= 0:
            return None
        if not self._remember:
            seen = self._state.seen.known(place.followed, digest) or now
        ready = seen + timedelta(seconds=policy.cooldown_s)
        if now >= ready:
            return None
        wanted = format_duration(policy.cooldown_s)
        reason = (
            f"it cools down: a release has to be known for {wanted}, this one will be at {ready:%Y-%m-%d %H:%M} UTC"
        )
        return Gate(open=False, reason=reason, next_open=ready)

    def _outside(self, policy: Policy, now: datetime) -> Gate | None:
        try:
            windows = parse_windows(";".join(policy.windows), default_zone=self._zone)
            freezes = parse_freezes(";".join(policy.freezes), default_zone=self._zone)
        except WindowError as error:
            return Gate(open=False, reason=f"{error} Until then nothing is updated here.")
        found = gate(now, windows, freezes, occurrences)
        return None if found.open else found
