"""The routes of the manager's API over a fleet in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aiohttp import web
from tests.support import fleet_documents as documents
from tests.support.fleet_state import FleetState, now

from tidegate.domain.channel_policy import ChannelPolicyError, read_channel_policy
from tidegate.domain.going_back import reached
from tidegate.domain.rollout import Kind, Rollout
from tidegate.domain.rollout_apply import VerbRefusedError

Row = dict[str, Any]
USER: web.RequestKey[str] = web.RequestKey("user", str)
ROLE: web.RequestKey[str] = web.RequestKey("role", str)
TOKEN: web.RequestKey[int] = web.RequestKey("token", int)
OWN_TOKENS = 100_000
"""After this number come those tokens that tests have, so that ids of all else are small."""
ROLES = {
    "viewer": {"viewer"},
    "operator": {"viewer", "operator"},
    "approver": {"viewer", "approver"},
    "admin": {"viewer", "operator", "approver", "admin"},
}
_STORES = {"windows": "operator", "freezes": "operator", "tokens": "admin", "enrolments": "admin"}
_SECRET = {"tokens", "enrolments"}
_TARGET_FILTERS: dict[str, Callable[[Row], str]] = {
    "state": lambda one: str(one["state"]),
    "agent": lambda one: str(one["agent"]),
    "held": lambda one: str(one["held"]).lower(),
    "drift": lambda one: str(one["drift_since"] is not None).lower(),
}


class Refused(Exception):  # noqa: N818 - a problem, told to the client
    """A problem document."""

    def __init__(self, status: int, detail: str, code: str = "refused", **more: Any) -> None:
        self.status = status
        self.document = {
            "type": f"urn:tidegate:problem:{code}",
            "status": status,
            "detail": detail,
            "code": code,
            **more,
        }


class Routes:
    """Handlers; `user` and `role` of a request are in it."""

    def __init__(self, state: FleetState) -> None:
        self.state = state

    def add_to(self, app: web.Application) -> None:
        add = app.router.add_route
        for method, path, handler, role in self._table():
            add(method, f"/api/v1{path}", _guarded(handler, role))

    def _table(self) -> list[tuple[str, str, Callable[[web.Request], Any], str]]:
        table: list[tuple[str, str, Callable[[web.Request], Any], str]] = [
            ("GET", "/me", self.me, "viewer"),
            ("GET", "/status", self.status, "viewer"),
            ("GET", "/overview", self.overview, "viewer"),
            ("GET", "/clusters", self.clusters, "viewer"),
            ("GET", "/clusters/{name}", self.cluster, "viewer"),
            ("PATCH", "/clusters/{name}", self.label, "operator"),
            ("POST", "/clusters/{name}/rollback", self.roll_back_cluster, "operator"),
            ("GET", "/targets", self.targets, "viewer"),
            ("GET", "/targets/{cluster}/{service}", self.target, "viewer"),
            ("POST", "/targets/{cluster}/{service}/rollback", self.roll_back_target, "operator"),
            ("GET", "/channels", self.channels, "viewer"),
            ("GET", "/channels/{id}", self.shown_channel, "viewer"),
            ("POST", "/channels/{id}/poll", self.channel, "operator"),
            ("DELETE", "/channels/{id}", self.delete_channel, "admin"),
            ("POST", "/channels/{id}/rollback", self.roll_back_channel, "operator"),
            ("GET", "/policies", self.policies, "viewer"),
            ("GET", "/policies/{id}", self.policy, "viewer"),
            ("PUT", "/policies/{id}", self.set_policy, "admin"),
            ("GET", "/releases", self.releases, "viewer"),
            ("GET", "/releases/{id}", self.release, "viewer"),
            ("GET", "/releases/{id}/changes", self.release_changes, "viewer"),
            ("GET", "/rollouts", self.rollouts, "viewer"),
            ("POST", "/rollouts", self.start, "operator"),
            ("GET", "/rollouts/{id}", self.rollout, "viewer"),
            ("GET", "/rollouts/{id}/targets", self.rollout_targets, "viewer"),
            ("GET", "/rollouts/{id}/changes", self.rollout_changes, "viewer"),
            ("POST", "/rollouts/{id}/rollback", self.roll_back_rollout, "operator"),
            ("GET", "/quarantine", self.quarantine, "viewer"),
            ("POST", "/quarantine", self.quarantine_add, "operator"),
            ("POST", "/quarantine/{id}/release", self.quarantine_release, "admin"),
            ("GET", "/agents", self.agents, "viewer"),
            ("GET", "/agents/enrolments", self.enrolments, "admin"),
            ("POST", "/agents/enrolments", self.make("enrolments"), "admin"),
            ("DELETE", "/agents/enrolments/{id}", self.withdraw, "admin"),
            ("GET", "/agents/{name}", self.agent, "viewer"),
            ("POST", "/agents/{name}/revoke", self.revoke_agent, "admin"),
            ("GET", "/alerts", self.alerts, "viewer"),
            ("POST", "/alerts/{id}/acknowledge", self.acknowledge, "operator"),
            ("GET", "/tokens", self.listing("tokens"), "admin"),
            ("POST", "/tokens", self.make("tokens"), "admin"),
            ("POST", "/tokens/{id}/revoke", self.revoke_token, "admin"),
            ("GET", "/audit", self.audit, "viewer"),
            ("GET", "/audit/verify", self.verify, "viewer"),
        ]
        for verb in ("reject", "pause", "resume", "abort", "retry", "advance", "approve"):
            role = "approver" if verb in {"approve", "reject"} else "operator"
            table.append(("POST", f"/rollouts/{{id}}/{verb}", self.verb(verb), role))
        for store in ("windows", "freezes"):
            table += [
                ("GET", f"/{store}", self.listing(store), "viewer"),
                ("POST", f"/{store}", self.make(store), "operator"),
                ("GET", f"/{store}/{{id}}", self.row(store), "viewer"),
                ("DELETE", f"/{store}/{{id}}", self.remove(store), "operator"),
            ]
        return table

    # what there is

    async def me(self, request: web.Request) -> Row:
        return {"user": request[USER], "role": request[ROLE], "token_id": request[TOKEN]}

    async def status(self, _: web.Request) -> Row:
        there = sum(one.online for one in self.state.hosts.values())
        return {
            "agents": {"online": there, "offline": len(self.state.hosts) - there},
            "targets": len(self.state.targets),
            "rollouts": {"running": sum(it.state == "running" for it in self.state.rollouts.values())},
            "approvals_waiting": sum(it.state == "awaiting_approval" for it in self.state.rollouts.values()),
            "alerts_open": 0,
        }

    async def overview(self, request: web.Request) -> Row:
        skip, limit = (int(request.query.get(name, usual)) for name, usual in (("skip", 0), ("limit", 50)))
        return documents.overview(self.state, request.query.get("q", ""), skip, limit)

    async def clusters(self, request: web.Request) -> web.Response:
        agent = request.query.get("agent")
        labels = {tuple(one.split("=", 1)) for one in request.query.getall("label", [])}
        items = documents.clusters(self.state)
        return page(
            request,
            [one for one in items if agent in (None, one["agent"]) and labels <= set(one["labels"].items())],
        )

    async def cluster(self, request: web.Request) -> web.Response:
        return tagged(documents.cluster(self.state, self._cluster(request)))

    async def label(self, request: web.Request) -> Row:
        name = self._cluster(request)
        needs_etag(request)
        self.state.hosts[name.rpartition("@")[2]].labels = (await request.json())["labels"]
        return documents.cluster(self.state, name)

    async def targets(self, request: web.Request) -> web.Response:
        cluster, channel, digest = (request.query.get(one) for one in ("cluster", "channel", "digest"))
        names = [
            one.name
            for one in self.state.targets.values()
            if cluster in (None, one.cluster) and channel in (None, str(one.channel)) and digest in (None, one.digest)
        ]
        items = [documents.target(self.state, name) for name in names]
        for name, of in _TARGET_FILTERS.items():
            items = [one for one in items if request.query.get(name) in (None, of(one))]
        return page(request, items)

    async def target(self, request: web.Request) -> Row:
        one = documents.target(self.state, self._target(request))
        return one | {"runs": [{"digest": one["digest"], "since": "2026-11-25T12:00:00Z", "rollout": None}]}

    async def channels(self, request: web.Request) -> web.Response:
        name = request.query.get("name")
        ids = [id_ for id_, known in self.state.channels.items() if name in (None, known)]
        return page(request, [documents.channel(self.state, id_) for id_ in ids])

    async def channel(self, request: web.Request) -> Row:
        return documents.channel(self.state, number(request, self.state.channels, "channel"))

    async def shown_channel(self, request: web.Request) -> web.Response:
        return tagged(await self.channel(request))

    async def delete_channel(self, request: web.Request) -> web.Response:
        id_ = number(request, self.state.channels, "channel")
        needs_etag(request)
        one = documents.channel(self.state, id_)
        if one["targets"]:
            raise Refused(409, f"Channel {one['name']} stays: {one['targets']} targets follow it.", "in-use")
        del self.state.channels[id_]
        return web.Response(status=204)

    async def policies(self, request: web.Request) -> web.Response:
        items = [
            {"channel": {"id": id_, "name": name}, "version": 1, "policy": documents.policy(self.state, id_)}
            for id_, name in self.state.channels.items()
        ]
        return page(request, items)

    async def policy(self, request: web.Request) -> web.Response:
        return tagged(documents.policy(self.state, number(request, self.state.channels, "channel")))

    async def set_policy(self, request: web.Request) -> Row:
        id_ = number(request, self.state.channels, "channel")
        needs_etag(request)
        try:
            self.state.policies[id_] = read_channel_policy(await request.json())
        except ChannelPolicyError as error:
            errors = [{"field": name, "message": why} for name, why in error.faults.items()]
            raise Refused(422, "The policy cannot be used.", "invalid", errors=errors) from error
        return documents.policy(self.state, id_)

    async def releases(self, request: web.Request) -> web.Response:
        channel = request.query.get("channel")
        digest = request.query.get("digest")
        seen = self.state.releases.values()
        ids = [one.id for one in seen if channel in (None, str(one.channel)) and digest in (None, one.digest)]
        return page(request, [documents.release(self.state, id_) for id_ in reversed(ids)])

    async def release(self, request: web.Request) -> Row:
        return documents.release(self.state, number(request, self.state.releases, "release"))

    async def release_changes(self, request: web.Request) -> Row:
        one = self.state.releases[number(request, self.state.releases, "release")]
        return documents.changes(request.query.get("from", "what runs"), one.digest)

    # rollouts

    async def rollouts(self, request: web.Request) -> web.Response:
        states, kind, channel = (
            request.query.getall("state", []),
            *(request.query.get(it) for it in ("kind", "channel")),
        )
        ids = [
            id_
            for id_, it in self.state.rollouts.items()
            if (not states or it.state in states) and kind in (None, it.kind) and channel in (None, it.channel)
        ]
        return page(request, [documents.rollout(self.state, id_) for id_ in reversed(ids)])

    async def rollout(self, request: web.Request) -> web.Response:
        self.state.go()
        return tagged(documents.rollout(self.state, number(request, self.state.rollouts, "rollout")))

    async def rollout_targets(self, request: web.Request) -> web.Response:
        id_ = number(request, self.state.rollouts, "rollout")
        wanted, wave = request.query.getall("progress", []), request.query.get("wave")
        items = [one for one in documents.rollout_targets(self.state, id_) if wave in (None, str(one["wave"]))]
        return page(request, [one for one in items if not wanted or one["progress"] in wanted])

    async def rollout_changes(self, request: web.Request) -> Row:
        it = self.state.rollouts[number(request, self.state.rollouts, "rollout")]
        return documents.changes("what runs", it.digest)

    async def start(self, request: web.Request) -> web.Response:
        body = await request.json()
        channel, digest = body["channel"], body["digest"]
        if digest in self.state.quarantine:
            raise Refused(409, "The release is in quarantine.", "quarantined")
        only = {*body.get("targets", ()), *body.get("clusters", ())}
        names = [
            one.name
            for one in self.state.targets.values()
            if one.channel == channel and not one.held and (not only or {one.name, one.cluster} & only)
        ]
        id_ = self.state.begin(channel, digest, names, request[USER])
        return created(documents.rollout(self.state, id_))

    def verb(self, verb: str) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> Row:
            id_ = number(request, self.state.rollouts, "rollout")
            body = await request.json() if request.can_read_body else {}
            try:
                self.state.verb(id_, verb, request[USER], body.get("reason", ""))
            except VerbRefusedError as error:
                raise Refused(409, f"{error}.", "no-meaning") from error
            return documents.rollout(self.state, id_)

        return handler

    async def roll_back_cluster(self, request: web.Request) -> web.Response:
        name = self._cluster(request)
        return await self._roll_back(request, [one.name for one in self.state.targets.values() if one.cluster == name])

    async def roll_back_target(self, request: web.Request) -> web.Response:
        return await self._roll_back(request, [self._target(request)])

    async def roll_back_channel(self, request: web.Request) -> web.Response:
        id_ = number(request, self.state.channels, "channel")
        return await self._roll_back(request, [one.name for one in self.state.targets.values() if one.channel == id_])

    async def roll_back_rollout(self, request: web.Request) -> web.Response | Row:
        id_ = number(request, self.state.rollouts, "rollout")
        it, body = self.state.rollouts[id_], await request.json()
        if body.get("to"):
            if not it.ended and not body.get("dry_run"):
                self.state.verb(id_, "abort", request[USER], body.get("reason", ""))
            return await self._roll_back(request, list(it.targets))
        if it.ended and it.kind is Kind.UPDATE:
            return await self._roll_back(request, self._still_there(it))
        if body.get("dry_run"):
            before = {one.id: one.before for one in reached(it)}
            ways = [
                {"to": to, "targets": [name for name, one in before.items() if one == to]}
                for to in sorted(set(before.values()))
            ]
            return {"items": [], "going": ways, "left": [], "aborted": []}
        answer: Row = await self.verb("rollback")(request)
        return answer

    def _still_there(self, it: Rollout) -> list[str]:
        """What runs the release of a rollout that has ended, by that rollout."""
        names = [one.id for one in reached(it) if self.state.targets[one.id].digest == it.digest]
        if not names:
            raise Refused(409, f"rollout {it.id} is {it.state}, and nothing that it has updated runs its release now.")
        return names

    async def _roll_back(self, request: web.Request, names: list[str]) -> web.Response:
        body = await request.json()
        first = {one.channel: one.digest for one in reversed(self.state.releases.values())}
        places = [self.state.targets[name] for name in names]
        left = [one.name for one in places if not body.get("to") and one.digest == first[one.channel]]
        going = [name for name in names if name not in left]
        begun, ways = list[int](), list[Row]()
        for channel in sorted({self.state.targets[name].channel for name in going}):
            ours = [name for name in going if self.state.targets[name].channel == channel]
            digest = body.get("to") or first[channel]
            ways.append({"to": digest, "targets": ours})
            if not body.get("dry_run"):
                begun.append(self.state.begin(channel, digest, ours, request[USER], kind=Kind.ROLLBACK))
        items = [documents.rollout(self.state, id_) for id_ in begun]
        behind = [{"target": name, "reason": "nothing is known to have run there before"} for name in left]
        return web.json_response({"items": items, "going": ways, "left": behind, "aborted": []})

    # quarantine, agents, alerts, audit

    async def quarantine(self, request: web.Request) -> web.Response:
        released = list(self.state.rows.get("released", {}).values())
        return page(request, released if "released" in request.query else documents.quarantine(self.state))

    async def quarantine_add(self, request: web.Request) -> web.Response:
        digest = (await request.json())["digest"]
        self.state.quarantine[digest] = self.state.new_id()
        self.state.go()
        return created(documents.quarantine(self.state)[-1])

    async def quarantine_release(self, request: web.Request) -> Row:
        entries = {id_: digest for digest, id_ in self.state.quarantine.items()}
        digest = entries[number(request, entries, "entry")]
        entry = next(one for one in documents.quarantine(self.state) if one["digest"] == digest)
        self.state.rows.setdefault("released", {})[entry["id"]] = entry
        del self.state.quarantine[digest]
        return {"digest": digest}

    async def agents(self, request: web.Request) -> web.Response:
        asked = request.query.get("revoked")
        items = documents.agents(self.state)
        return page(request, [one for one in items if asked in (None, truth(one["revoked_at"]))])

    async def agent(self, request: web.Request) -> Row:
        name = request.match_info["name"]
        if name not in self.state.hosts:
            raise Refused(404, f"There is no agent {name!r}.", "not-found")
        return next(one for one in documents.agents(self.state) if one["name"] == name)

    async def revoke_agent(self, request: web.Request) -> Row:
        one = self.state.hosts[(await self.agent(request))["name"]]
        one.online, one.revoked_at = False, documents.text(now())
        return await self.agent(request)

    async def alerts(self, request: web.Request) -> web.Response:
        row = {"id": 1, "rule": "offline", "subject": "agent berlin1", "text": "not heard of", "severity": "warning"}
        over = row | {"id": 2, "closed_at": "2026-11-25T12:00:00Z"}
        return page(request, {"true": [row], "false": [over]}.get(request.query.get("open", ""), [row, over]))

    async def acknowledge(self, _: web.Request) -> Row:
        return {"id": 1, "acknowledged_by": "ann"}

    async def audit(self, request: web.Request) -> web.Response:
        entry = {
            "number": 1,
            "at": "2026-11-25T12:00:00Z",
            "actor": "ann",
            "source": "127.0.0.1",
            "action": "rollout.start",
        }
        row = entry | {"subject": "rollout 7", "before": None, "after": {"state": "running"}}
        return page(request, [row] if request.query.get("actor") in (None, row["actor"]) else [])

    async def verify(self, _: web.Request) -> Row:
        broken = self.state.rows.get("audit")
        if broken:
            return {"ok": False, "entries": 4, "fault": "entry 3 was changed after it was written", "last_hash": None}
        return {"ok": True, "entries": 4, "fault": None, "last_hash": "ab" * 32}

    async def revoke_token(self, request: web.Request) -> Row:
        rows = self.state.rows.setdefault("tokens", {})
        row = rows[number(request, rows, "token")]
        row["revoked_at"] = documents.text(now())
        return row

    async def enrolments(self, request: web.Request) -> web.Response:
        rows = list(self.state.rows.get("enrolments", {}).values())
        usable = request.query.get("usable")
        fitting = [row for row in reversed(rows) if usable in (None, truth(not row.get("revoked_at")))]
        return page(request, fitting)

    async def withdraw(self, request: web.Request) -> web.Response:
        rows = self.state.rows.get("enrolments", {})
        rows[number(request, rows, "enrolment")]["revoked_at"] = documents.text(now())
        return web.Response(status=204)

    # rows that are only kept

    def listing(self, store: str) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            rows = self.state.rows.get(store, {}).values()
            return page(request, [row for row in rows if all(fits(row, *asked) for asked in request.query.items())])

        return handler

    def row(self, store: str) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            rows = self.state.rows.get(store, {})
            return tagged(rows[number(request, rows, store)])

        return handler

    def make(self, store: str) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            row = await request.json()
            row["id"] = self.state.new_id()
            if "expires_in" in row:
                row["expires_at"] = "2027-01-01T00:00:00Z"
            self.state.rows.setdefault(store, {})[row["id"]] = row
            secret = {"token": f"tg_{row['id']}_secret"} if store in _SECRET else {}
            return created(row | secret)

        return handler

    def remove(self, store: str) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            rows = self.state.rows.get(store, {})
            needs_etag(request)
            del rows[number(request, rows, store)]
            return web.Response(status=204)

        return handler

    def _cluster(self, request: web.Request) -> str:
        name = request.match_info["name"]
        if name not in {one.cluster for one in self.state.targets.values()}:
            raise Refused(404, f"There is no cluster {name!r}.", "not-found")
        return name

    def _target(self, request: web.Request) -> str:
        name = f"{request.match_info['cluster']}/{request.match_info['service']}"
        if name not in self.state.targets:
            raise Refused(404, f"There is no target {name!r}.", "not-found")
        return name


def truth(value: object) -> str:
    """As it is asked for."""
    return str(bool(value)).lower()


def fits(row: Row, name: str, value: str) -> bool:
    """Whether one filter of a list lets a window, a freeze or a token through."""
    match name:
        case "channel" | "cluster":
            return value in map(str, row["scope"][f"{name}s"])
        case "over":
            return value == truth(datetime.fromisoformat(row["ends_at"]) <= now())
        case "valid":
            return value == truth(not row.get("revoked_at"))
        case "limit" | "after":
            return True
        case _:
            return bool(row[name] == value)


def page(request: web.Request, items: list[Row]) -> web.Response:
    """A page of a list; `after` is how many came before."""
    limit, after = int(request.query.get("limit", "50")), int(request.query.get("after", "0"))
    following = after + limit
    document = {"items": items[after:following], "next": str(following) if following < len(items) else None}
    return web.json_response(document)


def tagged(document: Row) -> web.Response:
    return web.json_response(document, headers={"ETag": f'"{document.get("edition", 1)}"'})


def created(document: Row) -> web.Response:
    return web.json_response(document, status=201)


def needs_etag(request: web.Request) -> None:
    if "If-Match" not in request.headers:
        raise Refused(428, "Say which edition it was: If-Match.", "no-etag")
    if request.headers["If-Match"] != '"1"':
        raise Refused(412, "It was changed meanwhile.", "stale")


def number(request: web.Request, known: Mapping[int, Any], kind: str) -> int:
    text = request.match_info["id"]
    if not text.isdecimal() or int(text) not in known:
        raise Refused(404, f"There is no {kind} {text}.", "not-found")
    return int(text)


def _guarded(handler: Callable[[web.Request], Any], role: str) -> Callable[[web.Request], Any]:
    async def guarded(request: web.Request) -> web.StreamResponse:
        if role not in ROLES[request[ROLE]]:
            detail = f"{request[USER]} is {request[ROLE]}, and this needs {role}."
            raise Refused(403, detail, "role", accepted=[name for name, may in ROLES.items() if role in may])
        answer = await handler(request)
        return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)

    return guarded


def problem(error: Refused) -> web.Response:
    return web.Response(status=error.status, text=json.dumps(error.document), content_type="application/problem+json")
