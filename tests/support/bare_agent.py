"""An agent that is nothing but its messages, for tests of what a manager makes of them."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from tidegate.protocol import keys, messages, requests
from tidegate.protocol.version import PROTOCOL

AT = "2026-11-25T12:00:00Z"
OLD, NEW, OTHER = (f"sha256:{digit * 64}" for digit in "123")
REPOSITORY = "docker.io/library/web"


class Manager(Protocol):
    """What it speaks to."""

    @property
    def url(self) -> str:
        """Where it answers."""

    async def token(self, name: str = "") -> str:
        """A token to enrol with."""


@dataclass(frozen=True)
class Answer:
    """A status, the JSON that came with it, and for how long the agent is to wait, in seconds."""

    status: int
    body: Any
    retry_after: str | None = None

    @property
    def code(self) -> str:
        """The problem's code."""
        return str(self.body["code"])


class BareAgent:
    """It signs what it is told to say; `url` may be that of another replica."""

    def __init__(self, url: str, session: aiohttp.ClientSession, name: str) -> None:
        self.url, self.session, self.name = url, session, name
        self.key = keys.load_key(keys.make_key())
        self.id, self.manager_key, self.cursor = "", "", 0

    @classmethod
    async def enrolled(cls, manager: Manager, session: aiohttp.ClientSession, name: str) -> BareAgent:
        """One that has."""
        one = cls(manager.url, session, name)
        answer = await one.enrol(await manager.token())
        assert answer.status == 200, answer
        return one

    async def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """An unsigned request."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(f"{self.url}{path}", data=io.BytesIO(data), headers=dict(headers or {})) as found:
            return Answer(found.status, await found.json(content_type=None), found.headers.get("Retry-After"))

    async def signed(self, path: str, body: Any, *, agent: str | None = None) -> Answer:
        """A signed one."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        now_s = int(time.time())
        headers = requests.signed_headers(self.key, agent or self.id, "POST", path, data, time_s=now_s)
        return await self.post(path, data, headers)

    async def enrol(self, token: str, /, **more: Any) -> Answer:
        """Enrol, and be somebody if that goes well."""
        proof, public = requests.enrol_proof(self.key, token), keys.public_text(self.key)
        it = messages.EnrolRequest(PROTOCOL, token, self.name, public, "1.0", proof)
        answer = await self.post(messages.ENROL_PATH, messages.write_enrol_request(it) | more)
        if answer.status == 200:
            known = messages.read_enrol_answer(answer.body)
            self.id, self.manager_key = known.agent, known.manager_key
        return answer

    async def ask(self, *, wait_s: int = 0, protocol: int = PROTOCOL) -> Answer:
        """Poll, whatever the answer."""
        request = messages.PollRequest(protocol, self.cursor, wait_s, "1.0", self.manager_key)
        return await self.signed(messages.POLL_PATH, messages.write_poll_request(request))

    async def poll(self, *, wait_s: int = 0, protocol: int = PROTOCOL) -> tuple[messages.Item, ...]:
        """Poll, and go on from there the next time."""
        answer = await self.ask(wait_s=wait_s, protocol=protocol)
        assert answer.status == 200, answer
        items = messages.read_poll_answer(answer.body).items
        self.cursor = max([self.cursor, *(item.seq for item in items)])
        return items

    async def events(self, first: int, *events: Mapping[str, Any], stream: str = "s1", **more: Any) -> Answer:
        """Send a batch."""
        body = {"protocol": PROTOCOL, "stream": stream, "first": first, "events": list(events), **more}
        return await self.signed(messages.EVENTS_PATH, body)


def inventory(*targets: Mapping[str, Any]) -> dict[str, Any]:
    """All that an agent has."""
    return {"kind": "inventory", "at": AT, "targets": list(targets)}


def target(name: str = "shop/web", digest: str | None = OLD, *, tag: str | None = "1", **more: Any) -> dict[str, Any]:
    """One target of an inventory."""
    said = {"image": f"web:{tag}", "repository": REPOSITORY, "tag": tag, "digest": digest}
    return {"target": name, **said, "state": "running", "health": "healthy", **more}


def report(assignment: str, outcome: str, **more: Any) -> dict[str, Any]:
    """How an assignment of generation 1 of `NEW` to shop/web went."""
    about = {"assignment": assignment, "rollout": "1", "target": "shop/web", "generation": 1, "digest": NEW}
    return {"kind": "report", "at": AT, **about, "outcome": outcome, **more}
