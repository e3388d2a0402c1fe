"""The demo of the README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, "scripts/demo.py"]


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("engine_url")
def test_the_demo_rolls_in_rolls_back_and_loses_no_request() -> None:
    done = subprocess.run(DEMO, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.split("failed")[1].strip() for line in done.stdout.splitlines() if " sent " in line]
    expected = ["v2 serves", "v3 is rolled back", "v4 serves", "docker compose up -d has nothing to do"]
    assert [line for line in told if line in expected] == expected


@pytest.mark.usefixtures("engine_url")
def test_cleaning_up_after_a_demo_that_never_ran_is_no_error() -> None:
    subprocess.run([*DEMO, "--clean"], cwd=ROOT, check=True, capture_output=True)
