"""The manager as the program that people run, killed and started again at the same address."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from groundwork.registry import free_port

_READY_S = 60.0
_ENDS_S = 30.0
_ROOT = Path(__file__).resolve().parents[2]
SERVE = ("-m", "tidegate", "manager", "serve")


class ManagerProgram:
    """`tidegate manager serve` on a database. Several with one `folder` and one database are replicas."""

    def __init__(self, folder: Path, database_url: str, **environ: str) -> None:
        self.port = free_port()
        self.log = folder / f"manager-{secrets.token_hex(3)}.log"
        self._process: subprocess.Popen[bytes] | None = None
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "HOME") if name in os.environ}
        self._environ = kept | {
            "PYTHONPATH": os.pathsep.join(str(_ROOT / one) for one in (".", "src", "scripts")),
            "TIDEGATE_DATA": str(folder),
            "TIDEGATE_DATABASE_URL": database_url,
            "TIDEGATE_LISTEN": f"127.0.0.1:{self.port}",
            "TIDEGATE_RATE_ADDRESS": "100000/s",  # all agents have one address
            "TIDEGATE_SHUTDOWN": "1s",
            **environ,
        }

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.port

    @property
    def url(self) -> str:
        """The same for people."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self, words: Sequence[str] = SERVE) -> None:
        """Start it; `words` are what Python is to run."""
        assert self._process is None
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *words], env=self._environ, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )

    async def ready(self) -> None:
        """Return when it has its database. AssertionError if it has ended before."""
        async with asyncio.timeout(_READY_S), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                assert self._process is not None
                assert self._process.poll() is None, self.said()
                await asyncio.sleep(0.02)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False

    async def ended(self) -> int:
        """Its exit status, once it has ended by itself; negative: the signal."""
        assert self._process is not None
        status = await asyncio.to_thread(self._process.wait, _READY_S)
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and its end."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(_ENDS_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise
            finally:
                self._process = None

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""
