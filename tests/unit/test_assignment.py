"""Which assignments an agent carries out, and what it says of the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tidegate.domain.assignment import Accepting, Assignment, refusal

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DIGEST = "sha256:" + "a" * 64
GOOD = Assignment("1", "host-1", "shop/web", "ghcr.io/acme/web", DIGEST, 7, NOW - MINUTE, NOW + MINUTE)
HERE = Accepting("host-1", {"shop/web": "ghcr.io/acme/web"}, generations={"shop/web": 6})


def test_an_assignment_for_this_agent_and_target_is_carried_out() -> None:
    assert refusal(GOOD, HERE, NOW) is None


def test_the_same_one_told_again_is_no_fault() -> None:
    assert refusal(GOOD, replace(HERE, generations={"shop/web": 7}), NOW) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"agent": "host-2"}, "it is for agent host-2, and this is host-1"),
        ({"target": "shop/db"}, "shop/db is no target of this agent"),
        ({"digest": "latest"}, "'latest' is no digest"),
        ({"repository": "ghcr.io/evil/web"}, "ghcr.io/evil/web is not among the repositories that this agent lets in"),
        ({"generation": 5}, "it is generation 5 of shop/web, and 6 was told already"),
        ({"expires_at": NOW - 6 * MINUTE}, "it expired at 2026-11-25 11:54:00 UTC"),
        ({"issued_at": NOW + 6 * MINUTE}, "it was issued at 2026-11-25 12:06:00 UTC, which is still to come"),
    ],
)
def test_foreign_stale_and_unknown_ones_are_refused_with_the_reason(change: dict[str, Any], says: str) -> None:
    assert says in (refusal(replace(GOOD, **change), HERE, NOW) or "")


def test_clocks_may_differ_by_five_minutes() -> None:
    slow = replace(GOOD, issued_at=NOW + 5 * MINUTE, expires_at=NOW + 9 * MINUTE)
    late = replace(GOOD, expires_at=NOW - 5 * MINUTE + timedelta(seconds=1))
    assert (refusal(slow, HERE, NOW), refusal(late, HERE, NOW)) == (None, None)
    assert refusal(replace(GOOD, expires_at=NOW - 5 * MINUTE), HERE, NOW) is not None


def test_the_agents_own_list_counts_also_against_what_a_target_follows() -> None:
    listed = replace(HERE, repositories={"ghcr.io/acme/api"})
    assert refusal(GOOD, listed, NOW) is not None
    assert refusal(replace(GOOD, repository="ghcr.io/acme/api"), listed, NOW) is None
