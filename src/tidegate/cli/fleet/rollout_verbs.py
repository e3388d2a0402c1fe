"""`tidegate rollout approve|reject|pause|resume|abort|retry|advance|rollback`: what people say to a rollout."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import typer

from tidegate.cli.fleet.ask import confirm
from tidegate.cli.fleet.client import Manager
from tidegate.cli.fleet.model import Rollout, RolloutTarget, familiar, read_rollout, read_rollout_target, read_rollouts
from tidegate.cli.fleet.options import TIMEOUT_S, AsJson, Reason, RolloutId, Timeout, Yes
from tidegate.cli.fleet.rollout import told
from tidegate.cli.fleet.session import finish
from tidegate.cli.fleet.show import print_json, say

Moved = Callable[[Rollout, RolloutTarget], bool]

_NEVER_TOUCHED: Final = frozenset({"waiting", "skipped", "offline"})


def add_verbs(group: typer.Typer) -> None:
    """Add them to the commands about rollouts."""
    for verb in (approve, reject, pause, resume, abort, retry, advance, rollback):
        group.command(verb.__name__)(verb)


def approve(
    rollout_id: RolloutId,
    *,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Agree to a rollout that somebody else asked for; `rollout show --changes` says what is in it."""
    _say("approve", rollout_id, reason, yes=yes, as_json=as_json, timeout_s=timeout_s, moved=_any)


def reject(
    rollout_id: RolloutId, *, reason: Reason = None, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S
) -> None:
    """Turn a rollout down."""
    _say("reject", rollout_id, reason, as_json=as_json, timeout_s=timeout_s)


def pause(
    rollout_id: RolloutId, *, reason: Reason = None, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S
) -> None:
    """Begin nothing more of it until it is resumed."""
    _say("pause", rollout_id, reason, as_json=as_json, timeout_s=timeout_s)


def resume(
    rollout_id: RolloutId,
    *,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Go on with a paused rollout; failures so far are put up with."""
    _say("resume", rollout_id, reason, yes=yes, as_json=as_json, timeout_s=timeout_s, moved=_still_waits)


def abort(
    rollout_id: RolloutId, *, reason: Reason = None, as_json: AsJson = False, timeout_s: Timeout = TIMEOUT_S
) -> None:
    """End it where it is; what was updated stays so. Asks nothing: it is the brake."""
    _say("abort", rollout_id, reason, as_json=as_json, timeout_s=timeout_s)


def retry(
    rollout_id: RolloutId,
    *,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Offer the release again where it failed or could not be told."""
    _say("retry", rollout_id, reason, yes=yes, as_json=as_json, timeout_s=timeout_s, moved=_went_wrong)


def advance(
    rollout_id: RolloutId,
    *,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Open the next wave now, without the rest of the wait."""
    _say("advance", rollout_id, reason, yes=yes, as_json=as_json, timeout_s=timeout_s, moved=_next_wave)


def rollback(
    rollout_id: RolloutId,
    *,
    reason: Reason = None,
    yes: Yes = False,
    as_json: AsJson = False,
    timeout_s: Timeout = TIMEOUT_S,
) -> None:
    """Put back every target that it updated."""
    _say("rollback", rollout_id, reason, yes=yes, as_json=as_json, timeout_s=timeout_s, moved=_touched)


def _say(
    verb: str,
    rollout_id: int,
    reason: str | None,
    *,
    as_json: bool,
    timeout_s: float,
    yes: bool = True,
    moved: Moved | None = None,
) -> None:
    async def work(manager: Manager) -> None:
        if moved is not None and not yes:
            await _asked(manager, verb, rollout_id, moved)
        body = {} if reason is None else {"reason": reason}
        document = (await manager.write("POST", "rollouts", rollout_id, verb, body=body)).document
        print_json(document) if as_json else say(_answer(document))

    finish(work, timeout_s)


async def _asked(manager: Manager, verb: str, rollout_id: int, moved: Moved) -> None:
    one = read_rollout((await manager.get("rollouts", rollout_id)).document)
    items = [read_rollout_target(item) for item in await manager.every("rollouts", rollout_id, "targets")]
    names = {item.target for item in filter(partial(moved, one), items)}
    confirm(f"{verb} rollout {one.id}, {familiar(one.channel)} to {one.what}", names, yes=False)


def _answer(document: Any) -> str:
    return "\n".join(told(read_rollout(one)) for one in read_rollouts(document))


def _any(_: Rollout, __: RolloutTarget) -> bool:
    return True


def _still_waits(_: Rollout, one: RolloutTarget) -> bool:
    return one.progress == "waiting"


def _went_wrong(_: Rollout, one: RolloutTarget) -> bool:
    return one.progress in {"failed", "inconclusive", "skipped", "offline"}


def _next_wave(it: Rollout, one: RolloutTarget) -> bool:
    return one.wave == it.wave + 1


def _touched(_: Rollout, one: RolloutTarget) -> bool:
    return one.progress not in _NEVER_TOUCHED
