"""`tidegate rollout watch`: a rollout followed to its end, by the manager's stream and by looking."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.errors import FAILED, INTERRUPTED, OK, ROLLOUT_FAILED, FleetError, NotReachableError
from tidegate.cli.fleet.model import TROUBLE, WENT_WRONG, Rollout, RolloutTarget, read_rollout, read_rollout_target
from tidegate.cli.fleet.show import complain
from tidegate.cli.fleet.sse import FeedEvent
from tidegate.cli.fleet.watch_view import View, make_view

_LOOK_S: Final = 2.0
_LOOK_BESIDE_STREAM_S: Final = 15.0
_STREAM_AGAIN_S: Final = 5.0
_PATIENCE_S: Final = 300.0
_GATHER_S: Final = 0.2
_SUBJECT: Final = "rollout "
_KINDS: Final = "rollout."


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look, with the manager's stream and without, and how long to wait for one that is away."""

    look_s: float = _LOOK_S
    look_beside_stream_s: float = _LOOK_BESIDE_STREAM_S
    stream_again_s: float = _STREAM_AGAIN_S
    patience_s: float = _PATIENCE_S


USUAL: Final = Pace()


async def watch_rollout(manager: Manager, rollout_id: int, *, as_json: bool, pace: Pace | None = None) -> int:
    """Show a rollout until it has ended; the exit code. An interrupt ends the watching, and not the rollout."""
    try:
        ended = await _watched(manager, rollout_id, pace or USUAL, as_json=as_json)
    except asyncio.CancelledError:
        complain(f"Rollout {rollout_id} goes on; `tidegate rollout watch {rollout_id}` follows it again.")
        return INTERRUPTED
    return _code(ended)


async def _watched(manager: Manager, rollout_id: int, pace: Pace, *, as_json: bool) -> Rollout:
    first = await manager.get("rollouts", rollout_id)
    ear = _Ear(manager, rollout_id, pace)
    with make_view(as_json=as_json) as view:
        listening = asyncio.create_task(ear.listen())
        try:
            return await _follow(manager, first.document, ear, view, pace)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


async def _follow(manager: Manager, document: Any, ear: "_Ear", view: View, pace: Pace) -> Rollout:
    troubled: tuple[RolloutTarget, ...] = ()
    counted: dict[str, int] = {}
    while True:
        one = read_rollout(document)
        counts = {name: one.counts[name] for name in TROUBLE if name in one.counts}
        if counts != counted:
            troubled, counted = await _troubled(manager, one.id), counts
        view.show(document, one, troubled)
        if one.ended:
            return one
        await ear.heard()
        document = await _looked(manager, one.id, view, pace)


async def _troubled(manager: Manager, rollout_id: int) -> tuple[RolloutTarget, ...]:
    try:
        items = await manager.every("rollouts", rollout_id, "targets", progress=TROUBLE)
    except NotReachableError:
        return ()
    return tuple(one for one in map(read_rollout_target, items) if one.progress in TROUBLE)


async def _looked(manager: Manager, rollout_id: int, view: View, pace: Pace) -> Any:
    """The rollout as it is now; a manager that is away, being restarted perhaps, is waited for."""
    loop = asyncio.get_running_loop()
    until = loop.time() + pace.patience_s
    told = False
    while True:
        try:
            return (await manager.get("rollouts", rollout_id)).document
        except NotReachableError as error:
            if loop.time() >= until:
                raise
            if not told:
                view.note(f"{error} Trying again.")
                told = True
        await asyncio.sleep(pace.look_s)


class _Ear:
    """Listens to the manager's stream, and says when it is time to look again."""

    def __init__(self, manager: Manager, rollout_id: int, pace: Pace) -> None:
        self._manager = manager
        self._rollout_id = rollout_id
        self._pace = pace
        self._told = asyncio.Event()
        self._streaming = False

    async def heard(self) -> None:
        """Wait until something was told of the rollout, or it is time to look without."""
        wait_s = self._pace.look_beside_stream_s if self._streaming else self._pace.look_s
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._told.wait()
                await asyncio.sleep(_GATHER_S)  # what is told at once is looked at once
        self._told.clear()

    async def listen(self) -> None:
        """Keep the stream open, from where it broke off; without one, looking is enough."""
        last = ""
        while True:
            try:
                async for event in self._events(last):
                    last = event.id or last
                    if event.data and concerns(event, self._rollout_id):
                        self._told.set()
            except FleetError:
                pass
            self._streaming = False
            self._told.set()
            await asyncio.sleep(self._pace.stream_again_s)

    async def _events(self, last: str) -> AsyncIterator[FeedEvent]:
        async for event in self._manager.events(last=last, kinds=_KINDS):
            self._streaming = True
            yield event


def concerns(event: FeedEvent, rollout_id: int) -> bool:
    """Whether an event may be about this rollout: it is not, where it names another one."""
    try:
        document = json.loads(event.data)
    except ValueError:
        return True
    subject = str(document.get("subject", "")) if isinstance(document, dict) else ""
    return not subject.startswith(_SUBJECT) or subject == f"{_SUBJECT}{rollout_id}"


def _code(one: Rollout) -> int:
    if one.state in WENT_WRONG:
        return ROLLOUT_FAILED
    return OK if one.state == "completed" else FAILED
