"""A fleet to take pictures of: written straight into a manager's database, so that every state is there at once."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert

from tidegate.manager.people.audit import Act, Actor, record_all
from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import make_token
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.store.migrate import migrate

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

PLACES = ("berlin", "paris", "tokyo", "lima", "oslo", "cairo", "delhi", "quito")
CHANNELS = ("ghcr.io/acme/orchestrator:autonomy-latest", "ghcr.io/acme/worker:stable")
VERSIONS = {"a": "2.3.0", "b": "2.4.0", "c": "2.4.1"}
SERVICES = (("orchestrator", 1), ("worker", 2), ("db", None))
POLICY = {"mode": "approval", "waves": ["1", "25%", "100%"], "approvals": 1}
_CANARY = {"berlin1", "paris2"}
_OFFLINE_EVERY = 17
_LONG_AGO = timedelta(hours=2)


def digest(letter: str) -> str:
    """A digest that is easily told from others."""
    return f"sha256:{letter * 64}"


class Painter:
    """Writes the fleet, of so many clusters; always the same one, as of now."""

    def __init__(self, conn: AsyncConnection, clusters: int) -> None:
        self._conn = conn
        self._clusters = clusters
        self._now = datetime.now(UTC)
        self._chance = random.Random(1)
        self._targets: dict[int, list[tuple[int, str, str]]] = {1: [], 2: []}
        """By channels, the targets: id, name, agent."""

    async def paint(self) -> str:
        """All of it; an administrator's token."""
        await self._channels()
        for at in range(1, self._clusters + 1):
            await self._cluster(at)
        await self._rollouts()
        await self._more()
        return (await make_token(self._conn, "anna", Role.ADMIN, self._now, by="pictures"))[1]

    async def _add(self, table: Any, *rows: dict[str, Any]) -> None:
        await self._conn.execute(insert(table), list(rows))

    async def _channels(self) -> None:
        for number, name in enumerate(CHANNELS, 1):
            repository, _, tag = name.partition(":")
            about = {"id": number, "name": name, "repository": repository, "tag": tag, "policy": POLICY}
            await self._add(schema.channels, about | {"created_at": self._now})
            for at, (letter, version) in enumerate(VERSIONS.items()):
                seen = self._now - timedelta(days=9 - 3 * at)
                config = {"Env": [f"VERSION={version}", "LANG=C"], "User": "app" if letter != "c" else ""}
                await self._add(
                    schema.releases,
                    {
                        "channel_id": number,
                        "digest": digest(letter),
                        "seen_at": seen,
                        "named_at": seen,
                        "read_at": seen,
                        "version": version,
                        "configs": {"linux/amd64": config},
                        "labels": {},
                        "told_by": "poll",
                        "size": 41_000_000 + 700_000 * at,
                    },
                )

    async def _cluster(self, at: int) -> None:
        agent = f"{PLACES[(at - 1) % len(PLACES)]}{at}"
        silent = at % _OFFLINE_EVERY == 0
        seen = self._now - _LONG_AGO if silent else self._now + timedelta(hours=3)
        about = {"id": f"a{at}", "name": agent, "public_key": f"k{at}", "enrolled_at": self._now - timedelta(days=30)}
        await self._add(schema.agents, about | {"last_seen_at": seen, "online": not silent, "version": "0.1.0"})
        labels = {"ring": "canary" if agent in _CANARY else "prod", "region": "eu" if at % 3 else "us"}
        cluster = {"id": at, "name": f"vtuber@{agent}", "project": "vtuber", "agent_id": f"a{at}", "labels": labels}
        await self._add(schema.clusters, cluster | {"created_at": self._now})
        for service, channel in SERVICES:
            await self._target(at, agent, service, channel)

    async def _target(self, cluster: int, agent: str, service: str, channel: int | None) -> None:
        name = f"vtuber@{agent}/{service}"
        number = 10 * cluster + [known for known, _ in SERVICES].index(service)
        (letter,) = self._chance.choices("abc", [1, 3, 12])
        held = self._chance.random() < 0.02  # noqa: PLR2004
        health = "unhealthy" if self._chance.random() < 0.006 else "healthy"  # noqa: PLR2004
        names = [f"vtuber-{service}-{index}" for index in ((1, 2) if service == "orchestrator" else (1,))]
        member = {"state": "running", "health": health, "digest": digest(letter)}
        values = {
            "id": number,
            "name": name,
            "cluster_id": cluster,
            "service": service,
            "channel_id": channel,
            "image": CHANNELS[channel - 1] if channel else "docker.io/library/postgres@sha256:...",
            "digest": digest(letter),
            "seen_at": self._now,
            "digest_since": self._now - timedelta(days=3),
            "health": health,
            "state": "running",
            "containers": len(names),
            "members": [{"name": name, **member} for name in names],
            "platform": "linux/amd64",
            "strategy": "start-first",
            "held": held,
            "reason": "held by hand: migration" if held else "",
        }
        await self._add(schema.targets, values)
        if channel is not None:
            self._targets[channel].append((number, name, f"a{cluster}"))
            await self._ran(number, letter)

    async def _ran(self, target: int, letter: str) -> None:
        for at, digit in enumerate(VERSIONS):
            since = self._now - timedelta(days=9 - 3 * at)
            if digit <= letter:
                await self._add(schema.runs, {"target_id": target, "digest": digest(digit), "since": since})

    async def _rollouts(self) -> None:
        hour, day = timedelta(hours=1), timedelta(days=1)
        await self._rollout(1, 2, "b", "completed", 9 * day)
        await self._rollout(2, 1, "b", "rolled_back", 2 * day, "1 of 1 targets of wave 1 failed, more than 0")
        await self._rollout(3, 1, "c", "awaiting_approval", 5 * hour)
        await self._rollout(4, 2, "c", "running", hour)

    async def _rollout(  # noqa: PLR0917 - a row of a table
        self, number: int, channel: int, letter: str, state: str, before: timedelta, reason: str = ""
    ) -> None:
        began = self._now - before
        ended = state in {"completed", "rolled_back"}
        about = {
            "id": number,
            "channel_id": channel,
            "digest": digest(letter),
            "kind": "update",
            "state": state,
            "reason": reason,
            "requested_by": "tidegate",
            "created_at": began,
            "begun_at": None if state == "awaiting_approval" else began,
            "ended_at": began + timedelta(hours=1) if ended else None,
            "wave": 1 if state == "running" else 0,
            "waves": 3,
            "whole": True,
            "policy": POLICY,
            "counts": {},
        }
        await self._add(schema.rollouts, about)
        some = self._targets[channel]
        for position, target in enumerate(some):
            wave = 0 if position == 0 else 1 if position <= len(some) // 4 else 2
            await self._part(number, letter, state, began, position, wave, target)

    async def _part(  # noqa: PLR0917 - where one target stands
        self,
        rollout: int,
        letter: str,
        state: str,
        began: datetime,
        position: int,
        wave: int,
        target: tuple[int, str, str],
    ) -> None:
        number, name, agent = target
        progress = self._progress(state, wave, position)
        under_way = progress in {"updating", "offered", "busy"}
        told = began + timedelta(minutes=position, seconds=40)
        about = {
            "rollout_id": rollout,
            "target_id": number,
            "target": name,
            "position": position,
            "wave": wave,
            "before": digest("a"),
            "progress": progress,
            "since": told,
            "reason": "exited with code 3 within its bake time" if progress == "failed" else "",
            "deadline": self._now + timedelta(minutes=7) if under_way else None,
            "generation": rollout,
        }
        await self._add(schema.rollout_targets, about)
        if progress == "waiting":
            return
        outcome = {"healthy": "healthy", "failed": "failed", "went_back": "failed"}.get(progress, "")
        id_, took_s = f"as{rollout}-{number}", self._chance.uniform(12, 70) if outcome else None
        await self._add(
            schema.assignments,
            {
                "id": id_,
                "agent_id": agent,
                "target_id": number,
                "rollout_id": rollout,
                "digest": digest(letter),
                "generation": rollout,
                "issued_at": began + timedelta(minutes=position),
                "expires_at": began + timedelta(days=30),
                "open": under_way,
                "outcome": outcome,
                "told_at": told if outcome else None,
                "duration_s": took_s,
            },
        )
        if took_s is not None:
            shares = {
                "create": 0.02,
                "start": 0.01,
                "prove": 0.3,
                "join": 0.01,
                "drain": 0.1,
                "stop": 0.04,
                "bake": 0.5,
            }
            steps = [{"step": step, "took_s": round(share * took_s, 2)} for step, share in shares.items()]
            settled = [{"step": "settle", "took_s": 1.2}] if outcome == "failed" else []
            course = [one | {"container": "", "back": False} for one in [*steps, *settled]]
            await self._add(schema.courses, {"assignment_id": id_, "steps": course})

    def _progress(self, state: str, wave: int, position: int) -> str:
        match state:
            case "completed":
                return "healthy"
            case "rolled_back" if wave == 0:
                return "went_back"
            case "running" if wave == 0:
                return "healthy"
            case "running" if wave == 1:
                odd = ("updating", "failed", "busy", "offered")[position // 4 % 4]
                return odd if position % 4 == 0 else "healthy"
            case _:
                return "waiting"

    async def _more(self) -> None:
        now, day = self._now, timedelta(days=1)
        why = {"reason": "1 of 1 targets of wave 1 failed", "by": "tidegate", "at": now - 2 * day}
        await self._add(schema.quarantine, {"digest": digest("b"), "channel_id": 1, "rollout_id": 2, **why})
        await self._alerts()
        await self._acts()
        night = {"name": "nights", "window": "0 1 * * * 4h Europe/Berlin", "created_by": "anna", "created_at": now}
        await self._add(schema.windows, night | {"scope": {"labels": {"region": "eu"}}})
        fair = {"name": "fair", "starts_at": now + 4 * day, "ends_at": now + 7 * day, "reason": "the fair in Tokyo"}
        await self._add(schema.freezes, fair | {"scope": {}, "created_by": "anna", "created_at": now})

    async def _alerts(self) -> None:
        hour = timedelta(hours=1)
        about = {"rule": "drift", "severity": "warning", "data": {}, "opened_at": self._now - 5 * hour}
        told = "vtuber@paris2/worker runs what nobody has put there since 03:10 UTC. See `tidegate targets --drifted`."
        seen = {"acknowledged_at": self._now - 4 * hour, "acknowledged_by": "bob"}
        await self._add(schema.alerts, about | seen | {"subject": "vtuber@paris2/worker", "text": told})
        over = {
            "closed_at": self._now - 20 * hour,
            "close_reason": "it answers again",
            "opened_at": self._now - 24 * hour,
        }
        told = f"The registry did not answer for {CHANNELS[1]} five times in a row."
        about |= over | {"rule": "channel_unreachable", "subject": f"channel {CHANNELS[1]}", "text": told}
        await self._add(schema.alerts, about)

    async def _acts(self) -> None:
        anna, bob, hour = Actor("anna", "192.0.2.4"), Actor("bob", "198.51.100.9"), timedelta(hours=1)
        old = {"mode": "automatic", "waves": ["1", "100%"], "soak": "5m"}
        labels = {"name": "berlin1", "labels": {"ring": "canary", "region": "eu"}}
        acts = (
            (720, Act(Actor("agent berlin1", "203.0.113.7"), "agent.enrol", "agent berlin1", None, labels)),
            (49, Act(anna, "policy.update", "channel 1", old, old | POLICY)),
            (47, Act(bob, "rollout.approve", "rollout 2", {"approvals": 0}, {"approvals": 1})),
            (4, Act(bob, "alert.acknowledge", "alert 1", {"acknowledged_by": ""}, {"acknowledged_by": "bob"})),
        )
        for hours, act in acts:
            await record_all(self._conn, [act], self._now - hours * hour)


async def painted(url: str, clusters: int) -> str:
    """Write the fleet into an empty database; an administrator's token."""
    db = Database.at(url)
    await migrate(db)
    async with db.write() as conn:
        token = await Painter(conn, clusters).paint()
    await db.close()
    return token
