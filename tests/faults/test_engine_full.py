"""The engine's disk is full when an update begins, though its image is there: the same container goes on."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support.agent import tidegate
from tests.support.daemon import Daemon, small_engine

from tidegate.agent.state import State


@pytest.mark.parametrize(
    "running", [pytest.param(True, id="running"), pytest.param(False, id="stopped", marks=pytest.mark.long)]
)
def test_a_candidate_that_finds_no_room_is_given_up_and_rolled_in_when_there_is_some(
    daemon: Daemon, push: Push, tmp_path: Path, *, running: bool
) -> None:
    assert daemon
    old = push("1")
    folder = tmp_path / f"small-{secrets.token_hex(4)}"
    with small_engine(folder, 120) as host:

        def on_it(*words: str) -> str:
            return subprocess.run(["docker", "-H", host, *words], check=True, capture_output=True, text=True).stdout

        def web() -> dict[str, object]:
            document = json.loads(on_it("inspect", "web"))[0]
            names = on_it("ps", "-a", "--format", "{{.Names}}").split()
            kept = {"runs": document["State"]["Running"], "restart": document["HostConfig"]["RestartPolicy"]}
            return {"id": document["Id"], "image": document["Image"], "names": names, **kept}

        on_it("run", "-d", "--name", "web", "--network", "none", "--restart", "on-failure:3", old.reference)
        if not running:
            on_it("stop", "-t", "0", "web")
        new = push("2")
        on_it("pull", "-q", new.pinned)
        before = web()
        filler = folder / "data" / "filler"
        fill(filler)
        full = look(tmp_path / "state", host)
        assert (full.returncode, web()) == (1, before), full.stderr
        assert "no space left on device" in full.stderr
        filler.unlink()
        assert look(tmp_path / "state", host).returncode == 0
        after = web()
        assert after == {**before, "id": after["id"], "image": new.image_id}
        assert after["id"] != before["id"]
        assert last(tmp_path / "state") == ("committed", new.digest, [old.digest])
        on_it("rm", "-f", "web")


def last(state: Path) -> tuple[str, str, list[str]]:
    """What is told last, of which release, and what ran before it."""
    kept = State.at(state)
    told = kept.history.tail(1)[0]
    assert kept.journal.peek() == []
    assert kept.quarantine.list() == []
    return told["outcome"], told["to"], [one.digest for one in kept.previous.list()]


def look(state: Path, host: str) -> subprocess.CompletedProcess[str]:
    """One look of an agent, at what does not run either."""
    words = ("agent", "run", "--once", "--include-stopped")
    return tidegate(state, *words, check=False, DOCKER_HOST=host)


def fill(path: Path) -> None:
    """Leave no room on a disk."""
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(os.urandom(65536))
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)
