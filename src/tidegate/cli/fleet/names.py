"""What people call things: full names, short ones where they are clear, and near misses."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Final, TypeVar

from tidegate.cli.fleet.errors import AmbiguousNameError, NoSuchNameError, UsageError
from tidegate.cli.fleet.model import Channel, Cluster, Quarantined, Release, Target
from tidegate.domain.reference import DEFAULT_TAG, InvalidReferenceError, parse_reference

_NEAR: Final = 0.6
_SUGGESTED: Final = 3
_LEAST_DIGITS: Final = 6
_LEAST_PART: Final = 3
_LISTS: Final = {
    "target": "`tidegate targets` lists them.",
    "cluster": "`tidegate clusters` lists them.",
    "channel": "`tidegate channels` lists them.",
    "release": "It is named by its version, its digest, or six or more digits of that; `tidegate releases` lists them.",
    "entry in quarantine": "It is named by its id, or six or more digits of its digest (`tidegate quarantine list`).",
    "agent": "`tidegate agents` lists them.",
    "token": "`tidegate token list` lists them.",
    "window": "`tidegate window list` lists them.",
    "freeze": "`tidegate freeze list` lists them.",
}
_HEX: Final = frozenset("0123456789abcdef")
T = TypeVar("T")
Spelling = Callable[[T], str]


def find_target(word: str, targets: Sequence[Target]) -> Target:
    """`PROJECT@AGENT/SERVICE`, or `PROJECT/SERVICE` where one agent only has it."""
    return _find("target", word, targets, lambda one: one.name, lambda one: one.short)


def find_cluster(word: str, clusters: Sequence[Cluster]) -> Cluster:
    """`PROJECT@AGENT`, or `PROJECT` where one agent only has it."""
    return _find("cluster", word, clusters, lambda one: one.name, lambda one: one.project)


def find_channel(word: str, channels: Sequence[Channel]) -> Channel:
    """`REPOSITORY:TAG` in full or as people write it, or a channel's id."""
    if word.isdecimal():
        return _find("channel", word, channels, lambda one: str(one.id))
    full = channel_name(word)
    named = [one for one in channels if one.name == full]
    return named[0] if named else _find("channel", word, channels, lambda one: one.familiar, lambda one: one.name)


def find_release(word: str, releases: Sequence[Release]) -> Release:
    """A version, a digest, or the first six or more digits of one."""
    for fits in (lambda one: word == one.version, lambda one: _begins(one.digest, word)):
        found = [one for one in releases if fits(one)]
        if len(found) == 1:
            return found[0]
        if found:
            raise AmbiguousNameError("release", word, [one.full for one in found])
    raise missing("release", word, [one.version for one in releases if one.version])


def find_quarantined(word: str, entries: Sequence[Quarantined]) -> Quarantined:
    """An entry by its id, its digest, or the first six or more digits of that."""
    begun = [one for one in entries if _begins(one.digest, word)]
    if len(begun) == 1:
        return begun[0]
    if begun:
        raise AmbiguousNameError("entry", word, [f"{one.id} {one.digest} {one.channel}".strip() for one in begun])
    return _find("entry in quarantine", word, entries, lambda one: str(one.id))


def find_named(
    kind: str,
    word: str,
    things: Sequence[T],
    id_of: Spelling[T],
    name_of: Spelling[T],
    *,
    about: Spelling[T] | None = None,
) -> T:
    """Something that has an id and a name, by either. Raises `AmbiguousNameError` where the two mean different ones.

    `about`: what tells those apart that have one name.
    """
    meant = [one for one in things if word in {id_of(one), name_of(one)}]
    if len(meant) > 1:
        raise AmbiguousNameError(kind, word, [f"{id_of(one)} ({(about or name_of)(one)})" for one in meant])
    return _find(kind, word, things, id_of, name_of)


def channel_name(word: str) -> str:
    """The full name of what people write, with `latest` where no tag is written. Raises `UsageError`."""
    try:
        reference = parse_reference(word)
    except InvalidReferenceError as error:
        raise UsageError(f"{error}; a channel is written REPOSITORY:TAG, such as ghcr.io/acme/web:latest.") from error
    if reference.digest is not None:
        raise UsageError(f"{word!r} names one release; a channel is written REPOSITORY:TAG.")
    return f"{reference.name}:{reference.tag or DEFAULT_TAG}"


def missing(kind: str, word: str, known: Iterable[str]) -> NoSuchNameError:
    """That nothing has this name, and which names are near it or have it in them."""
    names = sorted(set(known))
    close = get_close_matches(word, names, n=_SUGGESTED, cutoff=_NEAR) or _with(word, names)
    hint = f"Did you mean {' or '.join(close)}?" if close else _LISTS.get(kind, "")
    return NoSuchNameError(f"There is no {kind} {word!r}. {hint}".rstrip())


def _with(word: str, names: Sequence[str]) -> list[str]:
    """The shortest names that have the word in them; of one letter or two, all would."""
    found = [one for one in names if word in one] if len(word) >= _LEAST_PART else []
    return sorted(found, key=len)[:_SUGGESTED]


def _find(kind: str, word: str, things: Sequence[T], *spellings: Spelling[T]) -> T:
    for spelling in spellings:
        found = [one for one in things if spelling(one) == word]
        if len(found) == 1:
            return found[0]
        if found:
            raise AmbiguousNameError(kind, word, [spellings[0](one) for one in found])
    raise missing(kind, word, (spelling(one) for one in things for spelling in spellings))


def _begins(digest: str, word: str) -> bool:
    digits = word.partition(":")[2] if ":" in word else word
    long_enough = len(digits) >= _LEAST_DIGITS and _HEX.issuperset(digits)
    return long_enough and digest.rpartition(":")[2].startswith(digits) and (":" not in word or digest.startswith(word))
