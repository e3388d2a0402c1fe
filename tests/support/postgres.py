"""A PostgreSQL server of our own: Debian's package, unpacked beside the project and started by hand."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from groundwork.paths import GroundError, unpacked
from groundwork.registry import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

USER = "tidegate"
_NOBODY = "65534"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # its data is gone with it
    "max_connections": "200",
}


def programs() -> Path:
    """The folder of its programs. Raises `GroundError` where they are not to be had."""
    found = unpacked("postgres") / "usr/lib/postgresql/15/bin"
    if not (found / "postgres").exists():
        raise GroundError("PostgreSQL is not here: `make test` on Debian bookworm fetches it.")
    return found


class Server:
    """A server that keeps its data in `folder`, at the same address whenever it is started; not started yet.

    `settings` are PostgreSQL's own.
    """

    def __init__(self, folder: Path, **settings: str) -> None:
        port = free_port()
        self.address = f"postgresql://{USER}@127.0.0.1:{port}"
        """Of the server, without a database."""
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        program, data = str(programs() / "postgres"), folder / "data"
        _must([*_as_nobody(), str(programs() / "initdb"), "-D", str(data), "-A", "trust", "-U", USER, "--no-sync"])
        words = [word for key, value in (_SETTINGS | settings).items() for word in ("-c", f"{key}={value}")]
        self._command = [*_as_nobody(), program, "-D", str(data), "-p", str(port), *words]

    def start(self) -> None:
        """Start it; it answers on return."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=environment(), stdout=log, stderr=log)
        _wait(self._process, self.address, self._log)

    def freeze(self) -> None:
        """Have it say nothing any more, to those who are connected and to those who come; its host still hears them."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        if self._process is not None:
            pid = self._process.pid
            os.kill(pid, what)  # it first: then it has no more children than these
            for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split():
                os.kill(int(one), what)

    def stop(self) -> None:
        """End it at once, whoever is connected."""
        if self._process is not None:
            self.thaw()
            self._process.send_signal(signal.SIGINT)
            self._process.wait(20)
            self._process = None


@contextmanager
def server(folder: Path, **settings: str) -> Iterator[str]:
    """Run a server that keeps its data in `folder`; gives its address, without a database: `postgresql://...:PORT`."""
    one = Server(folder, **settings)
    try:
        one.start()
        yield one.address
    finally:
        one.stop()


def _wait(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    while process.poll() is None:
        try:
            psycopg.connect(f"{address}/postgres").close()
        except psycopg.OperationalError:
            continue
        return
    raise GroundError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-500:]}")


def _as_nobody() -> list[str]:
    """It refuses to run as root, so root is told to be somebody else, who owns what root owns."""
    return ["unshare", f"--map-user={_NOBODY}"] if os.geteuid() == 0 else []


def environment() -> dict[str, str]:
    """The environment that its programs are run in: they find their libraries there."""
    libraries = next((unpacked("postgres") / "usr/lib").glob("*-linux-gnu"))
    return os.environ | {"LD_LIBRARY_PATH": str(libraries), "LC_ALL": "C.UTF-8"}


def _must(command: list[str]) -> None:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GroundError(f"PostgreSQL could not be set up: {done.stderr.strip() or done.stdout.strip()}")
