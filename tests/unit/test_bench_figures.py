"""The bench says the longest silence, and whether the goals are met."""

from __future__ import annotations

import json

import pytest
from bench import agent, goals, machine
from bench.figures import longest_silence


def test_the_silence_is_the_longest_pause_between_two_answers() -> None:
    assert longest_silence([0.0, 1.0, 1.5, 4.0, 4.25], begun=0.5, ended=4.1) == 2.5


def test_a_pause_that_was_over_before_the_update_began_does_not_count() -> None:
    assert longest_silence([0.0, 9.0, 10.0, 10.5], begun=9.5, ended=10.2) == 1.0


def test_a_silence_that_goes_on_over_the_beginning_counts_whole() -> None:
    assert longest_silence([0.0, 3.0, 3.5], begun=1.0, ended=3.2) == 3.0


@pytest.mark.parametrize("answered", [[], [1.0, 2.0], [0.0, 0.5]])
def test_no_figure_is_given_where_the_client_did_not_see_both_ends(answered: list[float]) -> None:
    with pytest.raises(ValueError, match="before and from after"):
        longest_silence(answered, begun=0.5, ended=1.5)


def figures(rss_mib: float) -> dict[str, dict[str, dict[str, float]]]:
    one = {"rss_mib": rss_mib, "cpu_percent_of_a_core": 0.5}
    return {"idle": {"few": one, "many": one}, "startup": {}}


@pytest.mark.parametrize(("rss_mib", "met"), [(48.0, True), (48.1, False)])
def test_a_goal_is_met_up_to_its_limit(rss_mib: float, *, met: bool) -> None:
    judged = {goal["figure"]: (goal["found"], goal["met"]) for goal in goals.judged(figures(rss_mib))}
    cpu = {f"idle.{which}.cpu_percent_of_a_core": (0.5, True) for which in ("few", "many")}
    assert judged == {**{f"idle.{which}.rss_mib": (rss_mib, met) for which in ("few", "many")}, **cpu}


@pytest.mark.parametrize(
    ("rss_mib", "status", "complaint"),
    [
        (48.0, 0, ""),
        (48.1, 1, "".join(f"missed: idle.{which}.rss_mib is 48.1, not at most 48\n" for which in ("few", "many"))),
    ],
)
def test_the_bench_fails_where_a_goal_is_missed_and_says_which(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rss_mib: float, status: int, complaint: str
) -> None:
    monkeypatch.setattr(machine, "describe", dict)
    monkeypatch.setitem(agent.PARTS, "idle", lambda _: dict(figures(rss_mib)["idle"]))
    assert agent.main(["idle"]) == status
    out, err = capsys.readouterr()
    assert json.loads(out)["met"] is (status == 0)
    assert err == f"idle...\n{complaint}"
