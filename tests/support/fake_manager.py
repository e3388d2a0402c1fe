"""A manager that speaks the agent's protocol over a real socket and decides nothing; a contract suite holds it true."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web

from tidegate.domain.assignment import Assignment
from tidegate.protocol import keys, messages, requests, signed
from tidegate.protocol.events import write_event
from tidegate.protocol.fields import MessageError
from tidegate.protocol.problems import PROBLEM, Code
from tidegate.protocol.version import PROTOCOL, is_spoken, may_send

_MOST_BODY = messages.MOST_BYTES + 65536
REPOSITORY = "docker.io/library/web"


class Problem(Exception):  # noqa: N818 - what a route answers with
    """A refusal."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {
            "type": f"{PROBLEM}{code}",
            "title": code,
            "code": code,
            "status": status,
            "detail": detail,
            **more,
        }


@dataclass
class Enrolled:
    """One agent as the manager knows it. `applied` maps its streams to the last number."""

    id: str
    name: str
    public_key: str
    protocol: int
    revoked: bool = False
    outbox: list[tuple[int, str, messages.Item]] = field(default_factory=list)
    next_seq: int = 1
    polls: int = 0
    streams: dict[str, int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Token:
    """An enrolment token and who has used it."""

    expires_at: datetime
    agent: str = ""


class FakeManager:
    """All of it in memory, which outlives `stop` and `start`. `trouble` answers in place of a route, while it is set.

    `lose` counts answers that are computed and then not sent. `clock` is the manager's own.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.key = keys.load_key(keys.make_key())
        self.tokens: dict[str, Token] = {}
        self.agents: dict[str, Enrolled] = {}
        self.trouble: Callable[[web.Request], web.Response | None] | None = None
        self.lose = 0
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Answer, at the same port as before."""
        app = web.Application(client_max_size=_MOST_BODY)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_post(messages.ENROL_PATH, self._serving(self._enrol))
        app.router.add_post(messages.POLL_PATH, self._serving(self._poll))
        app.router.add_post(messages.EVENTS_PATH, self._serving(self._events))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Cut every connection off."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def restart(self) -> None:
        """Be away for a moment."""
        await self.stop()
        await self.start()

    async def token(self, name: str = "", *, expires_in: timedelta = timedelta(hours=1)) -> str:
        """A new token to enrol one agent with; the name is the agent's own choice here."""
        token = f"tge_{name}{secrets.token_urlsafe(16)}"
        self.tokens[token] = Token(self.clock() + expires_in)
        return token

    async def assign(self, agent: str, target: str, digest: str, **more: Any) -> str:
        """Put an assignment into an agent's outbox; `sign_with` is another key than the manager's."""
        now = self.clock()
        key = more.pop("sign_with", self.key)
        it = Assignment(
            id=more.pop("id", uuid4().hex),
            agent=more.pop("agent_id", agent),
            target=target,
            repository=more.pop("repository", REPOSITORY),
            digest=digest,
            generation=more.pop("generation", 1),
            issued_at=more.pop("issued_at", now),
            expires_at=more.pop("expires_at", now + timedelta(minutes=10)),
            **more,
        )
        self.put(agent, "assignment", it, key)
        return it.id

    async def withdraw(self, agent: str, target: str, generation: int = 1) -> None:
        """Take an assignment back."""
        self.put(agent, "withdraw", signed.Withdraw(agent, target, generation, self.clock()), self.key)

    async def pin(self, agent: str) -> None:
        """Have a new key from now on."""
        new = keys.load_key(keys.make_key())
        self.put(agent, "pin", signed.Pin(agent, keys.public_text(new), self.clock()), self.key)
        self.key = new

    async def revoke(self, agent: str) -> None:
        """Cut the agent off."""
        self.agents[agent].revoked = True
        self.agents[agent].changed.set()

    async def applied(self, agent: str) -> list[dict[str, Any]]:
        """The events of an agent, each once."""
        return list(self.agents[agent].events)

    def put(self, agent: str, kind: str, it: Assignment | signed.Withdraw | signed.Pin | str, key: keys.Key) -> None:
        """Anything at all into an agent's outbox."""
        one = self.agents[agent]
        document = it if isinstance(it, str) else signed.write_document(it, one.next_seq)
        one.outbox.append((one.next_seq, kind, messages.Item(one.next_seq, document, signed.seal(key, document))))
        one.next_seq += 1
        one.changed.set()

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    def _serving(
        self, serve: Callable[[web.Request, bytes], Awaitable[dict[str, Any]]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            if self.trouble is not None and (troubled := self.trouble(request)) is not None:
                return troubled
            try:
                found, status = await serve(request, await request.read()), 200
            except Problem as problem:
                found, status = problem.body, problem.status
            except MessageError as error:
                body = Problem(422, Code.BAD_MESSAGE, str(error), errors=[{"field": error.field, "message": error.why}])
                found, status = body.body, 422
            except web.HTTPRequestEntityTooLarge:
                found, status = Problem(413, Code.BAD_MESSAGE, f"at most {_MOST_BODY} bytes are accepted").body, 413
            if self.lose > 0:
                self.lose -= 1
                if request.transport is not None:
                    request.transport.abort()
            kind = "application/json" if status == 200 else "application/problem+json"
            return web.json_response(found, status=status, content_type=kind)

        return answer

    async def _enrol(self, _: web.Request, body: bytes) -> dict[str, Any]:
        value = _json(body)
        _spoken(value)
        it = messages.read_enrol_request(value)
        token = self.tokens.get(it.token)
        if not requests.proof_holds(it.public_key, it.token, it.proof):
            raise Problem(401, Code.BAD_SIGNATURE, "the proof is not that of the public key")
        known = self.agents.get(token.agent) if token else None
        used = known is not None and known.public_key != it.public_key
        if token is None or used or (known is None and token.expires_at <= self.clock()):
            raise Problem(401, Code.BAD_TOKEN, "the token is unknown, was used, or has expired")
        if known is None:
            known = Enrolled(uuid4().hex, it.name, it.public_key, it.protocol)
            self.agents[known.id] = known
            token.agent = known.id
        public = keys.public_text(self.key)
        return messages.write_enrol_answer(
            messages.EnrolAnswer(it.protocol, known.id, known.name, public, self.clock())
        )

    async def _poll(self, request: web.Request, body: bytes) -> dict[str, Any]:
        agent = self._agent(request, body)
        value = _json(body)
        _spoken(value)
        it = messages.read_poll_request(value)
        agent.polls += 1
        agent.protocol = it.protocol
        agent.outbox = [each for each in agent.outbox if each[0] > it.cursor]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(it.wait_s):
                while not agent.outbox and not agent.revoked:
                    agent.changed.clear()
                    await agent.changed.wait()
        if agent.revoked:
            raise Problem(403, Code.REVOKED, f"{agent.name} was revoked")
        items = tuple(item for _, kind, item in agent.outbox if may_send(kind, it.protocol))
        return messages.write_poll_answer(messages.PollAnswer(it.protocol, items, self.clock()))

    async def _events(self, request: web.Request, body: bytes) -> dict[str, Any]:
        agent = self._agent(request, body)
        value = _json(body)
        _spoken(value)
        it = messages.read_events_request(value)
        applied = agent.streams.get(it.stream, it.first - 1)
        if it.first > applied + 1 and not it.skipped:
            raise Problem(409, Code.GAP, f"{applied + 1} is expected", expected=applied + 1)
        for number, event in enumerate(it.events, it.first):
            if number > applied:
                agent.events.append(write_event(event))
                applied = number
        if it.events:
            agent.streams[it.stream] = applied
        return messages.write_events_answer(messages.EventsAnswer(applied))

    def _agent(self, request: web.Request, body: bytes) -> Enrolled:
        claim = requests.read_claim(request.headers)
        if claim is None:
            raise Problem(401, Code.BAD_SIGNATURE, "the request is not signed")
        agent = self.agents.get(claim.agent)
        if agent is None:
            raise Problem(401, Code.UNKNOWN_AGENT, "no such agent has enrolled")
        now_s = int(self.clock().timestamp())
        fault = requests.fault_of(claim, agent.public_key, request.method, request.path_qs, body, now_s=now_s)
        if fault is Code.CLOCK_SKEW:
            nonce = requests.nonce_of(request.headers)
            proofs = [requests.time_proof(self.key, agent.id, nonce, now_s)] if nonce else []
            raise Problem(
                401, fault, "the clock of the request is off by more than 5 minutes", time=now_s, proofs=proofs
            )
        if fault is not None:
            raise Problem(401, fault, "the signature is not that of this agent")
        if agent.revoked:
            raise Problem(403, Code.REVOKED, f"{agent.name} was revoked")
        return agent


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, Code.BAD_MESSAGE, "the body is no JSON") from None


def _spoken(value: Any) -> None:
    protocol = value.get("protocol") if isinstance(value, dict) else None
    if isinstance(protocol, int) and not is_spoken(protocol):
        raise Problem(426, Code.PROTOCOL, f"protocols up to {PROTOCOL} are spoken")


@contextlib.asynccontextmanager
async def fake_manager(_: Path | None = None, *, host: str = "127.0.0.1") -> AsyncIterator[FakeManager]:
    """A manager that answers for as long as the block lasts, at an address of this machine."""
    manager = FakeManager(host)
    await manager.start()
    try:
        yield manager
    finally:
        await manager.stop()
