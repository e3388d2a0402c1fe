"""What a registry says of a release: index, manifest and config, for each platform that targets run."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from tidegate.domain.reference import Reference
from tidegate.manager.releases.image_config import config_document, labels_document, packed_size, platform_named
from tidegate.manager.releases.sealed import Seal, kept
from tidegate.registry.errors import PlatformNotFoundError
from tidegate.registry.model import Manifest, Release, release_of, text_map, with_config
from tidegate.registry.platform import Descriptor, Platform
from tidegate.registry.verify import check_platform, chosen, descriptor_digest

_INDEX_DEPTH: Final = 3
_NO_ENTRY: Final[Descriptor] = {}
_SOURCE: Final = "org.opencontainers.image.source"


class Images(Protocol):
    """What is asked of a registry; every answer is held to its digest. Each raises `RegistryError`."""

    async def manifest(self, reference: Reference) -> Manifest:
        """A manifest or index."""

    async def image_config(self, release: Release) -> Mapping[str, Any]:
        """The config of an image."""


@dataclass(frozen=True, slots=True)
class Image:
    """What is kept of a release. `configs` are by platform as targets name it; `missing` those it was not made for."""

    version: str = ""
    revision: str = ""
    source: str = ""
    created: datetime | None = None
    size: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Read:
    release: Release
    config: Mapping[str, Any]
    size: int | None


async def read_image(registry: Images, reference: Reference, platforms: Sequence[str]) -> Image:
    """Read what `reference`, which has a digest, is for these platforms; the first of them stands for the image.

    Raises `RegistryError`; `PlatformNotFoundError` only where it is made for none of them.
    """
    top = await registry.manifest(reference)
    found: dict[str, _Read] = {}
    missing: list[PlatformNotFoundError] = []
    for name in platforms:
        try:
            found[name] = await _read(registry, reference, top, platform_named(name) or Platform("linux", "amd64"))
        except PlatformNotFoundError as error:
            missing.append(error)
    if not found and missing:
        raise missing[0]
    left = tuple(name for name in platforms if name not in found)
    # apart: configs are large, and their secrets are hashed slowly; nobody else is to wait for that
    return await asyncio.to_thread(_described, found, Seal(reference.name), left)


async def _read(registry: Images, reference: Reference, top: Manifest, platform: Platform) -> _Read:
    manifest, entry = top, _NO_ENTRY
    for _ in range(_INDEX_DEPTH):
        if not manifest.is_index:
            break
        entry = chosen(reference, manifest, platform)
        manifest = await registry.manifest(reference.with_digest(descriptor_digest(reference, entry)))
    descriptor_digest(reference, manifest.document.get("config"))
    release = release_of(reference, top, manifest, entry)
    config = await registry.image_config(release)
    check_platform(reference, config, platform)
    return _Read(with_config(release, config), config, packed_size(manifest.document))


def _described(found: Mapping[str, _Read], seal: Seal, missing: tuple[str, ...]) -> Image:
    first = next(iter(found.values()))
    inner = first.config.get("config")
    labels = text_map(inner.get("Labels")) if isinstance(inner, Mapping) else {}
    return Image(
        version=kept(first.release.version or ""),
        revision=kept(first.release.revision or ""),
        source=kept(first.release.annotations.get(_SOURCE, "")),
        created=_in_utc(first.release.created),
        size=first.size,
        labels=labels_document({**labels, **first.release.annotations}, seal),
        configs={name: config_document(read.config, size=read.size, seal=seal) for name, read in found.items()},
        missing=missing,
    )


def _in_utc(moment: datetime | None) -> datetime | None:
    """None for a time at the very edge of the calendar, which is none in UTC."""
    try:
        return moment.astimezone(UTC) if moment else None
    except OverflowError:
        return None
