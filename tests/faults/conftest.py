"""How many faults were injected, for whoever reads the end of a run: each case of these tests is one."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

INJECTING = {
    "test_kill_agent",
    "test_kill_engine",
    "test_kill_people",
    "test_kill_riders",
    "test_kill_together",
    "test_manager_away",
    "test_pull_cut",
    "test_pulls",
    "test_state_full",
    "test_stop_engine",
    "test_engine_full",
}
"""Where something is killed, stopped, cut, lost or filled up amid an update, on a real engine."""


def injects(node: str) -> bool:
    """Whether a test, by its node id, injects a fault."""
    return PurePosixPath(node.partition("::")[0]).stem in INJECTING


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell it, where there were any."""
    borne, not_borne = (
        sum(injects(report.nodeid) for report in terminalreporter.getreports(kind)) for kind in ("passed", "failed")
    )
    if borne or not_borne:
        terminalreporter.write_line(f"{borne + not_borne} faults were injected: {borne} were borne")
