"""What the shared fixtures do where there is no engine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ONE_TEST = "tests/engine/test_ground.py::test_the_engine_is_the_version_that_the_matrix_names"


def run_without_engine(ci: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in {"DOCKER_HOST", "GROUND_REGISTRY"}} | {"CI": ci}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ONE_TEST]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("ci", "status", "outcome"), [("true", 1, "1 error"), ("", 0, "1 skipped")])
def test_a_test_without_its_engine_is_skipped_but_fails_in_ci(ci: str, status: int, outcome: str) -> None:
    done = run_without_engine(ci)
    assert done.returncode == status, done.stdout
    assert outcome in done.stdout
    assert "make test" in done.stdout
