"""The real manager on the test's own event loop, told from within what people and its planner would tell it.

Of its background work only that of the agent link is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from tests.support.loops import accept_no_more

from tidegate.domain.assignment import Assignment
from tidegate.manager.agents import outbox, revocation
from tidegate.manager.agents.enrolment import make_enrolment
from tidegate.manager.agents.keys import read_keys, rotate
from tidegate.manager.agents.link import AgentLink
from tidegate.manager.agents.newest_key import claim
from tidegate.manager.parts import Parts, make_parts
from tidegate.manager.people.audit import Actor
from tidegate.manager.serve import listening, run
from tidegate.manager.settings import load_manager_settings
from tidegate.manager.store.migrate import migrate
from tidegate.manager.store.schema import agents, releases, targets
from tidegate.protocol.signed import Withdraw

REPOSITORY = "docker.io/library/web"
ANN = Actor("ann", "192.0.2.1")


class RealManager:
    """One process of the manager. `url` stays the same when it is started again."""

    def __init__(self, folder: Path, database_url: str, **environ: str) -> None:
        given = {"TIDEGATE_DATA": str(folder), "TIDEGATE_DATABASE_URL": database_url, "TIDEGATE_RATE_ADDRESS": "9999/s"}
        self.settings = load_manager_settings(given | {"TIDEGATE_SHUTDOWN": "1s"} | environ)
        self.port = 0
        self._parts: Parts | None = None
        self._task: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def parts(self) -> Parts:
        """What it is made of; others after each start."""
        assert self._parts is not None
        return self._parts

    @property
    def link(self) -> AgentLink:
        """Its side of the agent link."""
        return self.parts.one(AgentLink)

    async def start(self) -> None:
        """Answer, at the same port as before."""
        self._parts = make_parts(self.settings)
        await migrate(self._parts.db)
        async with self._parts.db.write() as conn:
            await claim(conn, self.settings.signing_key_file, self._parts.clock())
        stack = contextlib.ExitStack()
        sock = stack.enter_context(listening("127.0.0.1", self.port))
        self.port, self._socket = sock.getsockname()[1], sock
        self._task = asyncio.create_task(run(self._parts, sock, work=[self.link]))
        self._task.add_done_callback(lambda _: stack.close())

    async def stop(self) -> None:
        """End as it is told to."""
        if self._task is not None and self._socket is not None:
            await accept_no_more(self._socket)
            self.parts.stopping.set()
            await self._task
            await self.parts.db.close()
            self._task = None

    async def restart(self) -> None:
        """End as by SIGKILL, and answer again at the same address with what was on disk."""
        for memory in (self.link._heard, self.link._have, self.link._news):
            memory.clear()
        await self.stop()
        await self.start()

    async def token(self, name: str = "", *, expires_in: timedelta = timedelta(hours=1), **labels: str) -> str:
        """A new token to enrol one agent with."""
        async with self.parts.db.write() as conn:
            made = await make_enrolment(conn, ANN, self.parts.clock(), name=name, labels=labels, lasts=expires_in)
        return made.token

    async def assign(self, agent: str, target: str, digest: str, **more: Any) -> str:
        """Put an assignment into the outbox of an agent; no rollout is behind it."""
        now = self.parts.clock()
        values: dict[str, Any] = {"id": uuid4().hex, "repository": REPOSITORY, "generation": 1, "issued_at": now}
        values |= {"expires_at": now + timedelta(minutes=10)} | more
        it = Assignment(agent=agent, target=target, digest=digest, **values)
        async with self.parts.db.write() as conn:
            await outbox.send(conn, self.link.keys(), [(agent, it)])
        return it.id

    async def withdraw(self, agent: str, target: str, generation: int = 1) -> None:
        """Take an assignment back."""
        it = Withdraw(agent, target, generation, self.parts.clock())
        async with self.parts.db.write() as conn:
            await outbox.send(conn, self.link.keys(), [(agent, it)])

    async def pin(self, agent: str) -> None:
        """Have a new key from now on, and tell every agent, so that one too."""
        del agent
        rotate(self.settings.signing_key_file)
        async with self.parts.db.write() as conn:
            await outbox.send_pins(conn, read_keys(self.settings.signing_key_file), self.parts.clock())

    async def revoke(self, agent: str) -> None:
        """Cut the agent off."""
        async with self.parts.db.write() as conn:
            await revocation.revoke(conn, agent, ANN, self.parts.clock())

    async def applied(self, agent: str) -> list[dict[str, Any]]:
        """What has come of the events of an agent: what it has sighted, and the targets that it has told of."""
        async with self.parts.db.read() as conn:
            name = (await conn.execute(select(agents.c.name).where(agents.c.id == agent))).scalar_one()
            seen = select(releases.c.digest).where(releases.c.told_by == f"agent {name}").order_by(releases.c.id)
            found = [{"kind": "sighting", "digest": one} for one in (await conn.execute(seen)).scalars()]
            told = (await conn.execute(select(targets.c.name))).scalars()
            return found + [{"kind": "inventory", "target": one} for one in told if f"@{name}/" in one]


@contextlib.asynccontextmanager
async def real_manager(folder: Path, database_url: str = "", **environ: str) -> AsyncIterator[RealManager]:
    """A manager that answers for as long as the block lasts, on SQLite if no database is named."""
    manager = RealManager(folder, database_url or f"sqlite:///{folder / 'tidegate.db'}", **environ)
    await manager.start()
    try:
        yield manager
    finally:
        await manager.stop()
