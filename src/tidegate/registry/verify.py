"""What an answer must be before it is believed. Pure; every function may raise `RegistryError`."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tidegate.domain.reference import Reference, is_digest
from tidegate.registry.errors import PlatformNotFoundError
from tidegate.registry.failures import malformed
from tidegate.registry.model import Manifest
from tidegate.registry.platform import Descriptor, Platform, accepts, choose, platform_of, platforms_of


def content_digest(body: bytes, like: str = "sha256:") -> str:
    """The digest of the bytes, by the algorithm of the digest `like`."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, body).hexdigest()}"


def verified(reference: Reference, host: str, body: bytes, digest: str) -> Mapping[str, Any]:
    """The JSON object that `digest` names."""
    checked_digest(reference, host, digest)
    actual = content_digest(body, digest)
    if actual != digest:
        raise malformed(reference, f"{host} sent content with a wrong digest: {actual} in place of {digest}")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise malformed(reference, f"{host} sent {digest}, which is not JSON") from error
    if not isinstance(document, Mapping):
        raise malformed(reference, f"{host} sent {digest}, which is not a JSON object")
    return document


def checked_digest(reference: Reference, host: str, digest: Any) -> str:
    """The digest, if it is one."""
    if not isinstance(digest, str) or not is_digest(digest):
        raise malformed(reference, f"{host} told a digest that cannot be one: {str(digest)[:80]!r}")
    return digest


def descriptor_digest(reference: Reference, descriptor: Any) -> str:
    """The digest that an entry of a manifest or index points to."""
    if not isinstance(descriptor, Mapping):
        what = f"the manifest of {reference.version} names no image config (too old a format, or not an image)"
        raise malformed(reference, what)
    return checked_digest(reference, reference.registry, descriptor.get("digest"))


def chosen(reference: Reference, index: Manifest, platform: Platform) -> Descriptor:
    """The entry of an index for the platform."""
    listed = index.document.get("manifests")
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    entry = choose(entries, platform)
    if entry is None:
        raise _no_platform(reference, platform, platforms_of(entries))
    return entry


def check_platform(reference: Reference, config: Mapping[str, Any], platform: Platform) -> None:
    """An image config of a platform this host cannot run is refused; one that says none is taken."""
    image = platform_of({"platform": config})
    if image is not None and not accepts(platform, image):
        raise _no_platform(reference, platform, [str(image)])


def _no_platform(reference: Reference, platform: Platform, existing: list[str]) -> PlatformNotFoundError:
    wanted, found = platform.normalized(), ", ".join(existing) or "none"
    return PlatformNotFoundError(
        reference,
        f"{reference.version} does not exist for {wanted}, only for {found}",
        "build and push it for this platform as well",
    )
