"""What every platform's image behind a manifest or index says of itself."""

from collections.abc import AsyncIterator, Iterator, Mapping

from tidegate.domain.reference import Reference
from tidegate.domain.release_labels import PREFIX, ImageSays
from tidegate.registry.client import RegistryClient
from tidegate.registry.failures import malformed
from tidegate.registry.model import Manifest, parse_time, release_of, text_map
from tidegate.registry.platform import Descriptor, is_attestation, platform_of
from tidegate.registry.verify import descriptor_digest

_DEPTH = 3


async def read_labels(client: RegistryClient, reference: Reference, top: Manifest) -> tuple[ImageSays, ...]:
    """One for each platform; what a builder says about images is passed over. Raises `RegistryError`."""
    images = [image async for image in _Reader(client, reference, top).images(top, {}, _DEPTH)]
    if not images:
        raise malformed(reference, f"{top.digest} lists no image")
    return tuple(images)


class _Reader:
    """Walks one index."""

    def __init__(self, client: RegistryClient, reference: Reference, top: Manifest) -> None:
        self._client = client
        self._reference = reference
        self._top = top

    async def images(self, manifest: Manifest, entry: Descriptor, depth: int) -> AsyncIterator[ImageSays]:
        """Those of a manifest, which is one, or of an index."""
        if not manifest.is_index:
            yield await self._image(manifest, entry)
            return
        if depth == 0:
            raise malformed(self._reference, f"{self._top.digest} lists indexes of indexes")
        for one in _entries(manifest):
            below = await self._client.manifest(self._reference.with_digest(descriptor_digest(self._reference, one)))
            async for image in self.images(below, one, depth - 1):
                yield image

    async def _image(self, manifest: Manifest, entry: Descriptor) -> ImageSays:
        descriptor_digest(self._reference, manifest.document.get("config"))
        config = await self._client.image_config(release_of(self._reference, self._top, manifest, entry))
        platform = platform_of(entry) or platform_of({"platform": config})
        annotations = (layer.get("annotations") for layer in (self._top.document, entry, manifest.document))
        settings = config.get("config")
        labels = settings.get("Labels") if isinstance(settings, Mapping) else None
        said: dict[str, set[str]] = {}
        for values in (*annotations, labels):
            for key, value in text_map(values).items():
                if key.startswith(PREFIX):
                    said.setdefault(key, set()).add(value)
        kept = {key: frozenset(values) for key, values in said.items()}
        return ImageSays(str(platform or "its platform"), kept, parse_time(config.get("created")))


def _entries(index: Manifest) -> Iterator[Descriptor]:
    listed = index.document.get("manifests")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and not is_attestation(entry):
            yield entry
