"""The manager's benchmark can be run, and what it prints has a figure for each of its goals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GOALS = ["faults", "enrol.per_s", "offer.all_s", "offer.api.p99_ms"]


def test_a_few_agents_go_through_the_whole_course_without_a_fault() -> None:
    command = [sys.executable, "bench/manager.py", "sqlite", "--agents", "20", "--idle", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "missed: " in done.stderr, done.stderr  # how fast it is says nothing here
    found = json.loads(done.stdout)
    course = found["sqlite_20"]
    assert course["faults"] == 0, done.stderr
    assert course["carry_out"]["state"] == "completed"
    assert [goal["figure"] for goal in found["goals"]] == [f"sqlite_20.{one}" for one in GOALS]
