"""Pushes images whose config says what a test wants to see read."""

import json
from collections.abc import Mapping
from typing import Any

from tests.support.registry_push import Pushed, Pusher, digest_of

from tidegate.registry.model import OCI_MANIFEST


async def push_image(
    pusher: Pusher,
    repository: str,
    tag: str,
    config: Mapping[str, Any],
    *,
    platform: str = "linux/amd64",
    layers: tuple[int, ...] = (1000,),
    annotations: Mapping[str, str] | None = None,
    **beside: Any,
) -> Pushed:
    """Push an image with these settings; `layers` are the sizes of its layers, `beside` stands beside the settings."""
    parts = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    raw_config = json.dumps({**parts, "config": config, "rootfs": {}, **beside}).encode()
    blobs = [bytes([number]) * size for number, size in enumerate(layers)]
    for blob in (*blobs, raw_config):
        await pusher.blob(repository, blob)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", raw_config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", blob) for blob in blobs],
        "annotations": dict(annotations or {}),
    }
    raw = json.dumps(document).encode()
    await pusher.manifest(repository, tag, raw, OCI_MANIFEST)
    return Pushed(digest_of(raw), OCI_MANIFEST, len(raw), digest_of(raw_config), parts)


def _descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
