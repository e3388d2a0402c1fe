"""`tidegate rollout watch`: a rollout followed to its end, by the manager's stream and by looking."""

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import Any, Final

from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.ear import USUAL, Ear, Pace
from tidegate.cli.fleet.errors import FAILED, INTERRUPTED, OK, ROLLOUT_FAILED, NotReachableError
from tidegate.cli.fleet.model import TROUBLE, WENT_WRONG, Rollout, RolloutTarget, read_rollout, read_rollout_target
from tidegate.cli.fleet.show import complain
from tidegate.cli.fleet.sse import FeedEvent
from tidegate.cli.fleet.watch_view import View, make_view

_SUBJECT: Final = "rollout "
_KINDS: Final = "rollout."


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
    ear = Ear(manager, _KINDS, pace, partial(concerns, rollout_id=rollout_id))
    with make_view(as_json=as_json) as view:
        listening = asyncio.create_task(ear.listen())
        try:
            return await _follow(manager, first.document, ear, view, pace)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening


async def _follow(manager: Manager, document: Any, ear: Ear, view: View, pace: Pace) -> Rollout:
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
