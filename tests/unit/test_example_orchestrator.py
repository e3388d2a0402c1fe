"""The orchestrator of the example, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.pages import ROOT
from tests.support.waiting import status

from groundwork.registry import free_port

APP = ROOT / "examples" / "autonomy" / "orchestrator" / "app"


def environ(port: int, **more: str) -> dict[str, str]:
    return os.environ | {"PORT": str(port), "VERSION": "7", "PYTHONUNBUFFERED": "1", **more}


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What tells that it is about to go; left by one that ran here before."""
    (tmp_path / "draining").touch()
    return tmp_path / "draining"


@pytest.fixture
def running(port: int, mark: Path) -> Iterator[subprocess.Popen[str]]:
    env = environ(port, STATE_DIR=str(mark.parent))
    process = subprocess.Popen([sys.executable, str(APP)], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == f"version 7 serves on {port}\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def health(port: int) -> int:
    words = [sys.executable, str(APP), "health"]
    return subprocess.run(words, env=environ(port), stdout=subprocess.DEVNULL, check=False).returncode


def test_it_says_the_message_of_its_settings(port: int, tmp_path: Path) -> None:
    (tmp_path / "message").write_text("from now on in berlin\n", encoding="utf-8")
    env = environ(port, STATE_DIR=str(tmp_path), SETTINGS_DIR=str(tmp_path))
    with subprocess.Popen([sys.executable, str(APP)], env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            said = json.load(answer)
        process.terminate()
    assert said["message"] == "from now on in berlin"


@pytest.mark.usefixtures("running")
def test_it_says_its_version_and_is_healthy(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert json.loads(answer.read())["version"] == "7"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/other")
    assert health(port) == 0


@pytest.mark.usefixtures("running")
def test_it_is_ready_until_it_is_about_to_go_and_works_on_all_the_same(port: int, mark: Path) -> None:
    assert status(f"127.0.0.1:{port}", "/ready") == 200
    mark.touch()
    assert status(f"127.0.0.1:{port}", "/ready") == 503
    assert (status(f"127.0.0.1:{port}"), health(port)) == (200, 0)


@pytest.mark.usefixtures("running")
def test_it_is_ready_again_when_it_still_runs_long_after_it_was_told_to_go(port: int, mark: Path) -> None:
    mark.touch()
    assert status(f"127.0.0.1:{port}", "/ready") == 503
    long_ago = time.time() - 600
    os.utime(mark, (long_ago, long_ago))
    assert status(f"127.0.0.1:{port}", "/ready") == 200


def test_where_it_does_not_run_it_is_not_healthy(port: int) -> None:
    assert health(port) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(running: subprocess.Popen[str], number: signal.Signals) -> None:
    running.send_signal(number)
    assert running.wait(10) == 0


def test_another_word_is_refused() -> None:
    done = subprocess.run([sys.executable, APP, "dance"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "dance: expected serve or health\n")
