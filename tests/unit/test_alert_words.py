"""What alerts tell people to do can be done: every command that they name is one of the program's."""

import inspect
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from tidegate.cli.app import app
from tidegate.domain.rollout import Planned, plan_rollout
from tidegate.domain.rollout_apply import Verb, act
from tidegate.domain.rollout_decide import decide
from tidegate.domain.rollout_policy import RolloutPolicy
from tidegate.domain.rollout_world import World
from tidegate.manager.telling import alert_rules
from tidegate.manager.telling.alert import Thresholds
from tidegate.manager.telling.alert_facts import Facts, Troubled
from tidegate.manager.telling.alert_rules import findings

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]
TEXTS = {
    "the rules": inspect.getsource(alert_rules),
    "docs/alerts.md": (ROOT / "docs/alerts.md").read_text(encoding="utf-8"),
    "rules.yml": (ROOT / "deploy/prometheus/rules.yml").read_text(encoding="utf-8"),
}
_COMMAND = re.compile(r"""(?:`|: "|; )tidegate ((?:[a-z-]+ ?)+)([^`;"]*)""")


@pytest.mark.parametrize("where", TEXTS)
def test_every_command_is_one_of_the_program(where: str) -> None:
    named = _COMMAND.findall(TEXTS[where])
    assert named
    for words, rest in named:
        command: Any = typer.main.get_command(app)
        for word in words.split():
            if not hasattr(command, "commands"):
                break  # what follows is an argument
            assert word in command.commands, f"{where}: tidegate {words}"
            command = command.commands[word]
        assert not hasattr(command, "commands"), f"{where}: tidegate {words} lacks a command"
        options = {option for one in command.params for option in one.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= options, f"{where}: tidegate {words}{rest}"


@pytest.mark.parametrize(("after", "alerts"), [(timedelta(days=7), 1), (timedelta(), 0)])
def test_an_end_that_only_time_has_brought_is_told(after: timedelta, alerts: int) -> None:
    policy = RolloutPolicy(approvals=1)
    rollout = plan_rollout("1", "c", "sha256:b", [Planned("shop@a/web")], policy, requested_by="ann", now=NOON)
    ended = act(rollout, Verb.REJECT, "bob", NOON, "no") if not after else decide(rollout, World(NOON + after)).rollout
    troubled = Troubled(1, "c", "sha256:b", "", ended.state, ended.reason, "ann", NOON, whole=True)
    assert len(findings(Facts(NOON, rollouts=(troubled,)), Thresholds(), NOON)) == alerts


def test_a_rollout_that_was_not_over_in_its_time_is_told() -> None:
    rollout = plan_rollout("1", "c", "sha256:b", [Planned("a")], RolloutPolicy(), requested_by="ann", now=NOON)
    ended = decide(rollout, World(NOON + RolloutPolicy().expires)).rollout
    troubled = Troubled(1, "c", "sha256:b", "", ended.state, ended.reason, "ann", NOON, whole=True)
    assert [one.rule for one in findings(Facts(NOON, rollouts=(troubled,)), Thresholds(), NOON)] == ["rollout_expired"]


def test_a_pause_that_a_person_asked_for_is_told_from_others() -> None:
    rollout = plan_rollout("1", "c", "sha256:b", [Planned("shop@a/web")], RolloutPolicy(), requested_by="ann", now=NOON)
    paused = act(rollout, Verb.PAUSE, "ann", NOON, "lunch")
    for reason, alerts in ((paused.reason, 0), ("shop@a/web: it exited", 1)):
        troubled = Troubled(1, "c", "sha256:b", "", paused.state, reason, "ann", None, whole=True)
        found = findings(Facts(NOON, rollouts=(troubled,)), Thresholds(), NOON)
        assert len(found) == alerts
