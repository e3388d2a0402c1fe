"""Giving a release its tags, one after the other, each checked before the next."""

from dataclasses import dataclass

from tidegate.domain.publication import PublicationRefusedError, Step, check_labels, check_newer, steps
from tidegate.domain.reference import Reference
from tidegate.domain.release_labels import agreed, created_at, label_faults
from tidegate.domain.release_tags import ReleaseTags
from tidegate.registry.client import RegistryClient
from tidegate.registry.errors import ManifestNotFoundError
from tidegate.registry.failures import malformed
from tidegate.registry.labels import read_labels
from tidegate.registry.model import Manifest


@dataclass(frozen=True, slots=True)
class Publication:
    """A release that may have its tags. `reference` is its repository; `steps` are in the order to be done in."""

    reference: Reference
    manifest: Manifest
    labels: dict[str, str]
    steps: tuple[Step, ...]


async def plan(
    client: RegistryClient, image: Reference, tags: ReleaseTags, expected: dict[str, str], *, allow_older: bool
) -> Publication:
    """Look at the image and at its tags; nothing is changed. Raises `PublicationRefusedError`, `RegistryError`."""
    manifest = await client.manifest(image)
    images = await read_labels(client, image, manifest)
    check_labels(label_faults(images, expected))
    now = {tag: await named(client, image, tag) for tag in (*tags.fixed, tags.channel)}
    found = steps(tags, manifest.digest, now)
    current = now[tags.channel]
    if current not in (None, manifest.digest) and not allow_older:
        before = image.with_digest(str(current))
        theirs = created_at(await read_labels(client, before, await client.manifest(before)))
        check_newer(tags.channel, created_at(images), theirs)
    return Publication(Reference(image.registry, image.repository), manifest, agreed(images), found)


async def named(client: RegistryClient, image: Reference, tag: str) -> str | None:
    """The digest that a tag of the image's repository names now. Raises `RegistryError`."""
    try:
        return (await client.head(tagged(image, tag))).digest
    except ManifestNotFoundError:
        return None


async def set_tag(client: RegistryClient, it: Publication, step: Step) -> None:
    """Let the tag name the release, and see that it does. Raises `PublicationRefusedError`, `RegistryError`.

    The registry is asked again right before: another release may have come in between.
    """
    digest, reference = it.manifest.digest, tagged(it.reference, step.tag)
    if step.is_done(digest):
        return
    now = await named(client, it.reference, step.tag)
    if now not in (step.before, digest):
        raise PublicationRefusedError(
            f"{step.tag} was moved to {now} meanwhile, by somebody else. Look at who publishes there, and repeat."
        )
    await client.put_tag(reference, it.manifest)
    told = (await client.head(reference)).digest
    if told != digest:
        raise malformed(reference, f"{reference.registry} took {digest} and answers with {told}")


def tagged(reference: Reference, tag: str) -> Reference:
    """A tag of the same repository."""
    return Reference(reference.registry, reference.repository, tag)
