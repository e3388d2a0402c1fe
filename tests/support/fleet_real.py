"""The real manager with simulated agents, arranged as the one in memory is."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import func, insert, select, update
from tests.support import databases, loops
from tests.support.fleet_state import QUICK, digest_of, now
from tests.support.manager import Manager, serving
from tests.support.simulated_agents import Say, SimulatedAgent
from tests.support.simulated_agents import World as Agents
from tests.support.waiting import wait_for

from tidegate.domain.assignment import Assignment
from tidegate.domain.reference import parse_reference
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.agents.enrolment import make_enrolment
from tidegate.manager.people.audit import Actor
from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import make_token
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import alerts, feed, releases, targets
from tidegate.protocol.events import Health, Inventory, InventoryTarget, LastScan, Running, Sighting

T = TypeVar("T")
_SETTLED = {"completed", "failed", "rolled_back", "cancelled", "superseded", "paused", "awaiting_approval"}
_MOVING = ("offered", "updating", "busy")


class FleetAgent(SimulatedAgent):
    """An agent with several targets, each of which follows a channel; it does nothing while it is silent."""

    def __init__(self, world: Agents, name: str, token: str, follows: Mapping[str, str], talks: asyncio.Event) -> None:
        super().__init__(world, name, token)
        self.follows = dict(follows)
        self.runs = {}
        self.held = set[str]()
        self.updater: LastScan | None = None
        self._talks = talks

    def inventory(self) -> Inventory:
        targets = tuple(self._target(name, digest) for name, digest in self.runs.items())
        return Inventory(now(), targets, self.updater)

    def _target(self, name: str, digest: str) -> InventoryTarget:
        reference = parse_reference(self.follows[name])
        return InventoryTarget(
            target=name,
            image=reference.familiar,
            repository=reference.name,
            tag=reference.tag,
            digest=digest,
            state=Running.RUNNING,
            health=Health.HEALTHY,
            platform="linux/amd64",
            strategy="start-first",
            held=name in self.held,
        )

    async def _carry_out(self, it: Assignment) -> None:
        await self._talks.wait()
        await super()._carry_out(it)


class RealWorld:
    """A `World` of the real manager; a context manager is `real_world`."""

    def __init__(self, manager: Manager, loop: asyncio.AbstractEventLoop) -> None:
        self._manager = manager
        self._loop = loop
        self._talks = self._run(_event())
        self._bad: dict[str, str] = {}
        address = urllib.parse.urlsplit(manager.url)
        self._agents = self._run(self._world(address.hostname or "", address.port or 0))
        self._tasks: list[asyncio.Task[None]] = []
        self._known: dict[str, FleetAgent] = {}
        self._admin = self.token("admin", "arranger")

    @property
    def url(self) -> str:
        return self._manager.url

    def token(self, role: str, user: str = "ann") -> str:
        return self._write(lambda conn: make_token(conn, user, Role(role), now(), by="test"))[1]

    def host(self, agent: str, targets: Mapping[str, tuple[str, str]], labels: Mapping[str, str] | None = None) -> None:
        made = self._write(lambda conn: make_enrolment(conn, Actor("ann", "test"), now(), name=agent, labels=labels))
        follows = {name: channel for name, (channel, _) in targets.items()}
        one = FleetAgent(self._agents, agent, made.token, follows, self._talks)
        one.runs = {name: self.digest(channel, version) for name, (channel, version) in targets.items()}
        self._known[agent] = one
        self._tasks.append(self._run(_started(one)))
        wait_for(lambda: len(self._items("targets", f"@{agent}/")) == len(targets), f"the targets of {agent}")
        for channel, version in targets.values():
            self.policy(channel)
            self.release(channel, version)

    def release(self, channel: str, version: str) -> str:
        digest, reference = self.digest(channel, version), parse_reference(channel)
        agent = next(one for one in self._known.values() if channel in one.follows.values())
        self._run(_told(agent, Sighting(now(), reference.name, reference.tag or "latest", digest)))
        self._name_release(channel, version)
        return digest

    def digest(self, channel: str, version: str) -> str:
        return digest_of(channel, version)

    def bad(self, digest: str, why: str) -> None:
        self._bad[digest] = why

    def policy(self, channel: str, **settings: Any) -> None:
        id_ = self._channel(channel)
        etag = self._ask("GET", f"policies/{id_}")[1]
        self._ask("PUT", f"policies/{id_}", QUICK | settings, etag)

    def monitor(self, target: str) -> None:
        project, agent, service = re.split("[@/]", target)
        self._run(_held(self._known[agent], f"{project}/{service}"))
        wait_for(lambda: any(one["held"] for one in self._items("targets", target)), f"{target} to be monitored only")

    def all_told(self) -> None:
        """Wait until the feed has told that every agent is there: nothing more comes by itself."""
        there = select(func.count()).where(feed.c.kind == "agent.online")
        wait_for(
            lambda: self._write(lambda conn: conn.scalar(there)) == len(self._known), "every agent's coming is told"
        )

    def sicken(self, target: str) -> None:
        """As if its agent had told that its health check fails, which is no event of the feed."""
        sick = update(targets).where(targets.c.name == target).values(health="unhealthy")
        self._write(lambda conn: conn.execute(sick))

    def watchtower(self, agent: str, counts: Mapping[str, int]) -> None:
        self._run(_counted(self._known[agent], LastScan(**counts)))
        wait_for(lambda: any(one["updater"] for one in self._items("clusters", f"@{agent}")), "its counts to be known")

    def silence(self) -> None:
        self._loop.call_soon_threadsafe(self._talks.clear)

    def answer(self) -> None:
        self._loop.call_soon_threadsafe(self._talks.set)

    def alert(self) -> None:
        about = {"rule": "drift", "subject": "target shop@berlin1/web", "severity": "warning", "text": "look"}
        self._write(lambda conn: conn.execute(insert(alerts).values(**about, opened_at=now(), data={})))

    def settle(self) -> None:
        """Wait until no rollout goes on by itself."""
        wait_for(lambda: all(map(self._is_still, self._items("rollouts", ""))), "rollouts that move no more")

    def close(self) -> None:
        """End the agents; none was told what no manager may tell. Who was cut off is told so."""
        self._run(_ended(self._tasks))
        faults = [fault for fault in self._agents.record.faults if "revoked" not in fault]
        assert not faults, faults

    def _is_still(self, rollout: dict[str, Any]) -> bool:
        counts = rollout["counts"]
        if rollout["state"] in _SETTLED:
            return True
        offered = any(counts.get(one) for one in _MOVING)
        soaks = rollout["state"] == "running" and bool(rollout["passed_at"])
        return soaks or (offered and not self._talks.is_set())

    def _script(self, agent: str, it: Assignment) -> Sequence[Say]:
        del agent
        why = "" if it.back else self._bad.get(it.digest, "")
        outcome = Outcome.FAILED if why else Outcome.HEALTHY
        return Say(0, Outcome.BEGUN), Say(0, outcome, why, blame=bool(why))

    async def _world(self, host: str, port: int) -> Agents:
        return Agents([(host, port)], script=self._script)

    def _name_release(self, channel: str, version: str) -> None:
        """As if its image had been read: there is no registry here."""
        id_, digest = self._channel(channel), self.digest(channel, version)
        wait_for(lambda: self._items(f"releases?channel={id_}&digest={digest}", ""), f"release {version}")
        mine = (releases.c.channel_id == id_) & (releases.c.digest == digest)
        named = update(releases).where(mine).values(version=version, read_at=now(), read_again_at=None)
        self._write(lambda conn: conn.execute(named))

    def _channel(self, name: str) -> int:
        quoted = urllib.parse.quote(name, safe="")
        return int(wait_for(lambda: self._items(f"channels?name={quoted}", ""), f"channel {name}")[0]["id"])

    def _items(self, path: str, part: str) -> list[dict[str, Any]]:
        more = "&" if "?" in path else "?"
        items: list[dict[str, Any]] = self._ask("GET", f"{path}{more}limit=500")[0]["items"]
        return [one for one in items if part in str(one.get("name", part))]

    def _ask(self, method: str, path: str, body: Any = None, etag: str = "") -> tuple[Any, str]:
        headers = {"Authorization": f"Bearer {self._admin}", "Content-Type": "application/json", "If-Match": etag}
        data = None if body is None else json.dumps(body).encode()
        sent = {name: value for name, value in headers.items() if value}
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data, sent, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read()), answer.headers.get("ETag", "")

    def _write(self, what: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        async def work() -> T:
            db = Database.at(self._manager.database_url)
            try:
                async with db.write() as conn:
                    return await what(conn)
            finally:
                await db.close()

        return self._run(work())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)


@contextmanager
def real_world(template: Path, folder: Path) -> Iterator[RealWorld]:
    """A manager on a database of its own, whose registries are asked for nothing; agents in a thread of their own."""
    # It logs to the output, which is the command's here.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        with serving(databases.sqlite_copy(template, folder), folder, TIDEGATE_POLL_INTERVAL="24h") as manager:
            world = RealWorld(manager, loop)
            try:
                yield world
            finally:
                world.close()
    finally:
        loops.end(loop, thread)
        structlog.reset_defaults()


async def _event() -> asyncio.Event:
    one = asyncio.Event()
    one.set()
    return one


async def _started(agent: FleetAgent) -> asyncio.Task[None]:
    return asyncio.create_task(agent.run())


async def _told(agent: FleetAgent, event: Sighting) -> None:
    agent.tell(event)


async def _held(agent: FleetAgent, target: str) -> None:
    agent.held.add(target)
    agent.tell(agent.inventory())


async def _counted(agent: FleetAgent, updater: LastScan) -> None:
    agent.updater = updater
    agent.tell(agent.inventory())


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
