"""The program where it cannot work at all: one line with the remedy, an exit code, and nothing touched."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from tests.conftest import Push
from tests.support.agent import in_thread, tidegate
from tests.support.daemon import Daemon, small_engine

REFUSED, USAGE, FAILED = 3, 2, 1


def told(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one line of complaint of a program that ended with this code."""
    assert done.returncode == code, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("tidegate: ")]
    return line


@asynccontextmanager
async def engine_that_says(path: Path, version: Mapping[str, str]) -> AsyncIterator[str]:
    """Answers on a socket to `/version`, and to nothing else."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path.endswith("/version"):
            return web.json_response(dict(version))
        return web.json_response({"message": "nothing here"}, status=404)

    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    yield f"unix://{path}"
    await runner.cleanup()


@pytest.mark.parametrize("command", ["run", "plan", "status"])
def test_an_engine_socket_that_is_not_there_is_named(tmp_path: Path, command: str) -> None:
    host = f"unix://{tmp_path}/none.sock"
    line = told(tidegate(tmp_path / "state", "agent", command, check=False, DOCKER_HOST=host), REFUSED)
    assert f"{tmp_path}/none.sock: start Docker, mount the socket, or set DOCKER_HOST" in line
    assert not (tmp_path / "state").exists()


def test_an_engine_socket_that_nobody_listens_at_is_named(tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    line = told(tidegate(tmp_path / "state", "agent", "run", check=False, DOCKER_HOST=f"unix://{path}"), REFUSED)
    assert f"{path}: start Docker" in line


@pytest.mark.parametrize(
    ("lowest", "highest", "says", "remedy"),
    [
        ("1.12", "1.20", "too old: Docker 9 speaks API 1.20", "upgrade the engine"),
        ("1.90", "1.99", "too new: Docker 9 speaks API 1.90", "update Tidegate"),
    ],
    ids=["too-old", "too-new"],
)
async def test_an_engine_of_another_age_is_told_with_its_version_and_what_to_do(
    tmp_path: Path, lowest: str, highest: str, says: str, remedy: str
) -> None:
    version = {"Version": "9", "ApiVersion": highest, "MinAPIVersion": lowest, "Os": "linux", "Arch": "amd64"}
    async with engine_that_says(tmp_path / "e.sock", version) as host:
        words = ("agent", "run", "--once")
        done = await in_thread(lambda: tidegate(tmp_path / "state", *words, check=False, DOCKER_HOST=host))
    line = told(done, REFUSED)
    assert says in line
    assert line.endswith(remedy)


def test_a_state_directory_that_cannot_be_written_is_told_before_anything_is_touched(
    engine_url: str, tmp_path: Path
) -> None:
    assert engine_url
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    line = told(tidegate(tmp_path / "file" / "state", "agent", "run", "--once", check=False), FAILED)
    assert str(tmp_path / "file") in line
    assert "TIDEGATE_STATE" in line


@pytest.mark.parametrize(
    ("name", "value", "takes"),
    [
        ("TIDEGATE_SETTLE", "soon", "a duration such as"),
        ("TIDEGATE_WINDOW", "at night", "`CRON DURATION [ZONE]`"),
        ("TIDEGATE_FREEZE", "2026-01-01/9999-12-31", "`FROM/TO [ZONE] [REASON]`"),
        ("WATCHTOWER_POLL_INTERVAL", "often", "a duration such as"),
        ("WATCHTOWER_SCHEDULE", "now and then", "six cron fields"),
        ("WATCHTOWER_LABEL_ENABLE", "perhaps", "true or false"),
        ("DOCKER_HOST", "carrier-pigeon://coop", "an engine's address such as"),
        ("DOCKER_HOST", "tcp://engine:99999", "an engine's address such as"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named_with_its_value_and_what_it_takes(
    tmp_path: Path, name: str, value: str, takes: str
) -> None:
    only = {"WATCHTOWER_POLL_INTERVAL": ""} if name == "WATCHTOWER_SCHEDULE" else {}
    env = {"PATH": os.environ["PATH"], "TIDEGATE_STATE": str(tmp_path / "state"), **only, name: value}
    done = subprocess.run(
        [*_program(), "agent", "run", "--once"], env=env, capture_output=True, text=True, check=False, timeout=60
    )
    line = told(done, USAGE)
    assert [word for word in (name, value, f"it takes {takes}") if word not in line] == []


def _program() -> list[str]:
    return [sys.executable, "-m", "tidegate"]


def test_a_disk_that_is_full_at_the_pull_is_told_and_the_container_goes_on(
    daemon: Daemon, push: Push, tmp_path: Path
) -> None:
    assert daemon
    old = push("1")
    # 80 MiB leave less than the agent wants to see free, or too little for what it pulls
    with small_engine(tmp_path / f"small-{secrets.token_hex(4)}", 80) as host:
        engine = ["docker", "-H", host]
        for words in (["pull", "-q"], ["run", "-d", "--name", "web", "--network", "none"]):
            subprocess.run([*engine, *words, old.reference], check=True, capture_output=True)
        push("2", files={"/big": os.urandom(90 * 2**20)})
        done = tidegate(tmp_path / "state", "agent", "run", "--once", check=False, DOCKER_HOST=host)
        state = subprocess.run(
            [*engine, "inspect", "--format", "{{.State.Running}} {{.Image}}", "web"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        subprocess.run([*engine, "rm", "-f", "web"], check=True, capture_output=True)
    assert (done.returncode, state) == (FAILED, ["true", old.image_id])
    said = [line for line in done.stderr.splitlines() if "web" in line and "disk" in line and "free some" in line]
    assert said, done.stderr


def test_a_disk_that_fills_up_amid_a_pull_is_told_and_a_smaller_update_goes_on(
    daemon: Daemon, push: Push, tmp_path: Path
) -> None:
    assert daemon
    old = {name: push("1", name).reference for name in ("big", "small")}
    # 160 MiB are enough to begin with, but not for 100 MiB packed and unpacked
    with small_engine(tmp_path / f"small-{secrets.token_hex(4)}", 160) as host:

        def on_it(*words: str) -> str:
            return subprocess.run(["docker", "-H", host, *words], check=True, capture_output=True, text=True).stdout

        for name, reference in old.items():
            on_it("run", "-d", "--name", name, "--network", "none", reference)
        was = on_it("inspect", "--format", "{{.Id}}", "big")
        push("2", "big", files={"/big": os.urandom(100 * 2**20)})
        small = push("2", "small")
        looks = [tidegate(tmp_path / "state", "agent", "run", "--once", check=False, DOCKER_HOST=host)]
        # what the engine could not unpack may fill its disk for a moment more: then it is the next look's
        while on_it("inspect", "--format", "{{.Image}}", "small").strip() != small.image_id:
            assert len(looks) < 5, [look.stderr for look in looks]
            looks.append(tidegate(tmp_path / "state", "agent", "run", "--once", check=False, DOCKER_HOST=host))
        now = on_it("inspect", "--format", "{{.Id}}", "big")
        on_it("rm", "-f", *old)
    assert ({look.returncode for look in looks}, now) == ({FAILED}, was)
    said = [line for line in looks[0].stderr.splitlines() if "no space left on device" in line]
    assert said, looks[0].stderr
    assert all("big" in line and "free some space" in line for line in said)
