"""The course that every set-up of the manager is taken through, with so many simulated agents."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import program
from bench.figures import summary
from bench.manager_asking import Asking
from sqlalchemy import func, select
from tests.support import postgres
from tests.support.manager import token
from tests.support.manager_program import ManagerProgram
from tests.support.simulated_fleet import AT_ONCE, add_channel, add_tokens

from tidegate.domain.rollout import ENDED, State
from tidegate.manager.people.roles import Role
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.store.migrate import migrate

SETUPS = ("sqlite", "postgres", "replicas")
RELEASE = f"sha256:{'c' * 64}"
ENROLLING = 50
"""Agents that enrol at the same time."""
IDLE_S = 20.0
TELLS = {1000: 10}
"""How many batches each tells when batches are counted; one where it is not said."""
_POLICY = AT_ONCE | {"waves": [], "progress_deadline": "1h", "healthy_deadline": "30m"}
_ROOT = Path(__file__).resolve().parents[1]


async def measure(setup: str, size: int, idle_s: float = IDLE_S) -> dict[str, Any]:
    """Take one set-up through it; `idle_s` of it there is nothing to do."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as folder, _database(setup, Path(folder)) as url:
        db = Database.at(url)
        try:
            await migrate(db)
            managers = [ManagerProgram(Path(folder), url, TIDEGATE_RATE="10000/s") for _ in range(_count(setup))]
            async with _Course.begun(db, managers, size, Path(folder)) as course:
                return await course.run(setup, idle_s)
        finally:
            await db.close()


def _count(setup: str) -> int:
    return 2 if setup == "replicas" else 1


@contextlib.contextmanager
def _database(setup: str, folder: Path) -> Iterator[str]:
    if setup == "sqlite":
        yield f"sqlite:///{folder / 'tidegate.db'}"
        return
    with postgres.server(folder, fsync="on") as server:
        yield f"{server}/postgres"


