"""Which containers live in another's namespaces, and so have to come up anew when that one does."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

Document = Mapping[str, Any]
_MODES = ("NetworkMode", "IpcMode", "PidMode")


def homes_of(document: Document) -> frozenset[str]:
    """The containers, by id or name, whose network, IPC or process namespace a container lives in."""
    modes = [str((document.get("HostConfig") or {}).get(mode) or "").partition(":") for mode in _MODES]
    return frozenset(target for kind, _, target in modes if kind == "container" and target)


def began_before(one: str, other: str) -> bool:
    """Whether a container that started at `one` has outlived a start at `other`; both as the engine spells times."""
    return _moment(one) < _moment(other)


def _moment(text: str) -> tuple[datetime, str]:
    """The engine counts nanoseconds, of which Python keeps the first six digits."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(whole), fraction.ljust(9, "0")
