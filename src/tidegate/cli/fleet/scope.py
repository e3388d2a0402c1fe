"""What a window or a freeze is for: channels, clusters, or the clusters with some labels; nothing is everything."""

from collections.abc import Mapping
from typing import Any

from tidegate.cli.fleet import find
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.options import pairs
from tidegate.cli.fleet.show import labels_text


async def read_scope(
    manager: Manager, channels: list[str] | None, clusters: list[str] | None, labels: list[str] | None
) -> dict[str, Any]:
    """The scope that options name, as the manager takes it."""
    return {
        "channels": [(await find.channel(manager, one)).id for one in channels or ()],
        "clusters": [(await find.cluster(manager, one)).name for one in clusters or ()],
        "labels": pairs(labels),
    }


def scope_text(scope: Mapping[str, Any], channels: Mapping[int, str]) -> str:
    """A scope in words; `channels` are names by id."""
    words = [channels.get(one, f"channel {one}") for one in scope.get("channels") or ()]
    words += [str(one) for one in scope.get("clusters") or ()]
    labels = labels_text(scope.get("labels") or {})
    return ", ".join([*words, *([labels] if labels else [])]) or "everything"
