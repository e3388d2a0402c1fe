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
            return {"id": document["Id"], "runs": document["State"]["Running"], "names": names}

        on_it("run", "-d", "--name", "web", "--network", "none", old.reference)
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
        assert json.loads(on_it("inspect", "web"))[0]["Image"] == new.image_id
        assert (web()["runs"], web()["names"]) == (running, ["web"])
        on_it("rm", "-f", "web")


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
