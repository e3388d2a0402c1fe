"""The commands as programs on a real engine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import Push
from tests.support.agent import environment, tidegate
from tests.support.compose import Compose
from tests.support.docker import docker, inspect
from tests.support.features import image_of, one, services
from tests.support.waiting import wait_for

KEYS = [
    "container",
    "cluster",
    "service",
    "image",
    "selected",
    "reason",
    "running_digest",
    "latest_digest",
    "action",
    "strategy",
    "strategy_reason",
    "lost",
]


@contextlib.contextmanager
def program(state: Path, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """`tidegate WORDS...` while the block lasts."""
    env = {"PATH": os.environ["PATH"], **environment(state, **more)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate", *words], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def store() -> list[str]:
    return sorted(docker("image", "ls", "--no-trunc", "--digests", "--format", "{{json .ID}}{{json .Tag}}").split())


def containers() -> str:
    return docker("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Networks}}")


def test_plan_tells_everything_and_touches_nothing(compose: Compose, push: Push, tmp_path: Path) -> None:
    old = push("1")
    compose.write(services(web=one(old, ports=["8000"]), left=one(old, labels={"tidegate.enable": "false"})))
    compose.up()
    new = push("2")
    before = (store(), containers(), inspect(compose.container("web")["Id"]))
    rows = json.loads(tidegate(tmp_path / "state", "agent", "plan", "--json").stdout)
    assert [list(row) for row in rows] == [KEYS] * len(rows)
    web, left = (next(row for row in rows if row["service"] == name) for name in ("web", "left"))
    assert (web["action"], web["strategy"], web["running_digest"]) == ("update", "swap", old.digest)
    assert (web["latest_digest"], web["cluster"]) == (new.digest, compose.project)
    assert (left["action"], left["selected"], left["strategy"]) == ("none", False, None)
    assert not (tmp_path / "state").exists()
    assert (store(), containers(), inspect(compose.container("web")["Id"])) == before


def test_one_look_updates_and_its_exit_code_tells(compose: Compose, push: Push, tmp_path: Path) -> None:
    compose.write(services(web=one(push("1", healthcheck=True)), other=one(push("1", "other"))))
    compose.up("--wait")
    state, name = tmp_path / "state", f"{compose.project}-web-1"
    new = push("2", healthcheck=True)
    push("2", "other")
    tidegate(state, "agent", "run", "--once", name)
    assert image_of(compose, "web") == new.image_id
    assert compose.container("other")["Config"]["Labels"]["org.opencontainers.image.version"] == "1"
    (status,) = json.loads(tidegate(state, "agent", "status", "--json", name).stdout)
    assert (status["container"], status["running_digest"], status["last_outcome"]) == (name, new.digest, "committed")
    (line,) = json.loads(tidegate(state, "agent", "history", "--json").stdout)
    assert (line["to_digest"], line["outcome"], line["service"]) == (new.digest, "committed", "web")
    push("3", healthcheck=True, env={"SICK": "1"})
    failed = tidegate(state, "agent", "run", "--once", name, check=False, TIDEGATE_HEALTH_TIMEOUT="5s")
    assert (failed.returncode, image_of(compose, "web")) == (1, new.image_id)


def test_a_running_agent_ends_quickly_and_well_when_told_to(compose: Compose, push: Push, tmp_path: Path) -> None:
    compose.write(services(web=one(push("1"))))
    compose.up()
    state = tmp_path / ("state" + "-of-some-length" * 7)  # longer than the name of a socket may be
    with program(state, "agent", "run") as process:
        wait_for((state / "agent.sock").exists, "the agent listens")
        push("2")
        assert tidegate(state, "agent", "rollback", f"{compose.project}/nothing", check=False).returncode == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not (state / "agent.sock").exists()


def test_a_second_agent_on_the_same_state_refuses_and_the_first_goes_on(engine_url: str, tmp_path: Path) -> None:
    assert engine_url
    state = tmp_path / "state"
    with program(state, "agent", "run") as first:
        wait_for((state / "agent.sock").exists, "the agent listens")
        words = ("agent", "run", "--once")
        second = tidegate(state, *words, check=False)
        assert second.returncode == 1
        assert str(state) in second.stderr
        assert f"process {first.pid}" in second.stderr
        assert first.poll() is None
