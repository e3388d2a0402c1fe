"""Prometheus' rules, Grafana's dashboard and the documents name metrics, labels and commands that there are."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families
from tests.support.fleet_rows import Fleet
from tests.support.manager import People

from tidegate.agent.metrics import Metrics as AgentMetrics
from tidegate.manager.store.database import Database
from tidegate.manager.telling.alert import Rule

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/rules.yml"
DASHBOARD = ROOT / "deploy/grafana/tidegate.json"
AGENTS = [ROOT / "src/tidegate/agent" / name for name in ("link/link.py", "watchtower/watch.py")]
"""Which metrics an agent has beside those that it always has."""
METRICS = ROOT / "docs/metrics.md"
ALERTS = ROOT / "docs/alerts.md"
_NAME = re.compile(r"\btidegate_[a-z_]+")
_MATCH = re.compile(r'(tidegate_[a-z_]+)\{(\w+)=(~?)"([^"]*)"\}')


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


@pytest.fixture
async def samples(people: People, manager_db: Database) -> dict[str, list[dict[str, str]]]:
    """Labels of the samples of a manager that has something to tell, by their names."""
    await Fleet(manager_db).made()
    await people.viewer.get("//metrics")  # so that a request was counted
    text = (await people.viewer.get("//metrics")).text
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    for family in text_string_to_metric_families(text):
        found[family.name]
        if family.type == "counter":
            found[f"{family.name}_total"]
        for sample in family.samples:
            found[sample.name].append(sample.labels)
    return found


async def test_every_metric_of_rules_and_dashboard_is_there(samples: dict[str, list[dict[str, str]]]) -> None:
    named = {name for text in expressions() for name in _NAME.findall(text)}
    assert len(named) > 10
    assert named - set(samples) - agents_more() == set()


def agents_more() -> set[str]:
    return {
        name
        for file in AGENTS
        for name in re.findall(r'"(tidegate_\w+)",\s+"(?:gauge|counter)"', file.read_text(encoding="utf-8"))
    }


async def test_every_value_that_is_asked_for_can_be(samples: dict[str, list[dict[str, str]]]) -> None:
    asked = [match for text in expressions() for match in _MATCH.findall(text)]
    assert asked
    for metric, label, pattern, value in asked:
        if label in {"status", "result"}:
            continue  # it comes when it happens
        there = {labels[label] for labels in samples[metric]}
        for one in value.split("|") if pattern else [value]:
            assert one in there, f"{metric} has no {label}={one}"


def test_every_rule_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"info", "warning", "critical"}
        assert {"summary", "description"} <= set(rule["annotations"])


def test_a_rule_tells_where_there_is_no_manager_to_tell_anything() -> None:
    """Every other one is about a number of a manager's, and without one says nothing."""
    alone = [rule["alert"] for rule in rules() if "absent(tidegate_manager_info)" in rule["expr"]]
    assert alone == ["TidegateManagerAway"]


async def test_the_documents_tell_of_every_metric_and_of_no_other(samples: dict[str, list[dict[str, str]]]) -> None:
    agents = {family.name for family in text_string_to_metric_families(AgentMetrics().exposition())}
    agents |= agents_more()
    endings = ("_total", "_bucket", "_sum", "_count", "_created", "_info")

    def base(name: str) -> str:
        return next((name.removesuffix(end) for end in endings if name.endswith(end)), name)

    ours = {base(name) for name in (*samples, *agents) if name.startswith(("tidegate_", "watchtower_"))}
    told = {base(name) for name in re.findall(r"`((?:tidegate|watchtower)_[a-z_]+)", METRICS.read_text())}
    assert ours - told == set()
    assert told - ours == set()


def test_the_documents_tell_of_every_rule() -> None:
    text = ALERTS.read_text()
    assert [rule for rule in Rule if f"`{rule}`" not in text] == []
    assert [rule["alert"] for rule in rules() if rule["alert"] not in text] == []
