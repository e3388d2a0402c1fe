"""Sees, in the engine's events, what people and Compose do to the containers of a transaction."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tidegate.agent.within import within
from tidegate.domain.transaction import Party, Touch
from tidegate.engine.model import Event

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
NUMBER = "com.docker.compose.container-number"
TRANSACTION = "tidegate.transaction"

ENDING_SIGNALS = {"2", "3", "6", "9", "15", "SIGINT", "SIGQUIT", "SIGABRT", "SIGKILL", "SIGTERM"}
_YOUNG_S = 2.0


@dataclass(slots=True)
class _Claim:
    """Actions that are the agent's own where the engine saw them between two times; `until_ns` None is open."""

    actions: frozenset[str]
    since_ns: int = 0
    until_ns: int | None = None
    slack_ns: int = 0

    def covers(self, event: Event) -> bool:
        late = self.until_ns is not None and event.time_ns > self.until_ns + self.slack_ns
        return event.action in self.actions and event.time_ns >= self.since_ns - self.slack_ns and not late


@dataclass(slots=True)
class _Track:
    """What is known of one of the two containers."""

    claims: list[_Claim] = field(default_factory=list)
    killed: bool = False
    ended: bool = False
    stopped: bool = False
    started: bool = False
    destroyed: bool = False
    signalled: bool = False
    """It was sent a signal, by whomever, since it last started."""
    fell: bool = False
    """It ended by itself: a start that follows is the engine's, by its restart policy."""

    def touch(self, *, present: bool) -> Touch:
        # on a busy engine a removal may take longer than the guard waits for it to be told of
        if self.destroyed or (not present and (self.killed or self.stopped)):
            if self.stopped:
                return Touch.REMOVED
            stopped_by_us = any("stop" in claim.actions for claim in self.claims)
            return Touch.CLEARED if stopped_by_us and not self.killed else Touch.KILLED
        if self.started:
            return Touch.RESTARTED
        return Touch.STOPPED if self.stopped or self.killed else Touch.NONE


class Interfered(Exception):  # noqa: N818 - a turn of events, not an error
    """Somebody acted on a container of the transaction; it gives way."""


