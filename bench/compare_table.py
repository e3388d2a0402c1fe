"""What bench/compare.py found, as a table in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.compare_updaters import TIDEGATE, WATCHTOWER


def table(found: Mapping[str, Any]) -> str:
    """A row for each scenario, a column for each updater."""
    head = f"| | {WATCHTOWER} | {TIDEGATE} |\n| --- | --- | --- |\n"
    return head + "\n".join(_row(one) for one in found["scenarios"].values())


def _row(scenario: Mapping[str, Any]) -> str:
    return f"| {scenario['title']} | {scenario[WATCHTOWER]['cell']} | {scenario[TIDEGATE]['cell']} |"
