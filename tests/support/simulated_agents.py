"""Agents that speak the real protocol over real sockets, thousands of them in one process, and no engine behind them.

What they are assigned "happens" as a script says. Everything that they are told is checked (`Record`). Their disks are
their objects: what is acknowledged to the manager is kept in one, whatever becomes of connections and managers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.support.simulated_http import Answer, CutError, Line, Lines
from tests.support.simulated_record import Record

from tidegate.domain.assignment import Assignment
from tidegate.domain.course import StepTook
from tidegate.domain.rollout_apply import Outcome
from tidegate.protocol import messages
from tidegate.protocol.events import Event, Health, Inventory, InventoryTarget, Member, Report, Running
from tidegate.protocol.fields import MessageError
from tidegate.protocol.keys import load_key, make_key, public_text
from tidegate.protocol.messages import EVENTS_PATH, MOST_EVENTS, POLL_PATH, Item
from tidegate.protocol.requests import enrol_proof, signed_headers
from tidegate.protocol.signed import Pin, Withdraw, read_unverified
from tidegate.protocol.version import PROTOCOL

REPOSITORY, TAG = "127.0.0.1:9/acme/app", "stable"
TARGET = "shop/web"
OLD = f"sha256:{'1' * 64}"
_ANSWER_S = 60.0
_OK = 200
_AWAY = {408, 425, 429, 500, 502, 503, 504}
_AT_ONCE_S = 0.5
_Place = tuple[str, int]
"""A target, and a generation of its assignments."""


@dataclass(frozen=True, slots=True)
class Say:
    """What an agent tells of an assignment, so long after what it told before."""

    after_s: float
    outcome: Outcome
    reason: str = ""
    blame: bool = False


Script = Callable[[str, Assignment], Sequence[Say]]
"""What becomes of an assignment that the agent with this name got. Nothing: it is never heard of again."""


def goes_well(agent: str, it: Assignment) -> Sequence[Say]:
    """Everything does, within a moment that is another for each."""
    del agent, it
    return Say(random.uniform(0, 0.05), Outcome.BEGUN), Say(random.uniform(0, 0.1), Outcome.HEALTHY)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an agent waits after failures in a row, half of it by chance. `heeds`: the manager may ask for more."""

    first_s: float = 1.0
    longest_s: float = 60.0
    heeds: bool = True

    def wait_s(self, failures: int, retry_after_s: float | None) -> float:
        """Before the next try."""
        full_s = min(self.longest_s, self.first_s * 2.0 ** min(max(0, failures - 1), 30))
        floor_s = (retry_after_s or 0.0) * random.uniform(1, 1.2) if self.heeds else 0.0
        return max(full_s * random.uniform(0.5, 1), floor_s)


IMPATIENT = Patience(0.05, 0.5, heeds=False)
"""For tests, which have no minute."""


@dataclass
class World:
    """What agents share: where the managers are, how things go, and what is kept of it.

    While `may_begin` is not set they begin nothing that they are assigned.
    """

    managers: Sequence[tuple[str, int]]
    script: Script = goes_well
    patience: Patience = IMPATIENT
    waits_s: tuple[int, int] = (35, 60)
    record: Record = field(default_factory=Record)
    lines: Lines = field(default_factory=lambda: Lines(64))
    may_begin: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_begin.set()


class AwayError(Exception):
    """The manager cannot be asked now."""

    def __init__(self, why: str, retry_after_s: float | None = None) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class GapError(Exception):
    """The manager lacks events; `expected` is the first of them."""

    def __init__(self, expected: int) -> None:
        super().__init__(expected)
        self.expected = expected


