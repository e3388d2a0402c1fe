"""Noticing what a test leaves on the engine."""

from __future__ import annotations

from tests.support import strangers
from tests.support.docker import docker, listed, remove

KINDS = ("container", "network", "volume")


def present() -> dict[str, set[str]]:
    """What is on the engine now: kind -> IDs. On an engine that a person uses too, only what is plainly ours."""
    return {kind: strangers.ours(kind) if strangers.shared() else listed(kind) for kind in KINDS}


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
