"""Noticing what a test leaves on the engine."""

from __future__ import annotations

import os

from tests.support.docker import docker, listed, remove

# On an engine that somebody else uses too, only what is plainly ours counts.
OURS = ("label=tidegate.transaction", "label=tidegate.private-for", "label=tidegate.incumbent")
KINDS = ("container", "network", "volume")


def present() -> dict[str, set[str]]:
    """What is on the engine now: kind -> IDs."""
    if "GROUND_PRIVATE" in os.environ:
        return {kind: listed(kind) for kind in KINDS}
    return {kind: set().union(*(listed(kind, label) for label in OURS)) for kind in KINDS}


def take_away(before: dict[str, set[str]]) -> list[str]:
    """Remove everything that was not there before; a line for each thing, none when there was nothing."""
    found: list[str] = []
    for kind, now in present().items():
        extra = now - before[kind]
        found.extend(f"{kind} {_name(kind, one)}" for one in sorted(extra))
        remove(kind, extra)
    return found


def _name(kind: str, one: str) -> str:
    return docker(kind, "inspect", "--format", "{{.Name}}", one, check=False) or one
