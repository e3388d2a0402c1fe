"""Assignments, as a test's manager writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.domain.assignment import Assignment
from tidegate.protocol import keys, signed
from tidegate.protocol.messages import Item

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MANAGER = keys.load_key(keys.make_key())
PINNED = keys.public_text(MANAGER)
AGENT = "agent-1"
OLD, NEW, OTHER = (f"sha256:{digit * 64}" for digit in "abc")


def assignment(generation: int = 1, **more: Any) -> Assignment:
    """Of shop/web to NEW, issued now, for ten minutes."""
    plain: dict[str, Any] = {
        "id": f"{more.get('target', 'shop/web')}-{generation}",
        "agent": AGENT,
        "target": "shop/web",
        "repository": "docker.io/library/web",
        "digest": NEW,
        "generation": generation,
        "issued_at": NOW,
        "expires_at": NOW + timedelta(minutes=10),
        "rollout": "17",
    }
    return Assignment(**plain | more)


def item(seq: int, it: Assignment | signed.Withdraw | signed.Pin | str, key: keys.Key = MANAGER) -> Item:
    """A document as it comes, signed by `key`."""
    text = it if isinstance(it, str) else signed.write_document(it, seq)
    return Item(seq, text, signed.seal(key, text))


def withdraw(generation: int = 1, target: str = "shop/web") -> signed.Withdraw:
    """Of an assignment."""
    return signed.Withdraw(AGENT, target, generation, NOW)
