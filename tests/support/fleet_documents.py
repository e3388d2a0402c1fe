"""The documents of the manager's API, made from a fleet in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.support.fleet_state import FleetState

from tidegate.domain.channel_policy import write_channel_policy
from tidegate.domain.rollout import ENDED, Progress, TargetProgress
from tidegate.domain.standing import Service, by_badness, counted, standing

Document = dict[str, Any]


def text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def version_of(state: FleetState, digest: str) -> str | None:
    return next((one.version for one in state.releases.values() if one.digest == digest), None)


def channel_of(state: FleetState, id_: int) -> Document:
    return {"id": id_, "name": state.channels[id_]}


def cluster(state: FleetState, name: str) -> Document:
    host = state.hosts[name.rpartition("@")[2]]
    count = sum(one.cluster == name for one in state.targets.values())
    return {
        "name": name,
        "agent": host.name,
        "online": host.online,
        "targets": count,
        "updater": host.updater,
        "labels": host.labels,
        "version": 1,
    }


def clusters(state: FleetState) -> list[Document]:
    return [cluster(state, name) for name in sorted({one.cluster for one in state.targets.values()})]


def overview(state: FleetState, q: str, skip: int, limit: int) -> Document:
    names = sorted({one.cluster for one in state.targets.values()})
    matching = [_standing(state, name) for name in names if all(word in name for word in q.lower().split())]
    matching.sort(key=lambda one: (by_badness(one["standing"]), one["name"]))
    waiting = [
        {"text": f"agent {one.name} is not heard", "link": "/", "since": None}
        for one in state.hosts.values()
        if not one.online
    ]
    return {
        "total": len(names),
        "matching": len(matching),
        "counts": counted([one["standing"] for one in matching]),
        "clusters": matching[skip : skip + limit],
        "attention": [{"kind": "offline", "count": len(waiting), "items": waiting}] if waiting else [],
    }


def _standing(state: FleetState, name: str) -> Document:
    services = [_service(state, one.name) for one in state.targets.values() if one.cluster == name]
    worst = min(services, key=lambda one: by_badness(one.standing))
    return {
        "name": name,
        "standing": standing(services, online=state.hosts[name.rpartition("@")[2]].online),
        "why": f"{worst.name}: {worst.why}" if worst.why else "",
        "services": len(services),
        "versions": list(dict.fromkeys(one.version for one in services)),
    }


def _service(state: FleetState, name: str) -> Service:
    one = state.targets[name]
    newest = max((it for it in state.releases.values() if it.channel == one.channel), key=lambda it: it.id)
    version = version_of(state, one.digest) or ""
    return Service(
        name.partition("/")[2], one.digest, version, newest.digest, newest.version, one.channel, held=one.held
    )


def target(state: FleetState, name: str) -> Document:
    one = state.targets[name]
    return {
        "name": name,
        "agent": one.agent,
        "online": state.hosts[one.agent].online,
        "channel": channel_of(state, one.channel),
        "digest": one.digest,
        "version": version_of(state, one.digest),
        "state": "running",
        "health": "healthy",
        "strategy": "start-first",
        "held": one.held,
        "reason": "",
        "drift_since": None,
    }


def channel(state: FleetState, id_: int) -> Document:
    seen = [one for one in state.releases.values() if one.channel == id_]
    newest = max(seen, key=lambda one: one.id, default=None)
    return channel_of(state, id_) | {
        "mode": str(state.policies[id_].mode),
        "newest": None if newest is None else {"digest": newest.digest, "version": newest.version},
        "targets": sum(one.channel == id_ for one in state.targets.values()),
        "polled_at": None,
        "trouble": None,
        "choice": "every target runs the newest release",
    }


def policy(state: FleetState, id_: int) -> Document:
    return write_channel_policy(state.policies[id_])


def release(state: FleetState, id_: int) -> Document:
    one = state.releases[id_]
    return {
        "id": id_,
        "channel": channel_of(state, one.channel),
        "digest": one.digest,
        "version": one.version,
        "revision": "c0ffee",
        "image_created": text(one.at),
        "seen_at": text(one.at),
        "quarantined": one.digest in state.quarantine,
        "newest": False,
        "running": sum(it.digest == one.digest for it in state.targets.values()),
        "fixed_tag": "",
        "trouble": "",
    }


def rollout(state: FleetState, id_: int) -> Document:
    it = state.rollouts[id_]
    members = list(it.targets.values())
    waves = [[one for one in members if one.wave == number] for number in range(it.waves)]
    return {
        "id": id_,
        "channel": channel_of(state, int(it.channel)),
        "digest": it.digest,
        "version": version_of(state, it.digest),
        "kind": str(it.kind),
        "state": str(it.state),
        "reason": it.reason,
        "waits_for": "",
        "requested_by": it.requested_by,
        "created_at": text(it.created_at),
        "not_before": text(it.not_before),
        "begun_at": text(it.created_at) if it.begun else None,
        "ended_at": text(it.created_at) if it.state in ENDED else None,
        "wave": it.wave + 1,
        "waves": it.waves,
        "passed_at": text(it.passed_at),
        "wake_at": None,
        "approvals": [{"by": one.by, "at": text(one.at)} for one in it.approvals],
        "approvals_needed": it.policy.approvals,
        "counts": counts(members),
        "waves_detail": [{"wave": number, "counts": counts(wave)} for number, wave in enumerate(waves, 1)],
        "whole": True,
        "policy": None,
        "edition": 1,
    }


def counts(members: Iterable[TargetProgress]) -> Document:
    found = Counter(str(one.progress) for one in members)
    return {str(one): found.get(str(one), 0) for one in Progress}


def rollout_targets(state: FleetState, id_: int) -> list[Document]:
    return [
        {
            "target": one.id,
            "wave": one.wave + 1,
            "progress": str(one.progress),
            "reason": one.reason,
            "since": text(one.since),
        }
        for one in state.rollouts[id_].targets.values()
    ]


def quarantine(state: FleetState) -> list[Document]:
    return [
        {"id": id_, "digest": digest, "channel": None, "reason": "it failed", "by": "tidegate", "at": None}
        for digest, id_ in state.quarantine.items()
    ]


def changes(before: str, after: str) -> Document:
    plain = {"note": "", "dangerous": False, "link": "", "platform": ""}
    return {
        "before": {"digest": before, "release": None, "version": ""},
        "after": {"digest": after, "release": None, "version": ""},
        "changes": [
            {
                "field": "user",
                "before": "nobody",
                "after": "root",
                **plain,
                "dangerous": True,
                "note": "it runs as root",
            },
            {"field": "env MODE", "before": "slow", "after": "fast", **plain},
        ],
        "note": "",
    }


def agents(state: FleetState) -> list[Document]:
    return [
        {
            "name": one.name,
            "online": one.online,
            "last_seen_at": None,
            "version": "1.0",
            "labels": one.labels,
            "updater": one.updater,
            "revoked_at": one.revoked_at,
        }
        for one in state.hosts.values()
    ]
