"""The benchmark can be run, and what it prints can be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.usefixtures("engine_url")
def test_a_part_of_the_benchmark_prints_its_figures_as_json() -> None:
    command = [sys.executable, "bench/agent.py", "startup", "--updates", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"machine", "startup", "goals", "met"}
    assert found["startup"]["wall_s"]["median"] >= found["startup"]["wall_s"]["min"] > 0
    assert (found["goals"], found["met"]) == ([], True)