class SimulatedAgent:
    """One agent with one target. `run` goes on until it is cancelled, and may be run again."""

    def __init__(self, world: World, name: str, token: str, *, digest: str = OLD) -> None:
        self.name, self.id, self.manager_key = name, "", ""
        self.runs = {TARGET: digest}
        self.cursor = 0
        self.stream, self.applied = uuid4().hex, 0
        self.polls = 0
        self._world = world
        self._token = token
        self._key = load_key(make_key())
        self._queue: list[Event] = []
        self._more = asyncio.Event()
        self._line = Line(*random.choice(world.managers))
        self._accepted: dict[_Place, Assignment] = {}
        self._withdrawn: set[_Place] = set()
        self._begun: set[_Place] = set()
        self._busy: dict[_Place, asyncio.Task[None]] = {}

    @property
    def untold(self) -> int:
        """How many events the manager has not acknowledged."""
        return len(self._queue)

    @property
    def idle(self) -> bool:
        """Whether everything that it was assigned has ended, and was told."""
        return not self._queue and all(task.done() for task in self._busy.values())

    async def run(self) -> None:
        """Enrol, tell what there is, and poll and carry out until cancelled."""
        await self.enrol()
        self.tell(self.inventory())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._patiently(self._poll))
                tasks.create_task(self._patiently(self._send))
        finally:
            self._line.close()
            for task in self._busy.values():
                task.cancel()

    async def enrol(self) -> None:
        """Become somebody, unless it is already."""
        if not self.id:
            await self._patiently(self._enrol, once=True)

    def tell(self, *events: Event) -> None:
        """Have these told, in their order."""
        self._queue += events
        self._more.set()

    def inventory(self) -> Inventory:
        """What runs."""
        targets = tuple(
            InventoryTarget(
                target=target,
                image=f"{REPOSITORY}:{TAG}",
                repository=REPOSITORY,
                tag=TAG,
                digest=digest,
                state=Running.RUNNING,
                health=Health.HEALTHY,
                platform="linux/amd64",
                strategy="start-first",
                members=(Member(f"{target.replace('/', '-')}-1", "running", Health.HEALTHY, digest),),
            )
            for target, digest in self.runs.items()
        )
        return Inventory(_now(), targets)

    # the conversation

    async def _patiently(self, what: Callable[[], Any], *, once: bool = False) -> None:
        failures = 0
        while True:
            try:
                await what()
                failures = 0
            except AwayError as error:
                failures += 1
                self._line.close()
                self._line = Line(*random.choice(self._world.managers))
                await asyncio.sleep(self._world.patience.wait_s(failures, error.retry_after_s))
            else:
                if once:
                    return

    async def _enrol(self) -> None:
        request = messages.EnrolRequest(
            PROTOCOL, self._token, self.name, public_text(self._key), "simulated", enrol_proof(self._key, self._token)
        )
        body = _json(messages.write_enrol_request(request))
        answer = messages.read_enrol_answer(await self._post("enrol", messages.ENROL_PATH, body))
        self.id, self.manager_key = answer.agent, answer.manager_key

    async def _poll(self) -> None:
        cursor, began = self.cursor, asyncio.get_running_loop().time()
        request = messages.PollRequest(PROTOCOL, cursor, random.randint(*self._world.waits_s), "simulated")
        body = _json(messages.write_poll_request(request))
        answer = await self._post("poll", POLL_PATH, body, held_s=request.wait_s)
        try:
            items = messages.read_poll_answer(answer).items
        except MessageError as error:
            self._world.record.fault(f"unreadable: {self.name} got {str(answer)[:200]}: {error}")
            items = ()
        self.polls += 1
        for item in items:
            self._take(item, cursor)
        if not items and asyncio.get_running_loop().time() - began < _AT_ONCE_S:
            await asyncio.sleep(random.uniform(0.5, 1) * _AT_ONCE_S)  # such as a manager that is ending

    async def _send(self) -> None:
        self._more.clear()
        if not self._queue:
            await self._more.wait()
        some, first = self._queue[:MOST_EVENTS], self.applied + 1
        request = messages.EventsRequest(PROTOCOL, self.stream, first, tuple(some))
        body = _json(messages.write_events_request(request))
        try:
            answer = await self._post("events", EVENTS_PATH, body)
        except GapError as error:
            self._world.record.fault(f"gap: {self.name} sent events from {first}, and {error.expected} was expected")
            raise AwayError("gap") from error
        applied = messages.read_events_answer(answer).applied
        if applied != self.applied + len(some):
            self._world.record.fault(f"miscounted: {self.name} sent {first} and {len(some) - 1} more; {applied=}")
        self.applied += len(some)
        del self._queue[: len(some)]

    async def _post(self, what: str, path: str, body: bytes, *, held_s: float | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.id:
            time_s = int(_now().timestamp())
            headers |= signed_headers(self._key, self.id, "POST", path, body, time_s=time_s)
        try:
            if held_s is not None:
                answer = await self._line.post(path, headers, body, limit_s=held_s + _ANSWER_S)
            else:
                at = (self._line.host, self._line.port)
                answer = await self._world.lines.post(at, path, headers, body, limit_s=_ANSWER_S)
        except CutError as error:
            self._world.record.answers[f"{what} cut"] += 1
            raise AwayError(str(error)) from error
        self._world.record.answers[f"{what} {answer.status}"] += 1
        return self._read(what, answer)

    def _read(self, what: str, answer: Answer) -> Any:
        if answer.status == _OK:
            return json.loads(answer.body)
        if answer.status == 503 and answer.retry_after_s is None:
            self._world.record.fault(f"impolite: {self.name} got 503 without Retry-After: {answer.body[:200]!r}")
        if answer.status == 409 and what == "events":
            with contextlib.suppress(ValueError, TypeError, KeyError):
                raise GapError(int(json.loads(answer.body)["expected"]))
        if answer.status == 500 or answer.status not in _AWAY:
            self._world.record.fault(f"refused: {what} of {self.name}: {answer.status} {answer.body[:300]!r}")
        raise AwayError(f"{answer.status}", answer.retry_after_s)

    # what it is told, and what becomes of it

    def _take(self, item: Item, cursor: int) -> None:
        if item.seq <= cursor:
            self._world.record.fault(f"doubled: {self.name} got item {item.seq} though it has those up to {cursor}")
            return
        self._world.record.sealed(self.name, self.manager_key, item)
        self.cursor = max(self.cursor, item.seq)
        match read_unverified(item.document):
            case Assignment() as it:
                if self._world.record.assignment(self.name, self.id, self.runs, item.seq, it):
                    self._accept(it)
            case Withdraw() as it if it.agent == self.id:
                self._withdraw((it.target, it.generation))
            case Pin() as it if it.agent == self.id:
                self.manager_key = it.key
            case strange:
                self._world.record.fault(f"foreign: {self.name} got {strange}")

    def _accept(self, it: Assignment) -> None:
        amid = [of for (target, of), task in self._busy.items() if target == it.target and not task.done()]
        if amid:
            what = f"{it.target} of generation {it.generation}"
            self._world.record.fault(f"two at once: {self.name} got {it.id} ({what}) amid those of {amid}")
        self._accepted[it.target, it.generation] = it
        self._busy[it.target, it.generation] = asyncio.create_task(self._carry_out(it))

    async def _carry_out(self, it: Assignment) -> None:
        await self._world.may_begin.wait()
        for say in self._world.script(self.name, it):
            await asyncio.sleep(say.after_s)
            if (it.target, it.generation) in self._withdrawn:
                return
            if say.outcome is not Outcome.BUSY:
                self._begun.add((it.target, it.generation))
            self._report(it, say.outcome, say.reason, blame=say.blame)
            if say.outcome is Outcome.HEALTHY:
                self.runs[it.target] = it.digest
                self.tell(self.inventory())

    def _withdraw(self, place: _Place) -> None:
        it = self._accepted.get(place)
        if it is not None and place not in self._begun | self._withdrawn:
            self._withdrawn.add(place)
            self._busy[place].cancel()
            self._report(it, Outcome.WITHDRAWN)

    def _report(self, it: Assignment, outcome: Outcome, reason: str = "", *, blame: bool = False) -> None:
        took_s = 1.5 if outcome is Outcome.HEALTHY else None
        steps = (StepTook("prove", 1.0, f"{it.target.replace('/', '-')}-1"), StepTook("bake", 0.5)) if took_s else ()
        what = Report(_now(), it.id, it.rollout, it.target, it.generation, it.digest, outcome, reason, blame, took_s)
        self.tell(replace(what, steps=steps))


def _json(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def _now() -> datetime:
    return datetime.now(UTC)
