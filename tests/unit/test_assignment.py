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
OTHER = "sha256:" + "b" * 64
HERE = Accepting("host-1", {"shop/web": "ghcr.io/acme/web"}, accepted={"shop/web": (6, OTHER)})


def test_an_assignment_for_this_agent_and_target_is_carried_out() -> None:
    assert refusal(GOOD, HERE, NOW) is None


def test_the_same_one_told_again_is_no_fault() -> None:
    assert refusal(GOOD, replace(HERE, accepted={"shop/web": (7, DIGEST)}), NOW) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"agent": "host-2"}, "it is for agent host-2, and this is host-1"),
        ({"target": "shop/db"}, "shop/db is no target of this agent"),
        ({"digest": "latest"}, "'latest' is no digest"),
        ({"repository": "ghcr.io/evil/web"}, "shop/web follows ghcr.io/acme/web, and it is of ghcr.io/evil/web"),
        ({"generation": 5}, "it is generation 5 of shop/web, and 6 was told already"),
        ({"generation": 6}, "generation 6 of shop/web was told already, with another digest"),
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


def test_there_is_no_generation_before_the_first() -> None:
    assert refusal(replace(GOOD, generation=0), replace(HERE, accepted={}), NOW) is not None


def test_the_agents_own_list_counts_also_against_what_a_target_follows() -> None:
    assert "lets in" in (refusal(GOOD, replace(HERE, repositories=["ghcr.io/acme/api"]), NOW) or "")
    assert refusal(GOOD, replace(HERE, repositories=["ghcr.io/acme/api", "ghcr.io/acme/web"]), NOW) is None


def test_the_list_is_read_as_people_write_it() -> None:
    hub = replace(HERE, followed={"shop/web": "docker.io/acme/web"}, repositories=["acme/web", "Not A Name"])
    assert refusal(replace(GOOD, repository="docker.io/acme/web"), hub, NOW) is None
