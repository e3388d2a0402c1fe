"""A manager and its agents as programs of this checkout, and people who tell the manager what they want."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from groundwork.registry import free_port

TIDEGATE = [sys.executable, "-m", "tidegate"]
START_LIMIT_S = 60.0
INDENT = 10
_LEAST_WIDTH = 40


class ProgramError(Exception):
    """A program did not do what it should; the message has what it said."""


@dataclass
class Program:
    """A program that runs until it is stopped, and can be started again. What it says is in the file `log`."""

    words: list[str]
    environ: Mapping[str, str]
    log: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Run it."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*TIDEGATE, *self.words], env={**os.environ, **self.environ}, stdout=output, stderr=output
            )

    def stop(self, *, kill: bool = False) -> None:
        """Have it end, by SIGTERM or at once by SIGKILL."""
        if self._process is None:
            return
        self._process.kill() if kill else self._process.terminate()
        try:
            self._process.wait(START_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def check(self) -> None:
        """Raise `ProgramError` if it has ended by itself."""
        if self._process is None or self._process.poll() is not None:
            raise ProgramError(f"`tidegate {' '.join(self.words)}` has ended: {self.said()[-2000:]}")

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(encoding="utf-8")


class ManagerProgram:
    """`tidegate manager serve` with a database in a folder of its own."""

    def __init__(self, folder: Path, *, insecure_registry: str) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self._environ = {
            "TIDEGATE_DATA": str(folder / "manager"),
            "TIDEGATE_LISTEN": self.url.removeprefix("http://"),
            "TIDEGATE_INSECURE_REGISTRIES": insecure_registry,
        }
        self.program = Program(["manager", "serve"], self._environ, folder / "manager.log")

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.program.start()
        deadline = time.monotonic() + START_LIMIT_S
        while not self._answers():
            self.program.check()
            if time.monotonic() > deadline:
                raise ProgramError(f"the manager does not answer: {self.program.said()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.url}/healthz", timeout=5):
            return True
        return False

    def person(self, name: str, role: str) -> Person:
        """Somebody with a new token, which `tidegate manager create-token` makes."""
        words = ["manager", "create-token", name, "--role", role]
        token = self.folder / f"{name}.token"
        token.touch(mode=0o600)
        token.write_text(_said(words, self._environ), encoding="utf-8")
        return Person(name, self.url, token)


@dataclass(frozen=True)
class Person:
    """Somebody at the command line, logged in with a token of their own."""

    name: str
    url: str
    token_file: Path

    def says(self, *words: str) -> str:
        """What `tidegate WORDS...` prints. Raises `ProgramError` where it fails."""
        return _said(list(words), self._login)

    def tries(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`tidegate WORDS...`, whatever its exit code."""
        return _run(list(words), self._login)

    @property
    def token(self) -> str:
        """The token itself."""
        return self.token_file.read_text(encoding="utf-8").strip()

    @property
    def _login(self) -> dict[str, str]:
        login = {"TIDEGATE_MANAGER_URL": self.url, "TIDEGATE_TOKEN_FILE": str(self.token_file)}
        return login | {"COLUMNS": str(width())}


def agent_program(folder: Path, name: str, *words: str, manager: str, enrol_token: Path, **more: str) -> Program:
    """`tidegate agent run WORDS...` with a manager, and a state of its own in the folder."""
    environ = {
        "TIDEGATE_MANAGER": manager,
        "TIDEGATE_AGENT_NAME": name,
        "TIDEGATE_ENROL_TOKEN_FILE": str(enrol_token),
        "TIDEGATE_STATE": str(folder / name),
        **more,
    }
    return Program(["agent", "run", *words], environ, folder / f"{name}.log")


def width() -> int:
    """How many columns of the terminal are left for what a command printed, which is told indented."""
    return max(_LEAST_WIDTH, shutil.get_terminal_size().columns - INDENT)


@contextlib.contextmanager
def running(*programs: Program) -> Iterator[None]:
    """Start these, and have them end with the block."""
    try:
        for one in programs:
            one.start()
        yield
    finally:
        for one in programs:
            one.stop()


def _said(words: list[str], environ: Mapping[str, str]) -> str:
    done = _run(words, environ)
    if done.returncode != 0:
        raise ProgramError(f"`tidegate {' '.join(words)}` failed with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _run(words: list[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environ}
    return subprocess.run([*TIDEGATE, *words], env=env, capture_output=True, text=True, check=False)
