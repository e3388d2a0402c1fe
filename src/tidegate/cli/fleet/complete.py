"""Names for the shell's completion, asked of the manager; nothing where it does not answer at once."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from tidegate.cli.fleet.errors import FleetError
from tidegate.cli.fleet.model import read_channel, read_release, read_rollout

PATIENCE_S: Final = 1.5
_MOST: Final = "200"
_LEAST_DIGITS: Final = 6
Item = Mapping[str, Any]


def complete_target(incomplete: str) -> list[str]:
    """PROJECT@AGENT/SERVICE."""
    return _names("targets", lambda one: [str(one.get("name", ""))], incomplete)


def complete_cluster(incomplete: str) -> list[str]:
    """PROJECT@AGENT."""
    return _names("clusters", lambda one: [str(one.get("name", ""))], incomplete)


def complete_channel(incomplete: str) -> list[str]:
    """REPOSITORY:TAG as people write it, or in full where that is how it was begun."""
    return _names("channels", lambda one: [read_channel(one).familiar, read_channel(one).name], incomplete)


def complete_release(incomplete: str) -> list[str]:
    """A version, or a digest where it was begun."""
    digits = len(incomplete) >= _LEAST_DIGITS
    return _names("releases", lambda one: _spellings(one, digits=digits), incomplete)


def complete_rollout(incomplete: str) -> list[tuple[str, str]]:
    """A rollout's number, with what it is about."""
    rollouts = [read_rollout(one) for one in _items("rollouts")]
    return [
        (str(one.id), f"{one.state} {one.channel} {one.what}") for one in rollouts if str(one.id).startswith(incomplete)
    ]


def complete_agent(incomplete: str) -> list[str]:
    """An agent's name."""
    return _names("agents", lambda one: [str(one.get("name", ""))], incomplete)


def complete_anything(incomplete: str) -> list[str]:
    """What can be rolled back: a cluster, a target or a channel."""
    return complete_cluster(incomplete) + complete_target(incomplete) + complete_channel(incomplete)


def _spellings(item: Item, *, digits: bool) -> list[str]:
    release = read_release(item)
    return [release.version, release.digest] + ([release.digest.rpartition(":")[2]] if digits else [])


def _names(path: str, spellings: Callable[[Item], list[str]], incomplete: str) -> list[str]:
    """Of each thing the first spelling that goes on from what was written."""
    found = []
    for item in _items(path):
        fitting = [one for one in spellings(item) if one and one.startswith(incomplete)]
        found += fitting[:1]
    return sorted(set(found))


def _items(path: str) -> list[dict[str, Any]]:
    try:
        return asyncio.run(_asked(path))
    except (FleetError, TimeoutError, OSError):
        return []


async def _asked(path: str) -> list[dict[str, Any]]:
    from tidegate.cli.fleet.client import Manager  # noqa: PLC0415 - a completion of options needs no HTTP
    from tidegate.cli.fleet.login import find_login  # noqa: PLC0415 - as above

    async with asyncio.timeout(PATIENCE_S), Manager(find_login(os.environ), timeout_s=PATIENCE_S, tries=1) as manager:
        document = (await manager.get(path, limit=_MOST)).document
    items = document.get("items") if isinstance(document, dict) else None
    return items if isinstance(items, list) else []