class _Course:
    def __init__(self, db: Database, managers: list[ManagerProgram], size: int, person: str, folder: Path) -> None:
        self._db, self._managers, self._size, self._person, self._folder = db, managers, size, person, folder
        self._agents: asyncio.subprocess.Process | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def begun(
        cls, db: Database, managers: list[ManagerProgram], size: int, folder: Path
    ) -> AsyncIterator[_Course]:
        """With the managers started, and the agents' process, none of which has enrolled."""
        await add_channel(db, _POLICY)
        tokens = folder / "tokens"
        tokens.write_text("\n".join(await add_tokens(db, size)), encoding="ascii")
        async with db.write() as conn:
            person = await token(conn, Role.VIEWER)
        course = cls(db, managers, size, person, folder)
        try:
            for one in managers:
                one.start()
                await one.ready()
            await course._begin(tokens)
            yield course
        finally:
            await course._end()

    async def _begin(self, tokens: Path) -> None:
        command = [sys.executable, str(_ROOT / "bench" / "manager_agents.py")]
        pipe = asyncio.subprocess.PIPE
        env = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
        self._agents = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=2**26, env=env)
        spread_s = max(5.0, self._size / 500)
        self._send(managers=[one.address for one in self._managers], tokens=str(tokens), spread_s=spread_s)

    async def _end(self) -> None:
        if self._agents is not None and self._agents.returncode is None:
            self._agents.kill()
            await self._agents.wait()
        for one in self._managers:
            one.kill()

    # the course

    async def run(self, setup: str, idle_s: float) -> dict[str, Any]:
        """Everything, in an order in which the one needs the other."""
        found: dict[str, Any] = {}
        await asyncio.sleep(3)  # the worker begins
        empty = self._rss_mib()
        parts = (
            ("enrol", self._enrol),
            ("hold", lambda: self._do("hold")),
            ("idle", lambda: self._idle(empty, idle_s)),
            ("offer", self._offer),
            ("carry_out", self._carry_out),
            ("tell", self._tell),
            ("restart", self._restart),
        )
        for name, part in parts:
            found[name] = _rounded(await part())
            print(f"{setup}, {self._size} agents, {name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
        return found | await self._checked()

    async def _enrol(self) -> dict[str, Any]:
        cpu_s = self._cpu_s()
        done, api = await self._asking("/status", "/targets?limit=50", what=self._do("enrol", at_once=ENROLLING))
        each = done.pop("each_s")
        per_s = self._size / done["took_s"]
        return done | {"per_s": per_s, "each_s": summary(each), "cpu_s": self._cpu_s() - cpu_s, "api": api}

    async def _idle(self, empty_mib: float, idle_s: float) -> dict[str, Any]:
        await asyncio.sleep(5)
        cpu_s = self._cpu_s()
        _, api = await self._asking("/status", "/targets?limit=50", what=asyncio.sleep(idle_s))
        rss = self._rss_mib()
        return {
            "rss_mib": rss,
            "rss_without_agents_mib": empty_mib,
            "kib_per_agent": 1024 * (rss - empty_mib) / self._size,
            "cpu_percent_of_a_core": 100 * (self._cpu_s() - cpu_s) / idle_s,
            "api": api,
        }

    async def _offer(self) -> dict[str, Any]:
        cpu_s = self._cpu_s()
        done, api = await self._asking(*self._paths, what=self._do("sight", digest=RELEASE))
        return done | {"cpu_s": self._cpu_s() - cpu_s, "rss_peak_mib": self._rss_mib("VmHWM"), "api": api}

    async def _carry_out(self) -> dict[str, Any]:
        cpu_s = self._cpu_s()
        done, api = await self._asking(*self._paths, what=self._until_completed())
        per_s = done["batches"] / done["told_s"]
        return done | {"batches_per_s": per_s, "cpu_s": self._cpu_s() - cpu_s, "api": api}

    async def _until_completed(self) -> dict[str, Any]:
        began = time.monotonic()
        done = await self._do("begin")
        statement = select(schema.rollouts.c.state).where(schema.rollouts.c.digest == RELEASE)
        state = State.RUNNING
        while state not in ENDED:
            await asyncio.sleep(0.1)
            async with self._db.read() as conn:
                state = State((await conn.execute(statement)).scalar_one())
        return {
            "state": state,
            "told_s": done["took_s"],
            "completed_s": time.monotonic() - began,
            "batches": done["batches"],
        }

    async def _tell(self) -> dict[str, Any]:
        cpu_s = self._cpu_s()
        done, api = await self._asking(*self._paths, what=self._do("tell", rounds=TELLS.get(self._size, 1)))
        per_s = done["batches"] / done["took_s"]
        return done | {"batches_per_s": per_s, "cpu_s": self._cpu_s() - cpu_s, "api": api}

    async def _restart(self) -> dict[str, Any]:
        """All managers end and are started again; until everybody was heard since."""
        for one in self._managers:
            one.stop()
        at, began = datetime.now(UTC), time.monotonic()
        for one in self._managers:
            one.start()
        for one in self._managers:
            await one.ready()
        ready_s = time.monotonic() - began
        heard = select(func.count()).select_from(schema.agents).where(schema.agents.c.last_seen_at >= at)
        half_s, count = 0.0, 0
        while count < self._size:
            await asyncio.sleep(0.25)
            async with self._db.read() as conn:
                count = (await conn.execute(heard)).scalar_one()
            if count >= self._size / 2:
                half_s = half_s or time.monotonic() - began
        return {"ready_s": ready_s, "half_s": half_s, "all_s": time.monotonic() - began}

    async def _checked(self) -> dict[str, Any]:
        async with self._db.read() as conn:
            ids = (await conn.execute(select(schema.assignments.c.id))).scalars().all()
            known = (
                await conn.execute(
                    select(func.count()).select_from(schema.targets).where(schema.targets.c.digest == RELEASE)
                )
            ).scalar_one()
        given = self._folder / "given"
        given.write_text("\n".join(ids), encoding="ascii")
        done = await self._do("check", given=str(given))
        faults = done.pop("faults") + ([f"only {known} run the release"] if known < self._size else [])
        for one in faults[:20]:
            print(one, file=sys.stderr)
        return {"faults": len(faults), "agents": done}

    # asking

    @property
    def _paths(self) -> tuple[str, ...]:
        return "/status", "/rollouts/1", "/targets?limit=50"

    async def _asking(self, *paths: str, what: Awaitable[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        asking = Asking(self._managers[0].url, self._person, paths)
        async with asking.meanwhile():
            done = await what
        return done, asking.summary()

    async def _do(self, what: str, **words: Any) -> dict[str, Any]:
        self._send(do=what, **words)
        assert self._agents is not None
        assert self._agents.stdout is not None
        line = await self._agents.stdout.readline()
        if not line:
            raise RuntimeError("the agents' process has ended: " + self._managers[0].said())
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _send(self, **words: Any) -> None:
        assert self._agents is not None
        assert self._agents.stdin is not None
        self._agents.stdin.write(json.dumps(words).encode() + b"\n")

    def _rss_mib(self, field: str = "VmRSS") -> float:
        return sum(program.memory_mib(pid, field) for pid in self._pids())

    def _cpu_s(self) -> float:
        return sum(program.cpu_s(pid) for pid in self._pids())

    def _pids(self) -> list[int]:
        """Each manager is two processes."""
        return [pid for one in self._managers for pid in (one.pid, *program.children(one.pid))]


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return round(value, 3) if isinstance(value, float) else value
