"""What the shared fixtures do where there is no engine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import absent

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


@pytest.mark.parametrize(("ci", "outcome"), [("true", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_what_a_test_lacks_skips_it_but_fails_it_in_ci(
    ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(outcome, match="the moon is moved by root only"):
        absent.need_root("the moon is moved")


def test_no_test_skips_in_another_way() -> None:
    word = re.compile(r"pytest\.(skip\(|mark\.skip|importorskip|mark\.xfail)")
    files = [path for path in (ROOT / "tests").rglob("*.py") if word.search(path.read_text(encoding="utf-8"))]
    assert files == [ROOT / "tests" / "support" / "absent.py"]
