"""`tidegate release` as a pipeline runs it, and images that say which commit they are of."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.registry_push import Pusher

CHANNEL = "autonomy-latest"
SOURCE = "https://github.com/acme/autonomy"
OLD, NEW = "1" * 40, "2" * 40
MADE = {OLD: "2026-11-01T12:00:00Z", NEW: "2026-11-02T12:00:00Z"}
_PREFIX = "org.opencontainers.image."


def labels_of(revision: str, /, **more: str | None) -> dict[str, str]:
    """The labels of an image of a commit; `more` are others by their last word, None: without it."""
    labels = {"source": SOURCE, "revision": revision, "version": revision[:7], "created": MADE.get(revision)} | more
    return {f"{_PREFIX}{key}": value for key, value in labels.items() if value is not None}


async def push_release(pusher: Pusher, repository: str, revision: str, /, **labels: str | None) -> str:
    """Push an index of two platforms, and what a builder says about it, under a tag that nobody follows; its digest."""
    said = labels_of(revision, **labels)
    images = [
        await pusher.image(repository, f"built-{name}", platform=f"linux/{name}", labels=said)
        for name in ("amd64", "arm64")
    ]
    about = await pusher.image(repository, "built-about", platform="unknown/unknown")
    return await pusher.index(repository, "built", [*(image.descriptor for image in images), about.descriptor])


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def what(self) -> dict[str, str]:
        """What became of each tag."""
        return {one["tag"]: one["what"] for one in self.json["tags"]}


async def start(words: Sequence[str], environ: Mapping[str, str] | None = None) -> asyncio.subprocess.Process:
    """`tidegate release WORDS...`, in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEGATE_", "REPO_", "DOCKER_"))}
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tidegate", "release", *words),
        env=kept | {"DOCKER_CONFIG": "/nonexistent", "COLUMNS": "200"} | dict(environ or {}),
        stdout=pipe,
        stderr=pipe,
    )


async def run(*words: str, **environ: str) -> Ended:
    """The same, to its end."""
    process = await start(words, environ)
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


def publish_words(image: str, revision: str, *more: str) -> tuple[str, ...]:
    """The words of `tidegate release publish`, with JSON as its output."""
    return ("publish", image, "--channel", CHANNEL, "--revision", revision, "--json", *more)


async def publish(image: str, revision: str, *more: str, **environ: str) -> Ended:
    """`tidegate release publish` of an image."""
    return await run(*publish_words(image, revision, *more), **environ)
