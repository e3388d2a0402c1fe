"""What a registry says about an image."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tidegate.domain.reference import Reference
from tidegate.domain.release_labels import PREFIX, read_moment

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPTED = f"{DOCKER_MANIFEST}, {DOCKER_LIST}, {OCI_MANIFEST}, {OCI_INDEX}"


@dataclass(frozen=True, slots=True)
class Head:
    """What a HEAD of a manifest told: the digest now behind a tag."""

    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One manifest or index. `raw` are the bytes that `digest` is of; `document` is their JSON object."""

    digest: str
    media_type: str
    raw: bytes = field(repr=False)
    document: Mapping[str, Any] = field(repr=False)

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests by platform."""
        return self.media_type in (OCI_INDEX, DOCKER_LIST)


@dataclass(frozen=True, slots=True)
class Release:
    """One content of a channel, for one platform.

    `digest` is what the tag points to (an index, or the manifest itself); `platform_digest` is the manifest of
    the platform; `config_digest` is the image's id. `annotations` are those of index and manifest.
    """

    reference: Reference
    digest: str
    platform_digest: str
    config_digest: str
    annotations: Mapping[str, str]
    created: datetime | None = None
    version: str | None = None
    revision: str | None = None


def release_of(reference: Reference, top: Manifest, manifest: Manifest, entry: Mapping[str, Any]) -> Release:
    """A release from an index, its chosen entry and the manifest; the nearer to the image, the stronger."""
    annotations: dict[str, str] = {}
    for layer in (top.document, entry, manifest.document):
        annotations |= text_map(layer.get("annotations"))
    config = str(manifest.document["config"]["digest"])
    release = Release(reference, top.digest, manifest.digest, config, {})
    return _described(release, annotations, created=None)


def with_config(release: Release, config: Mapping[str, Any]) -> Release:
    """The release with what its image config tells: labels as annotations, where no annotation says otherwise."""
    settings = config.get("config")
    labels = text_map(settings.get("Labels")) if isinstance(settings, Mapping) else {}
    own = {key: value for key, value in labels.items() if key.startswith(PREFIX)}
    return _described(release, {**own, **release.annotations}, created=parse_time(config.get("created")))


def _described(release: Release, annotations: Mapping[str, str], *, created: datetime | None) -> Release:
    return replace(
        release,
        annotations=annotations,
        created=parse_time(annotations.get(PREFIX + "created")) or created,
        version=annotations.get(PREFIX + "version") or None,
        revision=annotations.get(PREFIX + "revision") or None,
    )


def parse_time(text: Any) -> datetime | None:
    """An RFC 3339 time; None for anything else, and for the zero time that reproducible builds write."""
    return read_moment(text) if isinstance(text, str) else None


def text_map(value: Any) -> dict[str, str]:
    """Annotations or labels; whatever is not text is left out."""
    if not isinstance(value, Mapping):
        return {}
    return {str(key): text for key, text in value.items() if isinstance(text, str)}
