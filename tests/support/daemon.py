"""The engine's own process: ended, killed and started again, or a second one on a small disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.waiting import wait_for

from groundwork import engine


class Daemon:
    """The private ground's dockerd. Containers outlive its kill, as on a real host, until it starts again."""

    def __init__(self) -> None:
        self.folder = Path(os.environ["GROUND_FOLDER"])
        self.host = os.environ["DOCKER_HOST"]
        start = json.loads((self.folder / "dockerd.json").read_text(encoding="utf-8"))
        self._argv, self._env = start["argv"], start["env"]
        self._pidfile = Path(start["pidfile"])

    @property
    def pid(self) -> int:
        """Its pid; FileNotFoundError when it is not up."""
        return int(self._pidfile.read_text(encoding="utf-8"))

    def kill(self) -> None:
        """End it as a crash does."""
        _end(self.pid, signal.SIGKILL)
        self._pidfile.unlink()

    def stop(self) -> None:
        """End it as `systemctl stop docker` does: it stops its containers first."""
        _end(self.pid, signal.SIGTERM)

    def start(self) -> None:
        """Start it and wait until it answers."""
        _launch(self._argv, self._env, self.folder / "dockerd.log")
        wait_for(lambda: engine.answers(self.host), "the engine answers again", limit_s=120)

    def pause(self) -> None:
        """Make it hang: connections are accepted and never answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def ensure(self) -> None:
        """Leave it up and answering, whatever was done to it."""
        with suppress(OSError):
            self.resume()
        if not engine.answers(self.host):
            with suppress(FileNotFoundError):
                self._pidfile.unlink()
            self.start()


@contextmanager
def small_engine(folder: Path, size_mib: int) -> Iterator[str]:
    """A second engine whose disk holds `size_mib` and whose containers reach nobody; its DOCKER_HOST."""
    data, run = folder / "data", Path("/run") / folder.name  # sockets need short paths; this /run is the ground's own
    data.mkdir(parents=True)
    run.mkdir()
    host = f"unix://{run}/docker.sock"
    start = json.loads((Path(os.environ["GROUND_FOLDER"]) / "dockerd.json").read_text(encoding="utf-8"))
    paths = [f"--data-root={data}", f"--exec-root={run}/exec", f"--pidfile={run}/docker.pid", f"--host={host}"]
    # Without a bridge of its own a daemon takes or removes the other one's.
    network = ["--bridge=small0", "--iptables=false", "--ip-forward=false"]
    with mounted(data, size_mib), _bridge("small0", "10.126.0.1/24"):
        _launch([start["argv"][0], *paths, *network], start["env"], folder / "dockerd.log")
        wait_for(lambda: engine.answers(host), "the small engine answers", limit_s=120)
        try:
            yield host
        finally:
            _end(int((run / "docker.pid").read_text(encoding="utf-8")), signal.SIGTERM)


@contextmanager
def mounted(folder: Path, size_mib: int) -> Iterator[None]:
    """A disk of its own, in memory, at `folder`."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _bridge(name: str, address: str) -> Iterator[None]:
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", address, "dev", name], check=True)
        yield
    finally:
        subprocess.run(["ip", "link", "delete", name], check=True)


def _launch(argv: list[str], env: dict[str, str], log: Path) -> None:
    """Start a process that is no child of the tests: the ground's first process looks after it."""
    with log.open("ab") as output:
        subprocess.run(
            ["setsid", "--fork", *argv], env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=True
        )


def _end(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)
    deadline = time.monotonic() + 60
    while _is_alive(pid):
        assert time.monotonic() < deadline, f"process {pid} did not end on {number.name}"
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
