"""The audit log tells of every change to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.audit import BEGINNING, Entry, fault, follow, sealed

T0 = datetime(2026, 11, 25, 12, 0, 0, 5, tzinfo=UTC)
OTHER: dict[str, Any] = {
    "at": T0 + timedelta(microseconds=1),
    "actor": "eve",
    "source": "192.0.2.9",
    "action": "rollout.abort",
    "subject": "rollout/8",
    "before": {"state": "paused"},
    "after": None,
    "previous": "f" * 64,
}


def act(**more: Any) -> Entry:
    first = Entry(0, T0, "ann", "192.0.2.1", "rollout.pause", "rollout/7", {"a": 1, "b": [2]}, {"state": "paused"}, "")
    return replace(first, **more)


def log(length: int = 4) -> list[Entry]:
    entries: list[Entry] = []
    for number in range(length):
        entries.append(follow(entries[-1] if entries else None, act(subject=f"rollout/{number}")))
    return entries


def test_a_log_as_it_was_written_holds_also_from_its_middle() -> None:
    entries = log()
    assert (fault([]), fault(entries), fault(entries[2:], entries[1])) == (None, None, None)
    assert [one.number for one in entries] == [1, 2, 3, 4]
    assert entries[0].previous == BEGINNING


@pytest.mark.parametrize("field", OTHER)
def test_a_field_that_was_changed_is_told(field: str) -> None:
    entries = log()
    entries[2] = replace(entries[2], **{field: OTHER[field]})
    assert (fault(entries) or "").startswith("entry 3 ")


def test_an_entry_that_was_written_anew_is_told_by_the_next_one() -> None:
    entries = log()
    entries[1] = sealed(replace(entries[1], actor="eve"))
    assert fault(entries) == "entry 3 does not follow the one before it"


@given(st.data())
def test_what_is_left_out_or_put_in_elsewhere_is_told(data: st.DataObject) -> None:
    entries = log(5)
    gone = entries.pop(data.draw(st.integers(0, 3)))
    if data.draw(st.booleans()):
        entries.insert(data.draw(st.integers(0, 3).filter(lambda at: at != gone.number - 1)), gone)
    assert fault(entries) is not None


def test_the_same_moment_in_another_zone_has_the_same_hash() -> None:
    there = act(at=T0.astimezone(timezone(timedelta(hours=5))))
    assert follow(None, there).hash == follow(None, act()).hash
