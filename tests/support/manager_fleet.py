"""A fleet in a manager's database: agents, clusters and targets, and what is sent to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.assignment import Assignment
from tidegate.domain.rollout import Rollout
from tidegate.domain.rollout_apply import Outcome
from tidegate.manager.agents.batches import Batch, Intake
from tidegate.manager.agents.known import Agent
from tidegate.manager.agents.new_names import NewNames
from tidegate.manager.agents.told import Told, take_in_told
from tidegate.manager.agents.wakes import wake
from tidegate.manager.people.audit import Actor
from tidegate.manager.rollouts.create import Wish, create
from tidegate.manager.rollouts.effects import Effects
from tidegate.manager.rollouts.planner import Planner
from tidegate.manager.rollouts.rows import load
from tidegate.manager.rollouts.step import Steps
from tidegate.manager.rollouts.verbs import Order, carry_out
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.protocol.events import Event, Health, Inventory, InventoryTarget, Report, Running
from tidegate.protocol.messages import EventsRequest
from tidegate.protocol.signed import Withdraw
from tidegate.protocol.version import PROTOCOL

T0 = datetime(2026, 11, 25, 12, tzinfo=UTC)
_NEVER = T0 + timedelta(days=3650)
OLD, NEW, NEWER = (f"sha256:{digit * 64}" for digit in "123")
ANN, BOB = Actor("ann", "192.0.2.1"), Actor("bob", "192.0.2.2")


class Sent:
    """Keeps what is sent, as agents would get it; `fail` has the next sending fail."""

    def __init__(self) -> None:
        self.documents: list[Assignment | Withdraw] = []
        self.fail: Exception | None = None

    async def send(self, conn: AsyncConnection, documents: Sequence[tuple[str, Assignment | Withdraw]]) -> None:
        del conn
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error
        self.documents += [document for _, document in documents]


class ManagerFleet:
    """Agents named `host0`, `host1`, ..., each with a cluster `shop@hostN` and a target `shop@hostN/web`."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.now = T0
        self.sent = Sent()
        self.steps = Steps(db, Effects(self.sent), lambda: self.now)
        self.planner = Planner(db, lambda: self.now)
        self.channel = 0
        self.targets: dict[str, int] = {}
        self._heard_of: set[int] = set()

    async def settle(self, hosts: int, *, policy: Mapping[str, Any] | None = None, digest: str = OLD) -> ManagerFleet:
        """Have so many hosts, all on one channel and running `digest`."""
        async with self.db.write() as conn:
            channel = {"name": "r/app:1", "repository": "r/app", "tag": "1", "policy": dict(policy or {})}
            at = {"created_at": T0, "plan_at": _NEVER}  # a manager that runs beside the test plans nothing by itself
            row = insert(schema.channels).values(channel | at).returning(schema.channels.c.id)
            self.channel = (await conn.execute(row)).scalar_one()
        for number in range(hosts):
            await self.join(f"host{number}", digest=digest)
        return self

    async def join(
        self, name: str, *, digest: str = OLD, labels: Mapping[str, str] | None = None, since: datetime = T0
    ) -> str:
        """One host more, which runs this since then; the name of its target."""
        target = f"shop@{name}/web"
        async with self.db.write() as conn:
            agent = {
                "id": name,
                "name": name,
                "public_key": name,
                "enrolled_at": T0,
                "last_seen_at": self.now,
                "online": True,
            }
            await conn.execute(insert(schema.agents).values(agent))
            cluster = {"name": f"shop@{name}", "project": "shop", "agent_id": name, "labels": dict(labels or {})}
            row = insert(schema.clusters).values(cluster | {"created_at": T0}).returning(schema.clusters.c.id)
            cluster_id = (await conn.execute(row)).scalar_one()
            values = {"name": target, "cluster_id": cluster_id, "service": "web", "channel_id": self.channel}
            values |= {"repository": "r/app", "tag": "1", "digest": digest, "seen_at": T0}
            row = insert(schema.targets).values(values).returning(schema.targets.c.id)
            self.targets[target] = (await conn.execute(row)).scalar_one()
            ran = {"target_id": self.targets[target], "digest": digest, "since": since}
            await conn.execute(insert(schema.runs).values(ran))
        return target

    async def start(self, digest: str = NEW, *, by: Actor = ANN, **wish: Any) -> int:
        """Make a rollout, and decide it once."""
        async with self.db.write() as conn:
            made = await create(conn, Wish(self.channel, digest, **wish), by, self.now)
            await self._is_ours(conn, int(made.id))
        await self._take(int(made.id))
        return int(made.id)

    async def release(self, digest: str = NEW) -> None:
        """Have a release seen on the channel now."""
        async with self.db.write() as conn:
            values = {"channel_id": self.channel, "digest": digest, "seen_at": self.now, "named_at": self.now}
            await conn.execute(insert(schema.releases).values(values))

    async def go(self, later: timedelta = timedelta()) -> None:
        """Let time pass with every agent heard from, and decide everything that is due."""
        self.now += later
        async with self.db.write() as conn:
            await conn.execute(update(schema.agents).values(last_seen_at=self.now, online=True))
        await self.decide()

    async def decide(self) -> None:
        """Decide until nothing is due."""
        for _ in range(20):
            async with self.db.read() as conn:
                due = select(schema.rollouts.c.id).where(schema.rollouts.c.wake_at <= self.now)
                ids = {*(await conn.execute(due)).scalars(), *self._heard_of}
            self._heard_of.clear()
            if not ids:
                return
            for id_ in sorted(ids):
                await self.steps.take(id_)
        raise AssertionError("something is due for ever")

    async def _is_ours(self, conn: AsyncConnection, id_: int) -> None:
        """A manager that runs on the same database would decide it too, and send what is looked for here."""
        mine = update(schema.rollouts).where(schema.rollouts.c.id == id_)
        await conn.execute(mine.values(wake_at=self.now + timedelta(hours=1)))

    async def _take(self, id_: int) -> None:
        """Decide it; what fails is still to be decided."""
        self._heard_of.add(id_)
        await self.steps.take(id_)
        self._heard_of.discard(id_)

    def offered(self) -> list[Assignment]:
        """The assignments that were sent since this was asked last; what else was sent is forgotten."""
        sent, self.sent.documents = self.sent.documents, []
        return [one for one in sent if isinstance(one, Assignment)]

    async def report(self, it: Assignment, outcome: Outcome, *, reason: str = "", blame: bool = False) -> None:
        """Have an agent tell of an assignment."""
        async with self.db.write() as conn:
            target = self.targets[f"shop@{it.agent}/web"]
            values = {"rollout_id": int(it.rollout), "target_id": target, "generation": it.generation}
            said = {"outcome": str(outcome), "reason": reason, "blame": blame, "at": self.now}
            await conn.execute(insert(schema.reports).values(values | said))
            await self._is_ours(conn, int(it.rollout))
        self._heard_of.add(int(it.rollout))

    async def all(self, outcome: Outcome, *, reason: str = "", blame: bool = False) -> list[str]:
        """Have everybody who was offered something say this of it; their names, and what follows is decided."""
        offers = self.offered()
        for one in offers:
            await self.report(one, outcome, reason=reason, blame=blame)
        await self.go()
        return sorted(one.agent for one in offers)

    async def order(self, id_: int, verb: str, by: Actor = BOB, **more: Any) -> None:
        """Have a person do something to a rollout, and decide it."""
        async with self.db.write() as conn:
            await carry_out(conn, id_, Order(verb, by, **more), self.now)
            await self._is_ours(conn, id_)
        await self._take(id_)

    async def rollout(self, id_: int) -> Rollout:
        """A rollout as it is."""
        async with self.db.read() as conn:
            loaded = await load(conn, id_)
        assert loaded is not None
        return loaded.rollout

    async def state(self, id_: int) -> str:
        """Its state."""
        return str((await self.rollout(id_)).state)

    async def count(self, table: Any, *where: Any) -> int:
        """How many rows there are."""
        async with self.db.read() as conn:
            return (await conn.execute(select(func.count()).select_from(table).where(*where))).scalar_one()

    async def running(self) -> dict[str, str]:
        """By host, the digest that is known to run."""
        async with self.db.read() as conn:
            rows = await conn.execute(select(schema.targets.c.name, schema.targets.c.digest))
            return {name.split("@")[1].split("/")[0]: digest for name, digest in rows}


