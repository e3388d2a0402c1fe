"""Which tags of a release are set, in which order, and when that is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.domain.release_tags import ReleaseTags


class PublicationRefusedError(Exception):
    """The release is not to have its tags; the message says why, and what to do. Nothing was touched."""


@dataclass(frozen=True, slots=True)
class Step:
    """One tag; `before` is the digest that it names now, None: it is not there."""

    tag: str
    before: str | None
    fixed: bool

    def is_done(self, digest: str) -> bool:
        """Whether the tag names the digest already."""
        return self.before == digest


def steps(tags: ReleaseTags, digest: str, now: Mapping[str, str | None]) -> tuple[Step, ...]:
    """What to do with each tag, the channel's last. `now` has the digest that each names.

    Raises `PublicationRefusedError` where a fixed tag names another digest.
    """
    taken = [f"{tag} names {now[tag]}" for tag in tags.fixed if now[tag] not in (None, digest)]
    if taken:
        raise PublicationRefusedError(
            f"{'; '.join(taken)}, and not {digest}. A fixed tag is never moved: publish the digest that it names, or "
            "make a new commit."
        )
    return (
        *(Step(tag, now[tag], fixed=True) for tag in tags.fixed),
        Step(tags.channel, now[tags.channel], fixed=False),
    )


def check_newer(channel: str, mine: datetime | None, current: datetime | None) -> None:
    """Raises `PublicationRefusedError` where the channel would go back to an older release, or that cannot be told."""
    if mine is None or current is None:
        raise PublicationRefusedError(
            f"What {channel} names now does not say when it was made, so it cannot be told whether this release is "
            "newer. If it is, repeat with --allow-older."
        )
    if mine < current:
        raise PublicationRefusedError(
            f"This release was made at {_told(mine)}, and what {channel} names now at {_told(current)}: the channel "
            "would go back. If that is meant, repeat with --allow-older."
        )


def check_labels(faults: Sequence[str]) -> None:
    """Raises `PublicationRefusedError` where there are any."""
    if faults:
        listed = "".join(f"\n  {fault}" for fault in faults)
        raise PublicationRefusedError(
            f"The image does not say which release it is:{listed}\nBuild it with the labels that "
            "`tidegate release labels` prints."
        )


def _told(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
