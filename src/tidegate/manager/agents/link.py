"""The manager's side of the agent link: what its routes answer, and the work behind them."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import structlog

from tidegate.agent.within import within
from tidegate.manager.agents import drift, fetching, outbox, presence, wakes
from tidegate.manager.agents.batches import Batch, CutOffError, GapError, Intake
from tidegate.manager.agents.enrolment import EnrolError
from tidegate.manager.agents.gathering import FullError, Gathering
from tidegate.manager.agents.held import HeldPolls, RevokedError
from tidegate.manager.agents.keys import KeyFile
from tidegate.manager.agents.known import Agent, KnownAgents
from tidegate.manager.agents.letting_in import Asked, Enrolled, LettingIn
from tidegate.manager.agents.new_names import NewNames, TooManyNewError
from tidegate.manager.agents.newest_key import KeyWatch, behind
from tidegate.manager.agents.refusals import RefusedError, read, refuse, revoked, sentence, too_many_new
from tidegate.manager.agents.strict import check_events
from tidegate.manager.parts import Parts
from tidegate.manager.releases.sightings import seen
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.topics import AGENTS
from tidegate.protocol import messages
from tidegate.protocol.fields import MessageError
from tidegate.protocol.messages import EnrolAnswer, Item, PollAnswer, PollRequest
from tidegate.protocol.problems import Code
from tidegate.protocol.requests import AGENT_HEADER, SKEW_S, fault_of, nonce_of, read_claim, time_proof
from tidegate.protocol.version import PROTOCOL, may_send

T = TypeVar("T")
_ID = re.compile(r"[0-9a-f]{32}")
_GATHER_S = 0.005
_BATCHES = 64
"""Applied in one transaction at most."""
_MOST_BATCHES = 2000
_FULL_RETRY_S = 5
_ENROLLING = 32
"""Let in by one transaction at most."""
_LOOK_S = 20.0
_FLUSH_S = 2.0
_WAKE_S = 0.02
_CHECK_S = 5.0
_STATUS: dict[str, int] = {Code.BAD_TOKEN: 401, Code.BAD_SIGNATURE: 401, Code.REVOKED: 403}
_log = structlog.get_logger(__name__)


class AgentLink:
    """One of a process. What it answers is only as live as `run`, which hears what there is for agents."""

    def __init__(self, parts: Parts) -> None:
        self._parts, self._db, self._clock = parts, parts.db, parts.clock
        self.keys = KeyFile(parts.settings.signing_key_file)
        self._key_watch = KeyWatch()
        self.held = HeldPolls(self._fetch)
        self._known = KnownAgents(parts.db, self.held.cut_off)
        self._heard: dict[str, presence.Heard] = {}
        self._have: dict[str, int] = {}
        self._got: dict[str, int] = {}
        self._given: dict[str, int] = {}
        self._news: set[int] = set()
        self._stir = asyncio.Event()
        self._began = parts.clock()
        letting_in = LettingIn(parts.db, self.keys, parts.clock)
        self._enrolling: Gathering[Asked, Enrolled] = Gathering(
            letting_in, wait_s=_GATHER_S, most=_ENROLLING, room=_MOST_BATCHES
        )
        names = NewNames(parts.settings.agent_targets)
        intake = Intake(parts.db, parts.clock, seen, self._heard_of, names)
        self._intake: Gathering[Batch, int] = Gathering(intake, wait_s=_GATHER_S, most=_BATCHES, room=_MOST_BATCHES)

    # what is answered

    async def enrol(self, body: bytes, address: str) -> dict[str, Any]:
        """Let an agent in. Raises `RefusedError` and `StoreUnavailableError`."""
        message = read(body, messages.read_enrol_request)
        try:
            done = await _not_too_many(self._enrolling.ask(Asked(message, address)))
        except EnrolError as error:
            raise RefusedError(_STATUS.get(error.code, 409), error.code, sentence(error)) from None
        answer = EnrolAnswer(message.protocol, done.agent, done.name, done.manager_key, self._clock())
        return messages.write_enrol_answer(answer)

    async def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request names an agent that is let in; False where it names none.

        Raises `RefusedError`, of one that is not let in, and `StoreUnavailableError`.
        """
        named = headers.get(AGENT_HEADER, "")
        if _ID.fullmatch(named) is None:
            return False
        self._check_not_revoked(await self._find(named))
        return True

    async def _find(self, id_: str) -> Agent:
        agent = await _not_too_many(self._known.find(id_)) if _ID.fullmatch(id_) else None
        if agent is None:
            detail = "No agent with this id has enrolled here; enrol it with a token of `tidegate agents enrol`."
            raise RefusedError(401, Code.UNKNOWN_AGENT, detail)
        return agent

    async def who(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Agent:
        """The agent whose request it is; `target` is the path with its query, as it was sent. Raises `RefusedError`."""
        claim = read_claim(headers)
        if claim is None:
            detail = "The request is not signed: it has to have Tidegate-Agent, Tidegate-Time and Tidegate-Signature."
            raise RefusedError(401, Code.BAD_SIGNATURE, detail)
        agent = await self._find(claim.agent)
        now_s = int(self._clock().timestamp())
        match fault_of(claim, agent.public_key, method, target, body, now_s=now_s):
            case Code.CLOCK_SKEW:
                detail = f"The agent's clock is more than {SKEW_S} s off; `time` is what it is here."
                proofs = self._time_proofs(agent, nonce_of(headers), now_s)
                raise RefusedError(401, Code.CLOCK_SKEW, detail, time=now_s, proofs=proofs)
            case Code():
                detail = f"The signature is not that of agent {agent.name} over this request."
                raise RefusedError(401, Code.BAD_SIGNATURE, detail)
        self._check_not_revoked(agent)
        return agent

    def _time_proofs(self, agent: Agent, nonce: str, now_s: int) -> list[str]:
        """The time, signed by every key that the agent may know; nothing for one that does not ask for it."""
        self._key_watch.check()
        return [time_proof(key, agent.id, nonce, now_s) for key in self.keys().all] if nonce else []

    async def poll(self, agent: Agent, body: bytes, address: str) -> dict[str, Any]:
        """Hold a poll until there is something. Raises `RefusedError`, `StoreUnavailableError` and `KeyBehindError`."""
        message = read(body, messages.read_poll_request)
        self._heard[agent.id] = presence.Heard(self._clock(), message.version, message.protocol, address)
        self._key_watch.check()
        await self._lead(agent, message)
        try:
            items = await self._hold(agent, message)
        except RevokedError:
            raise revoked(agent) from None
        self._check_not_revoked(agent)
        self._key_watch.check()
        if items:
            self._given[agent.id] = message.cursor
        return messages.write_poll_answer(PollAnswer(message.protocol, tuple(items), self._clock()))

    async def _lead(self, agent: Agent, message: PollRequest) -> None:
        """See that the agent can take what waits for it, where it goes by an older key or did not take it before."""
        again = self._given.pop(agent.id, None) == message.cursor
        if message.manager_key and (again or message.manager_key != self.keys().public):
            async with self._db.write() as conn:
                known = outbox.Known(agent.id, message.manager_key, message.cursor)
                await outbox.lead(conn, self.keys(), known, self._clock())

    async def _hold(self, agent: Agent, message: PollRequest) -> Sequence[Item]:
        """What there is, without what an agent of an earlier protocol does not know: that it has as good as got."""
        loop = asyncio.get_running_loop()
        until, cursor = loop.time() + message.wait_s, message.cursor
        while True:
            items = await self.held.hold(agent.id, self._got_upto(agent, cursor), max(0.0, until - loop.time()))
            known = [one for one in items if _is_known(one, message.protocol)]
            if known or not items:
                return known
            cursor = items[-1].seq

    def _got_upto(self, agent: Agent, cursor: int) -> int:
        """What an agent has had once is forgotten."""
        before = self._got.get(agent.id, agent.seen)
        if cursor > before:
            self._have[agent.id] = self._got[agent.id] = cursor
        return max(cursor, before)

    async def events(self, agent: Agent, body: bytes) -> dict[str, Any]:
        """Apply a batch of events. Raises `RefusedError` and `StoreUnavailableError`."""
        if len(body) > messages.MOST_BYTES:
            detail = f"A batch of events has at most {messages.MOST_BYTES} bytes; this one has {len(body)}."
            raise RefusedError(413, "too-large", detail)
        message = read(body, messages.read_events_request)
        try:
            check_events(message.events, self._parts.settings.agent_targets)
        except MessageError as error:
            refuse(error)
        try:
            applied = await _not_too_many(self._intake.ask(Batch(agent, message)))
        except GapError as error:
            detail = f"Event {error.expected} is missing; send it, or `skipped: true` if it is lost."
            raise RefusedError(409, Code.GAP, detail, expected=error.expected) from None
        except CutOffError:
            raise revoked(agent) from None
        except TooManyNewError as error:
            raise too_many_new(agent, error.wait_s) from None
        return messages.write_events_answer(messages.EventsAnswer(applied))

    def _check_not_revoked(self, agent: Agent) -> None:
        if self._known.is_revoked(agent.id):
            raise revoked(agent)

    async def _fetch(self, cursors: Mapping[str, int]) -> Mapping[str, Sequence[Item]]:
        async with self._db.read() as conn:
            return await fetching.fetch(conn, cursors)

    def _heard_of(self, rollouts: set[int]) -> None:
        if rollouts:
            self._news |= rollouts
            self._stir.set()

    # what is done meanwhile

    async def run(self) -> None:
        """Everything that the answers need, until cancelled."""
        works = (
            self._known.run(),
            self._hear(),
            self._close_at_the_end(),
            _every(_FLUSH_S, self.flush),
            _every(_CHECK_S, self.check),
            _every(_CHECK_S, self.look_at_key),
            _every(_CHECK_S, self.pin),
            self._wake(),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in works:
                    tasks.create_task(work)
        finally:
            await self._at_the_end()

    async def _hear(self) -> None:
        """Have agents told of what there is for them; and look whether one was missed."""
        with self._db.bus.listening(AGENTS, self.held.wake):
            await _every(_LOOK_S, self.look)

    async def look(self) -> None:
        """Find agents that were not told of what there is for them. Raises `StoreUnavailableError`."""
        async with self._db.read() as conn:
            self.held.found(await fetching.latest(conn))

    async def flush(self) -> None:
        """Write down who was heard and what they have. Raises `StoreUnavailableError`, and tries again later then."""
        heard, self._heard = self._heard, {}
        have, self._have = (self._have, {}) if self._key_watch.may_sign else ({}, self._have)
        try:
            if heard:
                async with self._db.write() as conn:
                    noted = await presence.note_heard(conn, heard)
                heard = {id_: one for id_, one in heard.items() if id_ not in noted}
                self._heard = heard | self._heard
            if have:
                async with self._db.write() as conn:
                    await outbox.forget(conn, self.keys(), have, self._clock())
        except BaseException:
            self._heard, self._have = heard | self._heard, have | self._have
            self._began = self._clock()  # nobody else is gone because of that, either
            raise

    async def check(self) -> None:
        """Tell who came and who went, and which targets have drifted. Raises `StoreUnavailableError`."""
        now, silent_for = self._clock(), timedelta(seconds=self._parts.settings.offline_s)
        # while this process or the database was not there nobody could be heard, so nobody is gone yet
        silence = presence.Silence(now, now - silent_for, tell_gone=now - self._began >= silent_for)
        async with self._db.read() as conn:
            moved = await presence.has_anybody_come_or_gone(conn, silence)
            drifted = await drift.has_drifted(conn)
        if moved:
            async with self._db.write() as conn:
                await presence.tell_who_came_and_went(conn, silence)
        if drifted:
            async with self._db.write() as conn:
                await drift.tell_drift(conn, now)

    async def look_at_key(self) -> None:
        """See whether the key that signs here is the newest. Raises `StoreUnavailableError`."""
        async with self._db.read() as conn:
            self._key_watch.see(await behind(conn, self.keys()))

    async def pin(self) -> None:
        """Have agents know the key that signs, where they know an older one. Raises `StoreUnavailableError`."""
        keys = self.keys()
        if len(keys.all) == 1 or not self._key_watch.may_sign:
            return
        told = 1
        while told:
            async with self._db.write() as conn:
                told = await outbox.send_pins(conn, keys, self._clock())

    async def _wake(self) -> None:
        """Have rollouts decided that agents have told of. Those whose wake-up was lost are looked for."""
        while True:
            if not await within(self._stir, _CHECK_S):
                await _forgiving(self._find_unheard)
            self._stir.clear()
            await _forgiving(self._wake_rollouts)
            await asyncio.sleep(_WAKE_S)

    async def _find_unheard(self) -> None:
        async with self._db.read() as conn:
            self._news |= set(await wakes.unheard(conn, self._clock()))

    async def _wake_rollouts(self) -> None:
        """Not in the transaction of the events: who decides a rollout may hold it for long."""
        news, self._news = self._news, set()
        try:
            if news:
                async with self._db.write() as conn:
                    await wakes.wake(conn, news, self._clock())
        except BaseException:
            self._news |= news
            raise

    async def _close_at_the_end(self) -> None:
        await self._parts.stopping.wait()
        self.held.close()

    async def _at_the_end(self) -> None:
        await self._intake.close()
        await self._enrolling.close()
        await _forgiving(self.flush)
        await _forgiving(self._wake_rollouts)


def _is_known(item: Item, protocol: int) -> bool:
    return protocol >= PROTOCOL or may_send(json.loads(item.document)["kind"], protocol)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await _forgiving(work)
        await asyncio.sleep(seconds)


async def _forgiving(work: Callable[[], Awaitable[None]]) -> None:
    """A database that is away comes back: nothing else stops for it."""
    try:
        await work()
    except StoreUnavailableError as error:
        _log.warning("work for agents waits for the database", reason=str(error))


async def _not_too_many(asking: Awaitable[T]) -> T:
    try:
        return await asking
    except FullError:
        detail = "More agents are asking at once than are let in; try again."
        raise RefusedError(503, "busy", detail, retry_after_s=_FULL_RETRY_S) from None
