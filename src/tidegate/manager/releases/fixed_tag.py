"""Which tag names the same digest for ever, as far as that can be guessed: no list of tags is asked for."""

import re
from collections.abc import Iterator
from typing import Protocol

from tidegate.domain.reference import InvalidReferenceError, Reference, parse_reference
from tidegate.domain.release_tags import fixed_tag as tag_of_commit
from tidegate.registry.errors import RegistryError
from tidegate.registry.model import Head

_HEX = re.compile(r"[0-9a-f]{12,64}")
_NUMBERED = re.compile(r"v?\d+(\.\d+)+.*")
"""`7.2.1`, and not `7` or `main`, which move."""
_MOST = 7


class Tags(Protocol):
    """What is asked of a registry."""

    async def head(self, reference: Reference) -> Head:
        """The digest now behind a tag. Raises `RegistryError`."""


async def fixed_tag(registry: Tags, reference: Reference, *, tag: str, version: str, revision: str) -> str:
    """A tag made of version or revision that names the digest of `reference` now; empty where none is found."""
    for candidate in candidates(version, revision, tag):
        if candidate == tag:
            continue
        try:
            head = await registry.head(parse_reference(f"{reference.name}:{candidate}"))
        except (RegistryError, InvalidReferenceError):
            continue
        if head.digest == reference.digest:
            return candidate
    return ""


def candidates(version: str, revision: str, tag: str) -> tuple[str, ...]:
    """The tags that builders commonly give beside a moving `tag`, the likeliest first; a handful at most."""
    return tuple(dict.fromkeys([*_versions(version), *_revisions(revision, tag)]))[:_MOST]


def _versions(version: str) -> Iterator[str]:
    if _NUMBERED.fullmatch(version):
        yield version
        yield version[1:] if version.startswith("v") else f"v{version}"


def _revisions(revision: str, tag: str) -> Iterator[str]:
    if _HEX.fullmatch(revision):
        yield tag_of_commit(tag, revision)
        yield f"sha-{revision[:7]}"
        yield f"sha-{revision}"
        yield revision
        yield revision[:7]
