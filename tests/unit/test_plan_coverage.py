"""The page that says where each line of the plan is has all of them, and names tests that there are."""

from __future__ import annotations

import ast
import re
from functools import cache

from tests.support.pages import ROOT

PAGE = ROOT / "docs" / "plan-coverage.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
# What the plan lists, in its words and order, without marks and without the folder that its files were in.
PLAN = """\
CI/CD Pipeline (.github/workflows/autonomy-orchestrator-autoupdate.yml)
Builds and pushes to GHCR on main branch changes
Tags: autonomy-latest (mutable) and autonomy-<sha> (immutable)
Documentation (docs/ORCHESTRATOR_AUTOUPDATE.md)
Complete Watchtower setup guide
Configuration examples
Deployment Script (scripts/orchestrator_cluster_autoupdate.sh)
Creates Watchtower-enabled clusters
No Watchtower in autonomy/docker-compose.yml
No test coverage for auto-updates
No central manager integration for orchestrated updates
No production deployment active
Add Watchtower service to autonomy/docker-compose.yml
Configure label-based filtering for orchestrator container
Add environment variables for update intervals
Ensure proper networking and dependencies
Add update control endpoints to central manager
Implement rollback capability via central manager
Add update status monitoring
Create update approval workflow
Create test fixtures for auto-update scenarios
Write integration tests for Watchtower updates
Add rollback testing
Test central manager update commands
Add health checks for update validation
Configure update windows/schedules
Add monitoring and alerting for failed updates
Document operational procedures
Watchtower Service Configuration
Orchestrator Label Configuration
Watchtower container startup and configuration
Image pull and update triggers
Rolling restart behavior
Health check validation post-update
Rollback procedures
Central manager commands
Watchtower successfully monitors orchestrator
Updates trigger on new image push
Rolling restart maintains availability
Health checks pass after updates
Central manager can control updates
Tests provide adequate coverage
Documentation is complete
No breaking changes to existing functionality
Updates during active operations
Network interruptions during pull
Incompatible image updates
Container state loss
Git commit checkpoints before changes
Immutable image tags for quick rollback
Central manager rollback command
Manual intervention procedures documented
autonomy/docker-compose.yml - Add Watchtower service
app/api/management.py - Add update control endpoints
tests/test_orchestrator_autoupdate.py - New test file
docs/ORCHESTRATOR_AUTOUPDATE.md - Update with production config
Orchestrators auto-update when new images are pushed to GHCR
Central manager can control and monitor update process
Full test coverage for update scenarios
Zero downtime during updates
Easy rollback capability
"""


def rows() -> list[list[str]]:
    """The cells of every row of the page's tables."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [cells for cells in found if cells[0] != "the plan says" and set(cells[0]) != {"-"}]


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of a file's tests."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def test_every_line_of_the_plan_has_its_row() -> None:
    assert [cells[0].replace("`", "") for cells in rows()] == PLAN.splitlines()


def test_no_cell_is_empty_and_every_test_is_there() -> None:
    for cells in rows():
        assert len(cells) == 3, cells
        assert all(cells), cells
        named = _TEST.findall(cells[2])
        assert named, cells
        for file, name in named:
            assert name in names_in(file), f"{file} has no test {name}"


def test_every_test_of_the_risks_is_there() -> None:
    lines = (ROOT / "docs" / "plan-risks.md").read_text(encoding="utf-8").splitlines()
    for line in lines:
        file = ""
        for begins, name in re.findall(r"`(tests/[\w/]+\.py|\.\.\.)::(test_\w+)`", line):
            file = file if begins == "..." else begins
            assert name in names_in(file), f"{file} has no test {name}"
    assert any("`...::" in line for line in lines)
