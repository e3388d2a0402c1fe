"""What is new on the channels: one HEAD per image reference, however many containers use it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from tidegate.agent.patience import Patience, Question
from tidegate.domain.reference import InvalidReferenceError, Reference, is_image_id, parse_reference
from tidegate.engine.model import Image
from tidegate.registry.errors import RegistryError
from tidegate.registry.model import Head, Release
from tidegate.registry.platform import Platform

_AT_ONCE = 8


class Registry(Protocol):
    """What detection asks of a registry."""

    async def head(self, reference: Reference) -> Head:
        """The digest now behind a tag. Raises `RegistryError`."""

    async def resolve(self, reference: Reference, platform: Platform) -> Release:
        """The release behind a reference, for one platform. Raises `RegistryError`."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one image reference: its digest now, or why it could not be found out."""

    reference: str
    digest: str | None = None
    error: str | None = None
    pinned: bool = False


RELEASES_KEPT = 256
"""A release that waits for its hour is asked for at every look; its registry is asked once."""

_Key = tuple[str, str, str]
"""Repository, digest and platform."""


class Detector:
    """Asks registries, with one patience per registry."""

    def __init__(self, registry: Registry, patience: Patience) -> None:
        """`patience` is also what the engine's pulls go by."""
        self._registry = registry
        self._patience = patience
        self._releases: dict[_Key, Release] = {}
        self._failures: dict[_Key, RegistryError] = {}
        self._patient = True

    async def look(self, references: Iterable[str], *, patient: bool = True) -> dict[str, Finding]:
        """One finding per reference. `patient` leaves registries alone that asked for it or failed lately."""
        self._failures.clear()
        self._patient = patient
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(text: str) -> Finding:
            async with gate:
                return await self._look_up(text)

        wanted = sorted(set(references))
        return dict(zip(wanted, await asyncio.gather(*(one(text) for text in wanted)), strict=True))

    async def _look_up(self, text: str) -> Finding:
        reference, finding = parse_followed(text)
        if reference is None:
            return finding
        asked_at = self._patience.now()
        try:
            self._check(Question.DIGEST, reference)
            head = await self._registry.head(reference)
        except RegistryError as error:
            self._patience.failed(Question.DIGEST, error, asked_at)
            return Finding(text, error=str(error))
        self._patience.succeeded(Question.DIGEST, reference, asked_at)
        return Finding(text, digest=head.digest)

    async def has(self, reference: str, digest: str) -> bool:
        """Whether the registry has a release now; False also where it does not say."""
        try:
            await self._registry.head(parse_reference(reference).with_digest(digest))
        except RegistryError:
            return False
        return True

    async def release(self, reference: str, digest: str, image: Image) -> Release:
        """The release of a digest for the platform that runs now; asked for once in a look. Raises `RegistryError`."""
        platform = Platform(image.os, image.architecture, image.variant)
        followed = parse_reference(reference)
        key = (followed.name, digest, str(platform))
        if key in self._failures:
            raise self._failures[key].about(followed)
        release = self._releases.pop(key, None)
        if release is None:
            release = await self._ask(followed.with_digest(digest), platform, key)
        self._releases[key] = release
        while len(self._releases) > RELEASES_KEPT:
            del self._releases[next(iter(self._releases))]  # the one asked for longest ago
        return release

    async def _ask(self, pinned: Reference, platform: Platform, key: _Key) -> Release:
        asked_at = self._patience.now()
        try:
            self._check(Question.RELEASE, pinned)
            release = await self._registry.resolve(pinned, platform)
        except RegistryError as error:
            self._patience.failed(Question.RELEASE, error, asked_at)
            self._failures[key] = error
            raise
        self._patience.succeeded(Question.RELEASE, pinned, asked_at)
        return release

    def _check(self, question: Question, reference: Reference) -> None:
        if self._patient:
            self._patience.check(question, reference)


def parse_followed(text: str) -> tuple[Reference | None, Finding]:
    """The reference to ask about; None where the finding is known without asking."""
    if is_image_id(text):
        return None, Finding(text, pinned=True, error="it was started from an image id: nothing newer can have it")
    try:
        reference = parse_reference(text)
    except InvalidReferenceError as error:
        return None, Finding(text, error=f"{error}; correct `image:` in the Compose file")
    if reference.pinned:
        return None, Finding(text, pinned=True, error="it is pinned to a digest")
    return reference, Finding(text)


def running_digest(image: Image | None, reference: str) -> str | None:
    """The digest under which the image that runs was pulled from the reference's repository, if it was."""
    if image is None:
        return None
    digests = digests_of(image, reference)
    return digests[0] if digests else None


def digests_of(image: Image, reference: str) -> list[str]:
    """Every digest of an image in the reference's repository."""
    try:
        name = parse_reference(reference).name
    except InvalidReferenceError:
        return []
    pairs = (text.rpartition("@") for text in image.repo_digests)
    return [digest for repository, _, digest in pairs if _same(repository, name)]


def _same(repository: str, name: str) -> bool:
    try:
        return parse_reference(repository).name == name
    except InvalidReferenceError:
        return False