async def tell(fleet: ManagerFleet, *its: Assignment, outcome: Outcome) -> None:
    """Have agents tell of assignments together, as it is taken in from the wire."""
    told = [
        Told(
            Agent(it.agent, it.agent, it.agent, 0),
            Report(fleet.now, it.id, it.rollout, it.target, it.generation, it.digest, outcome, ""),
        )
        for it in its
    ]
    async with fleet.db.write() as conn:
        _, rollouts = await take_in_told(conn, told, fleet.now)
        await wake(conn, rollouts, fleet.now)
    await fleet.go()


async def stock(
    fleet: ManagerFleet, host: str, image: str, digest: str, *, agent: str = "", project: str = "shop"
) -> None:
    """Have a host tell that its target runs this digest, made from `REPOSITORY:TAG` or `REPOSITORY@DIGEST`.

    `agent` is the id of its agent, where that is not the host's name.
    """
    await hear(fleet, host, Inventory(fleet.now, (made_from(image, digest, project=project),)), agent=agent)


def made_from(image: str, digest: str, *, project: str = "shop") -> InventoryTarget:
    """What a host tells of its target, which is made from `REPOSITORY:TAG` or `REPOSITORY@DIGEST`."""
    repository, _, tag = image.partition(":") if "@" not in image else (image.partition("@")[0], "", "")
    return InventoryTarget(f"{project}/web", image, repository, tag or None, digest, Running.RUNNING, Health.HEALTHY)


async def hear(fleet: ManagerFleet, host: str, *events: Event, agent: str = "") -> None:
    """Have a host tell these together, as it is taken in from the wire, and decide what follows."""
    request = EventsRequest(PROTOCOL, uuid4().hex, 1, events)
    heard = set[int]()
    [done] = await Intake(fleet.db, lambda: fleet.now, _no_sighting, heard.update, NewNames(2000))(
        [Batch(Agent(agent or host, host, host, PROTOCOL), request)]
    )
    assert done == len(events), done
    async with fleet.db.write() as conn:
        await wake(conn, heard, fleet.now)
    await fleet.decide()


async def _no_sighting(*_: object) -> None:
    raise AssertionError("nothing was sighted")
