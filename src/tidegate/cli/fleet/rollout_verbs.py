"""`tidegate rollout approve|reject|pause|resume|abort|retry|advance`: what people say to a rollout."""

from collections.abc import Callable
from dataclasses import dataclass
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

_NOT_DONE: Final = frozenset({"waiting", "inconclusive", "offline"})
_TAKEN_BACK: Final = frozenset({"offered", "busy"})
"""Where a pause has taken back what was offered, so that it is offered anew."""
_WENT_WRONG: Final = frozenset({"failed", "inconclusive", "skipped", "offline"})


@dataclass(frozen=True, slots=True)
class Verb:
    """What is said, as it is written. `moved`: which targets it moves, so that it is asked for; None: it moves none."""

    name: str
    about: str
    moved: Moved | None = None


def _goes_on(it: Rollout, one: RolloutTarget) -> bool:
    """Whether a target is not done with the release, and is offered it once the rollout goes on."""
    return one.progress in _NOT_DONE or (it.state == "paused" and one.progress in _TAKEN_BACK)


VERBS: Final = (
    Verb(
        "approve",
        "Agree to a rollout that somebody else asked for; `rollout show --changes` says what is in it.",
        lambda _, __: True,
    ),
    Verb("reject", "Turn a rollout down."),
    Verb("pause", "Begin nothing more of it until it is resumed."),
    Verb(
        "resume",
        "Go on with a paused rollout; failures so far are put up with.",
        _goes_on,
    ),
    Verb("abort", "End it where it is; what was updated stays so. Asks nothing: it is the brake."),
    Verb(
        "retry",
        "Offer the release again where it failed or could not be told.",
        lambda it, one: one.progress in _WENT_WRONG or (it.state == "paused" and _goes_on(it, one)),
    ),
    Verb(
        "advance",
        "Open the next wave now, without the rest of the wait.",
        lambda it, one: one.wave <= it.wave + 1 and _goes_on(it, one),
    ),
)


def add_verbs(group: typer.Typer) -> None:
    """Add them to the commands about rollouts."""
    for verb in VERBS:
        group.command(verb.name, help=verb.about)(_command(verb))


def _command(verb: Verb) -> Callable[..., None]:
    """What is written; those that ask nothing take `--yes` like the others, for who always says it."""

    def command(
        rollout_id: RolloutId,
        *,
        reason: Reason = None,
        yes: Yes = False,
        as_json: AsJson = False,
        timeout_s: Timeout = TIMEOUT_S,
    ) -> None:
        _say(verb, rollout_id, reason, yes=yes, as_json=as_json, timeout_s=timeout_s)

    return command


def _say(verb: Verb, rollout_id: int, reason: str | None, *, yes: bool, as_json: bool, timeout_s: float) -> None:
    async def work(manager: Manager) -> None:
        if verb.moved is not None and not yes:
            await _ask(manager, verb.name, rollout_id, verb.moved)
        body = {} if reason is None else {"reason": reason}
        document = (await manager.write("POST", "rollouts", rollout_id, verb.name, body=body)).document
        print_json(document) if as_json else say(_answer(document))

    finish(work, timeout_s)


async def _ask(manager: Manager, verb: str, rollout_id: int, moved: Moved) -> None:
    one = read_rollout((await manager.get("rollouts", rollout_id)).document)
    items = [read_rollout_target(item) for item in await manager.every("rollouts", rollout_id, "targets")]
    names = {item.target for item in filter(partial(moved, one), items)}
    confirm(f"{verb} rollout {one.id}, {familiar(one.channel)} to {one.what}", names, yes=False)


def _answer(document: Any) -> str:
    return "\n".join(told(read_rollout(one)) for one in read_rollouts(document))
