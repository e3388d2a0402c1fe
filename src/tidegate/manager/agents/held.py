"""Polls that are held until there is something for their agent: thousands of them, which cost nothing while idle."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.manager.agents.pace import A_FEW, Pace
from tidegate.protocol.messages import Item

_GATHER_S = 0.01
_AT_ONCE = 100
"""Polls that are looked for together."""

Fetch = Callable[[Mapping[str, int]], Awaitable[Mapping[str, Sequence[Item]]]]
"""By agents' ids their cursors; what each has after it, oldest first. An agent that is left out is asked for again."""


class RevokedError(Exception):
    """The agent was revoked while its poll was held."""


@dataclass(slots=True, eq=False)
class _Poll:
    cursor: int
    done: asyncio.Future[Sequence[Item]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    looked: bool = False
    late: bool = False

    def end(self, items: Sequence[Item]) -> None:
        if not self.done.done():
            self.done.set_result(items)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # whoever waited may have gone


class HeldPolls:
    """One poll of each agent at most. `wake` has the polls of agents looked for together, with one `fetch`."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._held: dict[str, _Poll] = {}
        self._drained: dict[str, int] = {}  # agents that are known to have nothing after this cursor
        self._pending: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._pace = Pace()

    def __len__(self) -> int:
        return len(self._held)

    async def hold(self, agent: str, cursor: int, wait_s: float) -> Sequence[Item]:
        """What there is for an agent after `cursor`, as soon as there is something; nothing if that takes too long.

        Nothing either where a newer poll of the agent takes this one's place. Raises `RevokedError`, and what `fetch`
        raises when it looks the first time.
        """
        if self._closed:
            return []
        poll = _Poll(cursor)
        older, self._held[agent] = self._held.get(agent), poll
        if older is not None:
            older.end([])
        if self._drained.get(agent) == cursor:
            poll.looked = True
        else:
            self._look([agent])
        timer = asyncio.get_running_loop().call_later(wait_s, self._time_out, poll)
        try:
            return await poll.done
        finally:
            timer.cancel()
            if self._held.get(agent) is poll:
                del self._held[agent]

    def wake(self, agents: Sequence[str]) -> None:
        """There may be something for these agents; for anybody, if none is named."""
        if not agents:
            self._drained.clear()
            self._look(list(self._held))
            return
        for agent in agents:
            self._drained.pop(agent, None)
        self._look([agent for agent in agents if agent in self._held])

    def found(self, latest: Mapping[str, int]) -> None:
        """By agents' ids the last number that waits for them: wake those that were not told of it."""
        lacking = [agent for agent, seq in latest.items() if self._lacks(agent, seq)]
        if lacking:
            self.wake(lacking)

    def cut_off(self, agent: str) -> None:
        """End the poll of an agent that was revoked."""
        self._drained.pop(agent, None)
        if agent in self._held:
            self._held[agent].fail(RevokedError())

    def close(self) -> None:
        """End all polls with nothing; those to come are not held."""
        self._closed = True
        for poll in self._held.values():
            poll.end([])

    def _lacks(self, agent: str, seq: int) -> bool:
        poll = self._held.get(agent)
        return seq > (poll.cursor if poll is not None else self._drained.get(agent, seq))

    def _time_out(self, poll: _Poll) -> None:
        poll.late = True
        if poll.looked:
            poll.end([])

    def _look(self, agents: Sequence[str]) -> None:
        self._pending.update(dict.fromkeys(agents))
        if self._pending and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._rounds(), name="held polls")

    async def _rounds(self) -> None:
        while self._pending:
            await asyncio.sleep(_GATHER_S)
            some = list(itertools.islice(self._pending, _AT_ONCE))
            for agent in some:
                del self._pending[agent]
            await self._round({agent: self._held[agent] for agent in some if agent in self._held})

    async def _round(self, polls: Mapping[str, _Poll]) -> None:
        try:
            found = await self._fetch({agent: poll.cursor for agent, poll in polls.items()})
        except Exception as error:  # noqa: BLE001 - it is raised to who polls
            for poll in polls.values():
                poll.fail(error)
            return
        few = 0
        for agent, poll in polls.items():
            items = found.get(agent)
            self._answer(agent, poll, items)
            few += bool(items)
            if few == A_FEW:
                few = 0
                await self._pace.pause(len(self))

    def _answer(self, agent: str, poll: _Poll, items: Sequence[Item] | None) -> None:
        if items is None:
            self._pending[agent] = None
        elif items:
            poll.end(items)
        else:
            poll.looked = True
            if agent not in self._pending:  # told of something meanwhile: then it is looked for again
                self._drained[agent] = poll.cursor
            if poll.late:
                poll.end([])
