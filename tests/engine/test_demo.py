"""The demo of the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.docker import docker
from tests.support.images import build
from tests.support.registry import Registry

import demo_things
from groundwork import base

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, "scripts/demo.py"]
PROMISED_S = 180


def on_engine() -> list[str]:
    """Everything on the engine, a line each."""
    images = docker("image", "ls", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}")
    networks = docker("network", "ls", "--no-trunc", "--format", "{{.ID}} {{.Name}}")
    containers = docker("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}")
    return sorted(f"{images}\n{networks}\n{containers}\n{docker('volume', 'ls', '--quiet')}".splitlines())


def as_if_shared() -> dict[str, str]:
    """The environment on an engine that was there before."""
    return {key: value for key, value in os.environ.items() if key not in {"GROUND_PRIVATE", "GROUND_REGISTRY_LAN"}}


def run_demo(*words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEMO, *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def strangers(registry: Registry) -> Iterator[str]:
    """What a person's own agent may have left on the engine, with a name in it that tells.

    Other tests play the example, too, and leave its images: their tags would move, and they be nameless afterwards.
    """
    for name in docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split():
        if "/autonomy/" in name:
            docker("image", "rm", "--force", name, check=False)
    docker("pull", "-q", (theirs := build(registry, "theirs/app:one", version="theirs").reference))
    keep, name = "tidegate.local/keep:theirs", "tidegate-theirs"
    docker("tag", theirs, keep)
    docker("network", "create", name)
    docker("volume", "create", name)
    yield name
    docker("volume", "rm", name)
    docker("network", "rm", name)
    docker("image", "rm", "--force", keep, theirs)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_demo_tells_what_it_said_in_time_and_leaves_the_engine_as_it_was(strangers: str, *, shared: bool) -> None:
    assert strangers
    before, began = on_engine(), time.monotonic()
    done = run_demo(env=as_if_shared() if shared else dict(os.environ))
    took_s = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if " sent " in line]
    told = [line.split("failed")[1].strip() for line in lines]
    expected = ["v2 serves", "v3 is rolled back", "v4 serves", "docker compose up -d has nothing to do"]
    assert [line for line in told if line in expected] == expected
    assert took_s < PROMISED_S
    rows = re.findall(r"(v\d) +│ +([a-z-]+) +│ +(?:[\d.]+ s|never served) +│ +(\d+)", done.stdout)
    assert rows == [("v2", "committed", "0"), ("v3", "rolled-back", "0"), ("v4", "committed", "0")]
    after = on_engine()
    assert not set(after) - set(before)
    # layers that an earlier build of the agent's image had left go with the demo's own
    assert [line for line in before if line not in after and not line.endswith("<none>:<none>")] == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("shared", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_fleets_demo_tells_what_it_said_and_leaves_the_engine_as_it_was(strangers: str, *, shared: bool) -> None:
    assert strangers
    before = on_engine()
    env = as_if_shared() if shared else dict(os.environ)
    command = [sys.executable, "scripts/demo_fleet.py"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.split("failed", 1)[1].strip() for line in done.stdout.splitlines() if " sent " in line]
    expected = [
        "v2 waits for approval",
        "v2 serves everywhere: first the canary, then, after it soaked, the others",
        "v3 is rolled back and in quarantine; paris and oslo never saw it",
        "v1 serves everywhere again",
    ]
    assert [line for line in told if line in expected] == expected
    assert re.search(r"^0 of \d{3,} requests failed", done.stdout, re.MULTILINE)
    assert not set(on_engine()) - set(before)


def test_cleaning_up_takes_what_is_the_demos_and_nothing_else(registry: Registry, strangers: str) -> None:
    theirs = ["--label", "tidegate.private-for=theirs", "--subnet", "10.213.255.0/27"]
    docker("network", "create", *theirs, f"{strangers}-private")
    docker("image", "rm", "--force", base.TAG, check=False)
    before = on_engine()
    channel = "autonomy/orchestrator:autonomy-latest"
    ours = build(registry, channel, version="demo", labels=demo_things.MARK).reference
    docker("pull", "-q", ours)
    docker("tag", ours, "tidegate.local/keep:ours")
    label = "tidegate.private-for=ours"
    docker("network", "create", "--label", label, "--subnet", "10.215.0.0/27", "tidegate-ours")
    assert on_engine() != before
    done = run_demo("--clean", env=as_if_shared())
    after = on_engine()
    docker("network", "rm", f"{strangers}-private")
    assert (done.returncode, after) == (0, before), done.stderr


@pytest.mark.usefixtures("engine_url")
def test_cleaning_up_after_a_demo_that_never_ran_is_no_error() -> None:
    subprocess.run(["make", "--silent", "demo-clean"], cwd=ROOT, check=True, capture_output=True)
