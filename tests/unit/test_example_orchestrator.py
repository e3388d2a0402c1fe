"""The orchestrator of the example, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from tests.support.pages import ROOT

from groundwork.registry import free_port

APP = ROOT / "examples" / "autonomy" / "orchestrator" / "app"


def environ(port: int) -> dict[str, str]:
    return os.environ | {"PORT": str(port), "VERSION": "7", "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(port: int) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, str(APP)], env=environ(port), stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == f"version 7 serves on {port}\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def health(port: int) -> int:
    words = [sys.executable, str(APP), "health"]
    return subprocess.run(words, env=environ(port), stdout=subprocess.DEVNULL, check=False).returncode


@pytest.mark.usefixtures("running")
def test_it_says_its_version_and_is_healthy(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert json.loads(answer.read())["version"] == "7"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/other")
    assert health(port) == 0


def test_where_it_does_not_run_it_is_not_healthy(port: int) -> None:
    assert health(port) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_it_is_told_to(running: subprocess.Popen[str], number: signal.Signals) -> None:
    running.send_signal(number)
    assert running.wait(10) == 0


def test_another_word_is_refused() -> None:
    done = subprocess.run([sys.executable, APP, "dance"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "dance: expected serve or health\n")
