"""Private grounds beside each other, and what is left when one ends: nothing."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import pytest
from tests.support.absent import need_root
from tests.support.docker import docker
from tests.support.engines import unique
from tests.support.waiting import wait_for

from groundwork.paths import ENGINES, ENGINES_OWN

ROOT = Path(__file__).resolve().parents[2]
# A shell makes what it runs in the background ignore SIGINT; here it has to mean what it means at a terminal.
GROUND = ["env", "--default-signal=INT,HUP,TERM", sys.executable, str(ROOT / "scripts/ground.py")]

pytestmark = pytest.mark.engine


@pytest.fixture(autouse=True)
def _root() -> None:
    need_root("a private engine is started")


# Runs one container on a network of its own with a published port, says so, and waits to be told to end.
SERVE = """
import sys; sys.path[:0] = [{root!r}, {root!r} + "/scripts"]
from tests.support.docker import docker
from tests.support.images import build
from tests.support.registry import Registry
from tests.support.waiting import served_version, wait_for
import os
image = build(Registry(os.environ["GROUND_REGISTRY"]), "web:1", version=sys.argv[1])
docker("network", "create", "edge")
docker("run", "-d", "--net", "edge", "-p", "127.0.0.1:8000:8000", image.reference)
version = wait_for(lambda: served_version("127.0.0.1:8000"), "web answers")
print(version, os.environ["GROUND_ENGINE"], flush=True)
sys.stdin.read()
print(served_version("127.0.0.1:8000"), flush=True)
"""


class Ground:
    """A ground that serves one container on port 8000, until its standard input ends."""

    def __init__(self, release: str, version: str) -> None:
        self.not_there_before = [place for place in ENGINES_OWN if not place.exists()]
        self.folder = Path("/tmp") / f"ground-{secrets.token_hex(4)}"
        code = SERVE.format(root=str(ROOT))
        self.process = subprocess.Popen(
            [
                *GROUND,
                "run",
                "--engine",
                release,
                "--dir",
                str(self.folder),
                "--",
                sys.executable,
                "-c",
                code,
                version,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def finish(self) -> int:
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(timeout=150)

    def leftovers(self) -> list[str]:
        """Its folder, its control groups, the processes whose command line names the folder, containerd's folders."""
        found = [str(place) for place in (self.folder, *self.not_there_before) if place.exists()]
        # pathlib's own stumbles over what goes away while it looks
        found += glob(f"/sys/fs/cgroup/**/tidegate-ground-{self.folder.name}", recursive=True)  # noqa: PTH207
        for command in Path("/proc").glob("[0-9]*/cmdline"):
            if str(self.folder) in _read(command):
                found.append(_read(command).replace("\\0", " "))
        return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


@pytest.fixture
def grounds() -> Iterator[list[Ground]]:
    started: list[Ground] = []
    yield started
    for one in started:
        one.process.kill()
        one.process.wait()
        assert one.process.stdin
        one.process.stdin.close()
        assert one.process.stdout
        one.process.stdout.close()


def test_engines_side_by_side_serve_the_same_port_without_seeing_each_other(grounds: list[Ground]) -> None:
    for number, release in enumerate(ENGINES, 1):
        grounds.append(Ground(release, str(number)))
        assert grounds[-1].line() == f"{number} {ENGINES[release]}"
    for ground in grounds:
        assert ground.process.stdin
        ground.process.stdin.close()
    assert [ground.line() for ground in grounds] == ["1", "2"]
    assert [ground.process.wait(timeout=150) for ground in grounds] == [0, 0]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_is_left_of_a_ground_whose_runner_is_ended_by_a_signal(
    grounds: list[Ground], how: signal.Signals
) -> None:
    ground = Ground("bookworm", "1")
    grounds.append(ground)
    assert ground.line()
    assert ground.leftovers()
    ground.process.send_signal(how)
    assert ground.process.wait(timeout=150) != 0
    wait_for(lambda: not ground.leftovers(), "everything is gone", limit_s=90)


def test_the_exit_status_of_the_command_is_passed_on() -> None:
    done = subprocess.run([*GROUND, "run", "--engine", "bookworm", "--", "sh", "-c", "exit 7"], check=False)
    assert done.returncode == 7


def test_an_engine_that_answers_is_used_and_stays(engine_url: str) -> None:
    name = unique("stays")
    docker("network", "create", name)
    try:
        show = ["sh", "-c", f"echo $DOCKER_HOST; docker network ls -q --filter name={name}"]
        done = subprocess.run([*GROUND, "run", "--", *show], check=False, capture_output=True, text=True)
        there = docker("network", "ls", "-q", "--filter", f"name={name}")
        assert (done.returncode, done.stdout.split()) == (0, [engine_url, there])
        assert there
    finally:
        docker("network", "rm", name)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    done = subprocess.run(
        [*GROUND, "run", "--engine", "bookworm", "--dir", str(tmp_path), "--", "true"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "thesis" not in done.stderr
    assert "name another folder" in done.stderr
    assert (tmp_path / "thesis.txt").exists()


def test_a_private_ground_reaches_the_machines_network_only_through_the_door() -> None:
    here = str(Path("/proc/self/ns/net").readlink())
    show = (
        f"readlink /proc/self/ns/net; {sys.executable} {ROOT}/scripts/ground.py outside -- readlink /proc/self/ns/net"
    )
    done = subprocess.run(
        [*GROUND, "run", "--engine", "bookworm", "--", "sh", "-c", show], check=True, capture_output=True, text=True
    )
    within, through = done.stdout.split()
    assert within != here
    assert through == here


SLOW = """
import os, pathlib, time
def test_that_takes_for_ever():
    pathlib.Path({began!r}).write_text(os.environ["GROUND_FOLDER"])
    time.sleep(600)
"""


@pytest.fixture
def testing(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`scripts/test.py` on one test that takes for ever, and the folder of the ground on which that has begun."""
    began = tmp_path / "began"
    (tmp_path / "test_slow.py").write_text(SLOW.format(began=str(began)), encoding="utf-8")
    command = [sys.executable, str(ROOT / "scripts" / "test.py"), "--engine=bookworm", "--workers=1"]
    quiet = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), str(tmp_path / "test_slow.py")]
    process = subprocess.Popen([*command, *quiet], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: _read(began), "the test has begun", limit_s=180)
    yield process, Path(_read(began))
    process.kill()
    process.wait()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_the_tests_and_their_grounds_when_they_are_told_to_end(
    testing: tuple[subprocess.Popen[bytes], Path], how: signal.Signals
) -> None:
    process, folder = testing
    process.send_signal(how)
    assert process.wait(timeout=60) != 0
    wait_for(lambda: not folder.exists(), "the ground of its worker is gone", limit_s=120)
