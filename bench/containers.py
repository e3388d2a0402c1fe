"""Many containers, made and removed by several hands at once."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.support.docker import docker, listed

_HANDS = 4
_LABEL = "tidegate-bench"


@contextmanager
def containers(images: Sequence[str], *, created: int = 0, running: int = 0) -> Iterator[str]:
    """So many containers, over the images in turn; the value of their label. Gone when the block ends."""
    mark = secrets.token_hex(4)
    verbs = [["create"]] * created + [["run", "-d"]] * running

    def make(number: int) -> None:
        words = ["--network", "none", "--label", f"{_LABEL}={mark}", "--name", f"bench-{mark}-{number}"]
        docker(*verbs[number], *words, images[number % len(images)])

    try:
        with ThreadPoolExecutor(_HANDS) as hands:
            list(hands.map(make, range(len(verbs))))
        yield mark
    finally:
        _remove(sorted(listed("container", f"label={_LABEL}={mark}")))


def _remove(ids: list[str]) -> None:
    shares = [share for hand in range(_HANDS) if (share := ids[hand::_HANDS])]
    with ThreadPoolExecutor(_HANDS) as hands:
        list(hands.map(lambda share: docker("rm", "-fv", *share, timeout_s=300), shares))
