"""What has to be written down before it is done, and what is done all the same."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent.notes import Notes
from tidegate.agent.state import StateError
from tidegate.domain.transaction import Settlement, Step


class Full:
    """A journal on a full disk."""

    def begin(self, *_: Any) -> None:
        raise StateError("full")

    def append(self, _txid: str, _record: Mapping[str, Any]) -> None:
        raise StateError("full")


def replacement(*, reverse: bool) -> Any:
    return SimpleNamespace(id="tx.0", reverse=reverse, step_record=lambda step: {"kind": "step", "doing": step})


def test_nothing_is_begun_and_no_step_forward_is_taken_unless_it_is_written_down() -> None:
    notes = Notes(Full(), "tx")
    with pytest.raises(StateError):
        notes.begin([], None, handover=False)
    with pytest.raises(StateError):
        notes.step(replacement(reverse=False), Step.STOP)


def test_what_brings_an_update_to_rest_is_done_without_a_journal_too() -> None:
    notes, it = Notes(Full(), "tx"), replacement(reverse=True)
    notes.step(it, Step.STOP)
    notes.verdict("sick", "web")
    notes.settling(it, Settlement.INCUMBENT, gave_way=False)
    notes.settled(it, Settlement.INCUMBENT, gave_way=False)
