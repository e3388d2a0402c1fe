"""What registries tell in their webhooks: that a tag was pushed. Each has a form of its own.

GitHub's `package` and `registry_package` events, the notifications of the distribution registry, Docker Hub, Harbor,
and a plain one of our own. A webhook is a hint: the registry is asked before anything comes of it.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tidegate.domain.reference import DEFAULT_REGISTRY, InvalidReferenceError, is_digest, parse_reference

_GITHUB = "ghcr.io"
_MOST = 200
"""More pushes than this in one request are not looked at; a registry sends one, or a handful."""


class Kind(StrEnum):
    """Who sends it."""

    GITHUB = "github"
    DISTRIBUTION = "distribution"
    DOCKER_HUB = "dockerhub"
    HARBOR = "harbor"
    GENERIC = "generic"


@dataclass(frozen=True, slots=True)
class Pushed:
    """A tag of a repository (`REGISTRY/NAME`) that was pushed; `digest` where that was told."""

    repository: str
    tag: str
    digest: str | None = None


class WebhookError(ValueError):
    """A request that is none of this kind; the message says what such a one has."""


def is_signed(body: bytes, header: str, secret: str) -> bool:
    """Whether GitHub's `X-Hub-Signature-256` is that of the body; a wrong one takes as long as the right one.

    Without a secret nothing is signed.
    """
    return bool(secret) and hmac.compare_digest(sign(body, secret).encode(), header.encode(errors="replace"))


def sign(body: bytes, secret: str) -> str:
    """The `X-Hub-Signature-256` of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def read_webhook(kind: Kind, document: Any) -> tuple[Pushed, ...]:
    """The pushes that a decoded request body tells of; none where it tells of something else. Raises `WebhookError`."""
    if not isinstance(document, Mapping):
        raise WebhookError("the body is not a JSON object")
    found = (pushed for pushed, _ in zip(_READERS[kind](document), range(_MOST), strict=False) if pushed is not None)
    return tuple(dict.fromkeys(found))


def _github(document: Mapping[str, Any]) -> Iterator[Pushed | None]:
    package = _mapping(document.get("package")) or _mapping(document.get("registry_package"))
    if not package and "zen" not in document:  # GitHub's ping, when the webhook is set up
        raise WebhookError("it has neither a package nor a registry_package; send GitHub's package events here")
    version = _mapping(package.get("package_version"))
    container = _mapping(version.get("container_metadata"))
    tag = _mapping(container.get("tag"))
    if document.get("action") not in ("published", "updated") or not tag:
        return
    owner = _mapping(package.get("owner")).get("login") or package.get("namespace")
    yield _pushed((_GITHUB, owner, package.get("name")), tag.get("name"), tag.get("digest"))


def _distribution(document: Mapping[str, Any]) -> Iterator[Pushed | None]:
    events = document.get("events")
    if not isinstance(events, list):
        raise WebhookError("it has no list of events; send the notifications of a distribution registry here")
    for event in events:
        target, request = _mapping(_mapping(event).get("target")), _mapping(_mapping(event).get("request"))
        if _mapping(event).get("action") == "push" and target.get("tag"):
            yield _pushed((request.get("host"), target.get("repository")), target["tag"], target.get("digest"))


def _docker_hub(document: Mapping[str, Any]) -> Iterator[Pushed | None]:
    push, repository = _mapping(document.get("push_data")), _mapping(document.get("repository"))
    if not push or not repository:
        raise WebhookError("it has no push_data and repository; send Docker Hub's webhooks here")
    yield _pushed((DEFAULT_REGISTRY, repository.get("repo_name")), push.get("tag"), None)


def _harbor(document: Mapping[str, Any]) -> Iterator[Pushed | None]:
    event = _mapping(document.get("event_data"))
    if not event:
        raise WebhookError("it has no event_data; send Harbor's webhooks in their default format here")
    if document.get("type") != "PUSH_ARTIFACT":
        return
    resources = event.get("resources")
    for resource in resources if isinstance(resources, list) else ():
        one = _mapping(resource)
        name, _, _ = str(one.get("resource_url")).partition("@")
        base, colon, after = name.rpartition(":")
        yield _pushed((base if colon and "/" not in after else name,), one.get("tag"), one.get("digest"))


_GENERIC_TAKES = 'it takes {"image": "REPOSITORY:TAG", "digest": "sha256:..."}'


def _generic(document: Mapping[str, Any]) -> Iterator[Pushed | None]:
    image = document.get("image")
    if not isinstance(image, str):
        raise WebhookError(f"image is missing, or is no text; {_GENERIC_TAKES}")
    try:
        reference = parse_reference(image)
    except InvalidReferenceError as error:
        raise WebhookError(f"{_GENERIC_TAKES}: {error}") from None
    if not reference.tag:
        raise WebhookError(f"image is {reference.familiar}, which has no tag: releases are told of a tag")
    yield _pushed((reference.name,), reference.tag, document.get("digest") or reference.digest)


_READERS: dict[Kind, Callable[[Mapping[str, Any]], Iterator[Pushed | None]]] = {
    Kind.GITHUB: _github,
    Kind.DISTRIBUTION: _distribution,
    Kind.DOCKER_HUB: _docker_hub,
    Kind.HARBOR: _harbor,
    Kind.GENERIC: _generic,
}


def _pushed(parts: tuple[Any, ...], tag: Any, digest: Any) -> Pushed | None:
    """None where what was sent is no repository and tag: it was meant for somebody else, or for harm."""
    if not all(isinstance(part, str) and part for part in (*parts, tag)):
        return None
    name = "/".join(parts)
    try:
        reference = parse_reference(f"{name.lower() if parts[0] == _GITHUB else name}:{tag}")
    except InvalidReferenceError:
        return None
    if reference.tag is None:
        return None
    good = isinstance(digest, str) and is_digest(digest)
    return Pushed(reference.name, reference.tag, digest if good else None)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
