"""The suite of faults is large enough, and some of it is run every time."""

from __future__ import annotations

import subprocess
import sys

import pytest
from tests.faults.conftest import INJECTING, injects
from tests.support.pages import ROOT


def collected(marks: str) -> list[str]:
    """The cases of the suite that inject a fault."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "-m", marks]
    done = subprocess.run([*command, "tests/faults"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return [line for line in done.stdout.splitlines() if "::" in line and injects(line)]


@pytest.mark.parametrize(("marks", "least"), [("long or not long", 400), ("not long", 30)])
def test_so_many_faults_are_injected(marks: str, least: int) -> None:
    assert len(collected(marks)) >= least


def test_every_file_that_is_counted_is_there() -> None:
    assert [name for name in INJECTING if not (ROOT / "tests" / "faults" / f"{name}.py").is_file()] == []
