"""The registry client: what is behind a tag, asked politely and believed only if the digest is right; and tags set."""

import random as chance
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from tidegate.domain.reference import Reference
from tidegate.registry.access import Access
from tidegate.registry.authorizer import Authorizer
from tidegate.registry.conversation import Content, Conversation, check
from tidegate.registry.counters import Counters
from tidegate.registry.credentials import CredentialsProvider, NoCredentials
from tidegate.registry.failures import malformed
from tidegate.registry.model import Head, Manifest, Release, release_of, with_config
from tidegate.registry.platform import Descriptor, Platform
from tidegate.registry.transport import Answer, Transport, real_sleep
from tidegate.registry.verify import (
    check_platform,
    checked_digest,
    chosen,
    content_digest,
    descriptor_digest,
    verified,
)

_MANIFEST_LIMIT: Final = 4 << 20
_CONFIG_LIMIT: Final = 8 << 20
_ANSWER_LIMIT: Final = 1 << 20
# An index may list indexes; one that lists nothing but indexes is nonsense.
_INDEX_DEPTH: Final = 3
_NO_HEAD: Final = frozenset({405, 501})
_DIGEST: Final = "Docker-Content-Digest"
_CREATED: Final = 201


class RegistryClient:
    """Asks registries about images, and sets tags; pulls nothing. Every method may raise `RegistryError`.

    `insecure` names registries that may be spoken to without TLS (loopback always may). `ca_file` is one more
    certificate authority to trust; `CaFileError` if it cannot be used. Concurrent calls share challenges and
    tokens; `counters` tells what was asked. `access` is asked of token services: `put_tag` needs `Access.WRITE`.
    """

    def __init__(
        self,
        credentials: CredentialsProvider | None = None,
        *,
        insecure: Collection[str] = (),
        ca_file: Path | None = None,
        access: Access = Access.READ,
        timeout_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = real_sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self.counters = Counters()
        self._transport = Transport(
            counters=self.counters,
            insecure=insecure,
            ca_file=ca_file,
            timeout_s=timeout_s,
            sleep=sleep,
            random=random,
        )
        provider = credentials or NoCredentials()
        self._authorizer = Authorizer(self._transport, provider, insecure=insecure, clock=clock, access=access)
        self._conversation = Conversation(self._transport, self._authorizer, insecure=insecure)

    async def head(self, reference: Reference) -> Head:
        """The digest now behind the reference, without fetching the manifest where the registry allows that."""
        path = f"manifests/{reference.version}"
        answer = await self._conversation.ask(reference, "HEAD", path, _MANIFEST_LIMIT)
        if answer.status in _NO_HEAD or (answer.status == 200 and _DIGEST not in answer.headers):  # noqa: PLR2004
            manifest = await self.manifest(reference)
            return Head(manifest.digest, manifest.media_type)
        check(reference, answer)
        digest = checked_digest(reference, answer.url.authority, answer.headers[_DIGEST])
        if reference.digest not in (None, digest):
            raise malformed(reference, f"{answer.url.authority} told {digest} when asked for {reference.digest}")
        return Head(digest, _media_type(answer))

    async def manifest(self, reference: Reference) -> Manifest:
        """The manifest or index, its bytes verified against the digest asked for or, for a tag, told."""
        path = f"manifests/{reference.version}"
        answer = await self._conversation.ask(reference, "GET", path, _MANIFEST_LIMIT)
        check(reference, answer)
        digest = reference.digest or answer.headers.get(_DIGEST) or content_digest(answer.body)
        document = verified(reference, answer.url.authority, answer.body, digest)
        media_type = str(document.get("mediaType") or _media_type(answer))
        return Manifest(digest, media_type, answer.body, document)

    async def resolve(self, reference: Reference, platform: Platform) -> Release:
        """The release behind the reference for one platform, with the annotations and labels it carries.

        Raises `PlatformNotFoundError` where the image is not made for the platform.
        """
        top = manifest = await self.manifest(reference)
        entry: Descriptor = {}
        for _ in range(_INDEX_DEPTH):
            if not manifest.is_index:
                break
            entry = chosen(reference, manifest, platform)
            manifest = await self.manifest(reference.with_digest(descriptor_digest(reference, entry)))
        descriptor_digest(reference, manifest.document.get("config"))
        release = release_of(reference, top, manifest, entry)
        config = await self.image_config(release)
        check_platform(reference, config, platform)
        return with_config(release, config)

    async def image_config(self, release: Release) -> Mapping[str, Any]:
        """The image config, whose digest is the image's id: platform, labels, environment, history."""
        reference, digest = release.reference, release.config_digest
        answer = await self._conversation.ask(reference, "GET", f"blobs/{digest}", _CONFIG_LIMIT)
        check(reference, answer)
        return verified(reference, answer.url.authority, answer.body, digest)

    async def put_tag(self, reference: Reference, manifest: Manifest) -> None:
        """Let a tag name a manifest or index that the repository has: the same bytes are put again under the tag."""
        content = Content(manifest.media_type, manifest.raw)
        answer = await self._conversation.ask(reference, "PUT", f"manifests/{reference.tag}", _ANSWER_LIMIT, content)
        check(reference, answer, expected=_CREATED, access=Access.WRITE)
        told = answer.headers.get(_DIGEST, manifest.digest)
        if told != manifest.digest:
            raise malformed(reference, f"{answer.url.authority} took {manifest.digest} for {told}")

    async def close(self) -> None:
        """Close the connections and forget tokens."""
        await self._conversation.close()
        await self._authorizer.close()
        await self._transport.close()


def _media_type(answer: Answer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip()
