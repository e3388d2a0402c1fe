"""Pushes images to a registry by plain HTTP, without an engine."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context
from typing import Any

import aiohttp

from tidegate.registry.model import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

Header = Callable[[str], Awaitable[str | None]]
"""The Authorization header for a repository, or None."""


async def nobody(_: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was pushed: its digest, its descriptor for an index, and its config's digest."""

    digest: str
    media_type: str
    size: int
    config_digest: str
    platform: Mapping[str, str]

    @property
    def descriptor(self) -> dict[str, Any]:
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": self.size,
            "platform": dict(self.platform),
        }


@dataclass(frozen=True, slots=True)
class Pusher:
    """Pushes to the registry at `url`."""

    url: str
    header: Header = nobody
    ca_file: Path | None = None

    async def image(
        self,
        repository: str,
        tag: str,
        *,
        platform: str = "linux/amd64",
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        docker: bool = False,
        created: str = "2026-01-02T03:04:05.123456789Z",
    ) -> Pushed:
        """Push an image of one small layer, as OCI or in Docker's older format."""
        parts = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
        layer = f"layer of {repository}:{tag}".encode()
        config = {**parts, "created": created, "config": {"Labels": dict(labels or {})}, "rootfs": {}}
        raw_config = json.dumps(config).encode()
        for blob in (layer, raw_config):
            await self.blob(repository, blob)
        media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
        config_type = (
            "application/vnd.docker.container.image.v1+json" if docker else "application/vnd.oci.image.config.v1+json"
        )
        document = {
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": _descriptor(config_type, raw_config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
            **({"annotations": dict(annotations)} if annotations else {}),
        }
        raw = json.dumps(document).encode()
        await self.manifest(repository, tag, raw, media_type)
        return Pushed(digest_of(raw), media_type, len(raw), digest_of(raw_config), parts)

    async def index(
        self,
        repository: str,
        tag: str,
        entries: Sequence[Mapping[str, Any]],
        *,
        docker: bool = False,
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Push an index of entries; its digest."""
        media_type = DOCKER_LIST if docker else OCI_INDEX
        extra = {"annotations": dict(annotations)} if annotations else {}
        document = {"schemaVersion": 2, "mediaType": media_type, "manifests": list(entries), **extra}
        raw = json.dumps(document).encode()
        await self.manifest(repository, tag, raw, media_type)
        return digest_of(raw)

    async def blob(self, repository: str, data: bytes) -> None:
        async with await self._session(repository) as session:
            started = await session.post(f"{self.url}/v2/{repository}/blobs/uploads/")
            place = started.headers["Location"]
            glue = "&" if "?" in place else "?"
            target = f"{self.url}{place}" if place.startswith("/") else place
            await session.put(f"{target}{glue}digest={digest_of(data)}", data=data)

    async def manifest(self, repository: str, tag: str, raw: bytes, media_type: str) -> None:
        async with await self._session(repository) as session:
            url = f"{self.url}/v2/{repository}/manifests/{tag}"
            await session.put(url, data=raw, headers={"Content-Type": media_type})

    async def _session(self, repository: str) -> aiohttp.ClientSession:
        header = await self.header(repository)
        tls = create_default_context(cafile=self.ca_file) if self.ca_file else True
        return aiohttp.ClientSession(
            headers={"Authorization": header} if header else {},
            connector=aiohttp.TCPConnector(ssl=tls),
            raise_for_status=True,
        )


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
