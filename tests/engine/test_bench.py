"""The benchmark can be run, what it prints can be read, and the goals that are no matter of time are met."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def benchmark(part: str) -> dict[str, Any]:
    """What the benchmark prints of one part; a goal that is missed is an error."""
    command = [sys.executable, "bench/agent.py", part, "--updates", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert set(found) == {"machine", part, "goals", "met"}
    return found


@pytest.mark.usefixtures("engine_url")
def test_a_look_at_a_hundred_containers_asks_for_each_image_once_and_for_one_token_for_each_repository() -> None:
    found = benchmark("detect")
    assert (found["detect"]["containers"], found["detect"]["references"]) == (100, 20)
    assert {goal["figure"]: goal["met"] for goal in found["goals"]} == {
        f"detect.{look}.{asked}": True for look in ("first_look", "later_look") for asked in ("heads", "tokens")
    }


@pytest.mark.long
@pytest.mark.usefixtures("engine_url")
def test_a_part_of_the_benchmark_without_goals_prints_its_figures() -> None:
    found = benchmark("startup")
    assert found["startup"]["wall_s"]["median"] >= found["startup"]["wall_s"]["min"] > 0
    assert (found["goals"], found["met"]) == ([], True)