class Guard:
    """Follows one slot: the incumbent, the candidate, and anything new of the same service and number."""

    def __init__(
        self,
        slot: tuple[str, str, str],
        incumbent: str,
        transaction: str,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = time.time_ns,
        *,
        slack_ns: int = 0,
    ) -> None:
        """`slot` is project, service and container number; empty strings outside of Compose.

        `wall` is the engine's clock in nanoseconds, to within `slack_ns`: where both are on one host, they share it.
        """
        self._slot = slot
        self._transaction = transaction
        self._clock = clock
        self._wall = wall
        self._slack_ns = slack_ns
        self._tracks: dict[str, _Track] = {incumbent: _Track()}
        self._incumbent = incumbent
        self._candidate: str | None = None
        self._candidate_born: float | None = None
        self._last_event = clock()
        self._first_act: float | None = None
        self.watched_from_ns = wall()
        self.first_act_ns: int | None = None
        """When the engine saw the first of somebody's acts; None also where what they did was found without it."""
        self._strangers: set[str] = set()
        self._interfered = asyncio.Event()
        self._stirred = asyncio.Event()
        self.what = ""

    def candidate_is(self, container: str) -> None:
        """Tell the guard the candidate's id as soon as it exists."""
        self._candidate = container
        self._candidate_born = self._clock()
        self._tracks.setdefault(container, _Track())

    def ours(self, container: str, *actions: str) -> None:
        """Say which of a container's events, whenever they were or will be, are the agent's own doing."""
        if container in self._tracks:
            self._tracks[container].claims.append(_Claim(frozenset(actions)))

    @contextlib.contextmanager
    def acting(self, container: str, *actions: str) -> Iterator[None]:
        """Which of a container's events are the agent's own doing while the block lasts, by the engine's clock.

        An earlier event of the same kind, heard late, is somebody else's. Where the block is left by an exception
        the request may still take effect, so the claim stays open.
        """
        claim = _Claim(frozenset(actions), self._wall(), slack_ns=self._slack_ns)
        if container in self._tracks:
            self._tracks[container].claims.append(claim)
        yield
        claim.until_ns = self._wall()

    def may_come_back(self, container: str) -> None:
        """It may have ended by itself before the watch began: the next start is the engine's, by its restart policy."""
        self._tracks[container].fell = True

    @property
    def interfered(self) -> bool:
        """Whether somebody has acted."""
        return self._interfered.is_set()

    def check(self) -> None:
        """Raise `Interfered` if somebody has acted."""
        if self._interfered.is_set():
            raise Interfered(self.what)

    async def wait(self) -> None:
        """Return once somebody has acted."""
        await self._interfered.wait()

    async def news(self, limit_s: float = 0.5) -> None:
        """Wait a moment for word of somebody's doing: events come a little later than what they tell of."""
        await within(self._interfered, limit_s)

    async def stirred(self, timeout_s: float) -> None:
        """Return at the next event of either container, or after `timeout_s`."""
        self._stirred.clear()
        await within(self._stirred, timeout_s)

    def feed(self, event: Event) -> None:
        """Take one event of the engine."""
        if event.kind != "container":
            return
        if event.id in self._tracks:
            self._own(event, self._tracks[event.id])
        elif event.action == "create" and self.is_strange(event.attributes):
            self._strangers.add(event.id)
            self._note(event, "was created beside it")
        elif event.id in self._strangers:
            self._last_event = self._clock()

    def is_strange(self, labels: Mapping[str, str]) -> bool:
        """Whether a container with these labels is one of the same service that is none of this transaction's."""
        if _same_transaction(labels.get(TRANSACTION, ""), self._transaction) or not self._slot[0]:
            return False
        if labels.get("com.docker.compose.oneoff", "False").lower() == "true":
            return False
        return (labels.get(PROJECT), labels.get(SERVICE)) == self._slot[:2]

    def _own(self, event: Event, track: _Track) -> None:
        action = event.action
        if action.startswith(("exec_", "health_status", "top", "attach", "resize", "update")):
            if action.startswith("health_status"):
                self._stirred.set()
            return
        self._stirred.set()
        self._last_event = self._clock()
        if action == "kill":
            track.signalled = True
        if action == "die":
            track.ended, track.fell, track.signalled = True, not track.signalled, False
        elif action == "start" and track.fell:
            track.ended = track.fell = False
        elif not any(claim.covers(event) for claim in track.claims):
            self._apply(event, track)

    def _apply(self, event: Event, track: _Track) -> None:
        match event.action:
            case "kill" if event.attributes.get("signal", "15") in ENDING_SIGNALS:
                track.killed, track.ended, track.started = True, False, False
                self._note(event, "was sent a signal")
            case "stop":
                track.stopped, track.ended, track.started = True, True, False
                self._note(event, "was stopped")
            case "start" | "restart":
                track.started, track.killed, track.stopped = True, False, False
                self._note(event, "was started")
            case "destroy":
                track.destroyed = track.ended = True
                self._note(event, "was removed")

    def _note(self, event: Event, did: str) -> None:
        self._last_event = self._clock()
        if not self._interfered.is_set():
            self._first_act = self._clock()
            self.first_act_ns = event.time_ns
        self._interfere(f"{event.attributes.get('name', event.id[:12])} {did}")

    def _interfere(self, what: str) -> None:
        if not self._interfered.is_set():
            self.what = f"{what} by somebody else"
            self._interfered.set()

    def found_stranger(self, container: str, name: str) -> None:
        """A container of the same service that is there, though no event told of it."""
        if container not in self._strangers:
            self._strangers.add(container)
            self._interfere(f"{name} was created beside it")

    def found_stopped(self, container: str, name: str) -> None:
        """It does not run by somebody's wish, though no event told of it."""
        self._tracks[container].stopped = self._tracks[container].ended = True
        self._interfere(f"{name} was stopped")

    def found_removed(self, container: str, name: str) -> None:
        """It is gone, and the agent has not removed it, though no event told of it."""
        self._tracks[container].destroyed = self._tracks[container].ended = True
        self._interfere(f"{name} was removed")

    async def quiet(self, *, quiet_s: float = 1.5, limit_s: float = 120) -> None:
        """Wait until nobody has acted for `quiet_s` and nothing that was told to end is still ending."""
        deadline = self._clock() + limit_s
        while self._clock() < deadline:
            ending = any(track.killed and not track.ended for track in self._tracks.values())
            rest = self._last_event + quiet_s - self._clock()
            if rest <= 0 and not ending:
                return
            await self.stirred(rest if rest > 0 else quiet_s)

    def party(self, container: str | None, *, present: bool) -> Party:
        """One container as `settle` wants it."""
        track = self._tracks.get(container or "")
        return Party(present=present, touch=track.touch(present=present) if track else Touch.NONE)

    @property
    def unseen(self) -> bool:
        """Whether the candidate was so young when somebody acted that they cannot have meant it."""
        if self._first_act is None:
            return False
        return self._candidate_born is None or self._first_act - self._candidate_born < _YOUNG_S

    @property
    def strangers(self) -> frozenset[str]:
        """Containers of the same service that somebody else made meanwhile."""
        return frozenset(self._strangers)


def _same_transaction(label: str, own: str) -> bool:
    """Whether two replacements' ids, `TXID.NUMBER` or `TXID.NUMBER-back`, are of one transaction."""
    return label == own or ("." in label and label.rpartition(".")[0] == own.rpartition(".")[0])
