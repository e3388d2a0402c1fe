"""Prometheus itself takes the alert rules and the dashboard's questions; each alert is set off by what it is for."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from tests.support.absent import cannot

from groundwork.paths import unpacked

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy/prometheus/rules.yml"
DASHBOARD = ROOT / "deploy/grafana/tidegate.json"
CASES = Path(__file__).with_name("rules_test.yml")


@pytest.fixture(scope="module")
def promtool() -> Path:
    """Debian's."""
    found = unpacked("prometheus") / "usr/bin/promtool"
    if not found.exists():
        cannot("promtool is not here: `make test` on Debian bookworm fetches it.")
    return found


def passes(*command: Path | str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_the_rules_are_rules(promtool: Path) -> None:
    passes(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES)


def test_every_question_of_the_dashboard_is_one(promtool: Path, tmp_path: Path) -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    asked = [re.sub(r"\$__\w+", "5m", target["expr"]) for panel in panels for target in panel["targets"]]
    assert len(asked) > 10
    rules = [{"record": f"asked:{number}", "expr": one} for number, one in enumerate(asked)]
    path = tmp_path / "asked.yml"
    path.write_text(json.dumps({"groups": [{"name": "asked", "rules": rules}]}), encoding="utf-8")
    passes(promtool, "check", "rules", path)


def test_each_alert_is_set_off_by_what_it_is_for_and_by_nothing_else(promtool: Path, tmp_path: Path) -> None:
    for file in (RULES, CASES):
        shutil.copy(file, tmp_path)
    passes(promtool, "test", "rules", tmp_path / CASES.name)


def test_no_alert_is_left_out() -> None:
    alerts = {rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
    for tried in yaml.safe_load(CASES.read_text())["tests"]:
        assert {one["alertname"] for one in tried["alert_rule_test"]} == alerts
