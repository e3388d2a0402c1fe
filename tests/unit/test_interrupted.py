"""What is interrupted is tried again; what is interrupted again and again, by the history, counts as failed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tidegate.agent.hands import Unhealthy
from tidegate.agent.hold import Hold
from tidegate.agent.interrupted import MOST, judged
from tidegate.agent.outcome import Ending, Result, result_of
from tidegate.agent.state import History
from tidegate.agent.stopping import ToldToStop
from tidegate.domain.transaction import Settlement

NEW, OTHER = "sha256:new", "sha256:other"
CUT_OFF = Result(Ending.INTERRUPTED, "the host was stopped", culprit="shop-web-1")


def moved(txid: str, *services: str, follows: bool = False) -> Any:
    """Prepared replacements of a transaction, by the release `NEW`."""
    return [
        SimpleNamespace(
            replacement=SimpleNamespace(
                id=f"{txid}.{number}", cluster="shop", service=name, name=f"shop-{name}-1", new_digest=NEW,
                follows=follows,
            )
        )
        for number, name in enumerate(services or ("web",))
    ]  # fmt: skip


def row(transaction: str | None, outcome: str = "interrupted", to: str = NEW, service: str = "web") -> dict[str, Any]:
    line = {"cluster": "shop", "service": service, "container": f"shop-{service}-1", "outcome": outcome, "to": to}
    return line if transaction is None else {**line, "transaction": transaction}


def history(directory: Path, *rows: dict[str, Any]) -> History:
    found = History(directory)
    for one in rows:
        found.append(one)
    return found


@pytest.mark.parametrize(
    ("rows", "ending"),
    [
        ([], "interrupted"),
        ([row("1")], "interrupted"),
        ([row("1"), row("2")], "failed"),
        ([row("1"), row(None, "deferred"), row("2"), row(None, "failed")], "failed"),
        ([row("1"), row("2", service="db"), row("3", service="db")], "interrupted"),
        ([row("1"), row("2", to=OTHER)], "interrupted"),
        ([row("1"), row("2"), row("3", "failed")], "interrupted"),
        ([row("1"), row("2"), row("3", "committed"), row("4")], "interrupted"),
        ([row("1"), row("1"), row("now"), row("now")], "interrupted"),  # told again, after a kill
    ],
)
def test_the_same_release_interrupted_three_times_in_a_row_on_a_target_has_failed(
    tmp_path: Path, rows: list[dict[str, Any]], ending: str
) -> None:
    found = judged(CUT_OFF, moved("now"), history(tmp_path, *rows))
    assert found.ending == ending
    assert found.blame is (ending == "failed")
    assert (f"{MOST} times in a row" in found.reason) is (ending == "failed")


def test_the_manager_is_told_of_a_failure_that_nobody_is_blamed_for(tmp_path: Path) -> None:
    found = judged(CUT_OFF, moved("now"), history(tmp_path, row("1"), row("2")), assigned=True)
    assert (found.ending, found.blame) == (Ending.FAILED, False)


def test_a_rollback_by_hand_is_never_blamed_for_being_interrupted(tmp_path: Path) -> None:
    hold = Hold.on(["sha256:old"], NEW)
    assert judged(CUT_OFF, moved("now"), history(tmp_path, row("1"), row("2")), hold=hold) == CUT_OFF


def test_a_group_has_failed_once_all_of_it_was_interrupted_that_often(tmp_path: Path) -> None:
    told = history(tmp_path, row("1"), row("2"), row("2", service="db"))
    assert judged(CUT_OFF, moved("now", "web", "db"), told).ending is Ending.INTERRUPTED
    told.append(row("3", service="db"))
    told.append(row("3"))
    assert judged(CUT_OFF, moved("now", "web", "db"), told).ending is Ending.FAILED


@pytest.mark.parametrize("ending", [one for one in Ending if one is not Ending.INTERRUPTED])
def test_every_other_end_is_what_it_is(tmp_path: Path, ending: Ending) -> None:
    it = Result(ending, "so it is")
    assert judged(it, moved("now"), history(tmp_path, row("1"), row("2"))) == it


@pytest.mark.parametrize(
    ("cause", "interfered", "ending"),
    [
        (ToldToStop(), False, Ending.INTERRUPTED),
        (ToldToStop(), True, Ending.GAVE_WAY),
        (Unhealthy("it exited"), False, Ending.ROLLED_BACK),
    ],
)
def test_an_agent_that_is_told_to_stop_has_interrupted_its_update_unless_a_person_acted(
    cause: Exception, interfered: bool, ending: Ending
) -> None:
    ((one,),) = [moved("now")]
    result = result_of(one.replacement, cause, Settlement.INCUMBENT, interfered=interfered)
    assert (result.ending, result.blame) == (ending, ending is Ending.ROLLED_BACK)
