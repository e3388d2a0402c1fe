"""Which files Compose has copied into a container: secrets from its environment, configs from the file's own text.

A create request does not tell. Compose (2.26 was looked at) unpacks a tar into the container that it has made, before
it starts it. The engine keeps the tar's times, which are whole seconds; what a program writes has a fraction of one,
and what an image brought along is older than the container.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

Document = Mapping[str, Any]

SECRETS = "/run/secrets/"
"""Where secrets go unless the Compose file says otherwise. Nothing else is expected to be in there."""

LARGEST_BYTES = 1 << 20
"""More than any text in a Compose file, or an environment, comes to."""

_COMPOSE = "com.docker.compose.project"
_TOLERANCE = timedelta(seconds=1)
"""Compose rounds to the nearest second, by its own clock."""


def made_by_compose(document: Document) -> bool:
    """Whether Compose made a container; `document` is what `inspect` says."""
    return _COMPOSE in (document["Config"].get("Labels") or {})


def may_be_injected(document: Document, changed: Iterable[str]) -> list[str]:
    """Of the paths that differ from the image, those that may have been injected, the most likely ones first.

    What is mounted is not the container's own, and a folder with something in it that differs is no file.
    """
    mounts = _mounts(document)
    paths = set(changed)
    folders = {path[:at] for path in paths for at, letter in enumerate(path) if letter == "/"}
    own = [path for path in paths - folders if not _within(path, mounts)]
    return sorted(own, key=lambda path: (not path.startswith(SECRETS), path.count("/"), path))


def was_injected(path: str, *, modified: datetime, created: datetime, started: datetime | None) -> bool:
    """Whether a file was put there between the container's creation and its (last) start."""
    if path.startswith(SECRETS):
        return True
    if modified.microsecond or modified < created - _TOLERANCE:
        return False
    return started is None or modified <= started + _TOLERANCE


def _mounts(document: Document) -> set[str]:
    mounted = {str(mount["Destination"]) for mount in document.get("Mounts") or ()}
    mounted |= set((document.get("HostConfig") or {}).get("Tmpfs") or ())
    return mounted | {mount.removeprefix("/var") for mount in mounted if mount.startswith("/var/run/")}  # a link


def _within(path: str, mounts: Iterable[str]) -> bool:
    return any(f"{path}/".startswith(f"{mount.rstrip('/')}/") for mount in mounts)
