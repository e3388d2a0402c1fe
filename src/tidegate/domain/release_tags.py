"""The tags of a release: one that names it for ever, made of the commit, and the channel's, which moves to it last."""

import re
from dataclasses import dataclass

from tidegate.domain.reference import DEFAULT_TAG, InvalidReferenceError, parse_reference

_REVISION = re.compile(r"[0-9a-f]{7,64}")
_MOVES = f"-{DEFAULT_TAG}"
_LOOKS_FIXED = re.compile(r"-[0-9a-f]{7,64}$")


class TagsError(ValueError):
    """These cannot be the tags of a release; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class ReleaseTags:
    """`fixed` name one digest for ever; `channel` is moved from release to release."""

    fixed: tuple[str, ...]
    channel: str


def release_tags(channel: str, revision: str, others: tuple[str, ...] = ()) -> ReleaseTags:
    """The tags of the release of a commit, whose id is given whole or shortened. Raises `TagsError`.

    `others` are fixed tags beside the one that is made of the commit, such as a version.
    """
    if _REVISION.fullmatch(revision) is None:
        raise TagsError(f"{revision!r} is no commit: it takes 7 to 64 digits of its id, 0-9 and a-f.")
    fixed = tuple(dict.fromkeys((fixed_tag(channel, revision), *others)))
    for tag in (channel, *fixed):
        _check(tag)
    if _LOOKS_FIXED.search(channel):
        raise TagsError(
            f"{channel} looks like a release's fixed tag, which ends in a commit and is never moved: give the tag that "
            "targets follow, such as latest."
        )
    if channel in fixed:
        raise TagsError(f"{channel} cannot be a fixed tag and the channel's, which moves.")
    return ReleaseTags(fixed, channel)


def fixed_tag(channel: str, revision: str) -> str:
    """`autonomy-latest` and a commit are `autonomy-COMMIT`; `latest` is `sha-COMMIT`; any other is `CHANNEL-COMMIT`."""
    return f"{'sha' if channel == DEFAULT_TAG else channel.removesuffix(_MOVES)}-{revision}"


def _check(tag: str) -> None:
    try:
        good = parse_reference(f"example.com/image:{tag}").tag == tag
    except InvalidReferenceError:
        good = False
    if not good:
        raise TagsError(f"{tag!r} is no tag: it takes 1 to 128 of A-Z a-z 0-9 _ . - and does not start with . or -.")
