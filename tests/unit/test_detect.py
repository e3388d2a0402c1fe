"""What is asked of registries, and what is remembered of their answers."""

from typing import Any

from tidegate.agent.detect import RELEASES_KEPT, Detector
from tidegate.domain.reference import Reference
from tidegate.engine import parse
from tidegate.registry.platform import Platform

IMAGE = parse.image({"Id": "sha256:1", "Os": "linux", "Architecture": "amd64"})


class Registry:
    """Knows every digest; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []

    async def resolve(self, reference: Reference, _: Platform) -> Any:
        self.asked.append(reference.digest)
        return reference.digest


async def test_a_release_is_asked_for_once_until_many_others_were() -> None:
    registry = Registry()
    detector = Detector(registry)  # type: ignore[arg-type]
    digests = [f"sha256:{number:064x}" for number in range(RELEASES_KEPT + 1)]
    for digest in (digests[0], digests[0], *digests[1:], digests[0]):
        assert await detector.release("web:live", digest, IMAGE) == digest  # type: ignore[comparison-overlap]
    assert registry.asked == [*digests, digests[0]]
