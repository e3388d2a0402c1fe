"""Which of a channel's releases is to go out, and why the others are not."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.domain.channel_policy import ChannelPolicy
from tidegate.domain.durations import duration_text
from tidegate.domain.rollout_policy import Mode


@dataclass(frozen=True, slots=True)
class Release:
    """One digest seen on a channel. `seen_at` is when it was seen first; the tag named it last at `named_at`."""

    digest: str
    seen_at: datetime
    named_at: datetime
    version: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be done about a channel: roll `release` out from `not_before` on, or nothing, and why."""

    release: Release | None
    reason: str
    not_before: datetime | None = None


def newest(releases: Iterable[Release]) -> Release | None:
    """What the tag names now: a tag that was moved back names the earlier release again."""
    return max(releases, key=lambda one: (one.named_at, one.seen_at, one.digest), default=None)


def choose(
    policy: ChannelPolicy,
    releases: Sequence[Release],
    *,
    running: Collection[str],
    quarantined: Collection[str],
    under_way: Collection[str] = (),
    dealt_with: Mapping[str, str] | None = None,
) -> Choice:
    """Whether the channel's newest release is to go out by itself: once, until a person sends it out again.

    `running` are the digests that run on its targets, `under_way` those of rollouts that have not ended. `dealt_with`
    are those that went out, were turned down or were left by hand since the tag named them last, with what became of
    it; a rollout that another one overtook is not among them. Under approval a rollout is made at once, so that people
    can see and approve it; `not_before` is the time that the release has to have been known for.
    """
    release = newest(releases)
    if release is None:
        return Choice(None, "nothing was seen on it yet")
    if policy.mode in {Mode.PINNED, Mode.MONITOR_ONLY}:
        return Choice(None, f"its policy is {policy.mode}: releases go out by hand only")
    if not running:
        return Choice(None, "no target follows it")
    if set(running) == {release.digest}:
        return Choice(None, "every target runs the newest release")
    if release.digest in quarantined:
        return Choice(None, f"{_short(release)} is in quarantine")
    if release.digest in under_way:
        return Choice(None, f"{_short(release)} is on its way")
    if dealt_with and release.digest in dealt_with:
        what = dealt_with[release.digest]
        return Choice(None, f"{_short(release)} {what}; start a rollout by hand to send it out again")
    ready = release.seen_at + policy.minimum_age
    why = f"{_short(release)} is the newest release"
    if policy.minimum_age:
        why += f"; it goes out once it has been known for {duration_text(policy.minimum_age)}"
    return Choice(release, why, ready)


def _short(release: Release) -> str:
    return release.version or release.digest[:19]
