"""What bench/compare.py found, as a table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.compare_updaters import TIDEGATE, WATCHTOWER


def table(found: Mapping[str, Any]) -> str:
    """A row for each scenario, a column for each updater; then where and when."""
    head = f"| | {WATCHTOWER} | {TIDEGATE} |\n| --- | --- | --- |\n"
    rows = [_row(one) for one in found["scenarios"].values()]
    return head + "\n".join([*rows, "", _where(found["machine"])])


def _where(machine: Mapping[str, Any]) -> str:
    place = f"{machine['cores']} cores, engine {machine['engine']}, Compose {machine['compose']}"
    load = f"load average {machine['load_before']:g} before and {machine['load_after']:g} after"
    return f"{machine['date']}, {place}, {load}, commit {machine['commit']}"


def _row(scenario: Mapping[str, Any]) -> str:
    return f"| {scenario['title']} | {scenario[WATCHTOWER]['cell']} | {scenario[TIDEGATE]['cell']} |"
