"""What people did while nobody listened and the engine remembers no more: told by what is left."""

from collections.abc import Collection

from tidegate.agent.guard import Guard
from tidegate.agent.meanwhile import find
from tidegate.agent.missed import Memory, memory
from tidegate.agent.replacement import Replacement
from tidegate.agent.unfinished import Unfinished
from tidegate.domain.transaction import Step
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

_KEPT_UP = {"always", "unless-stopped"}
_CODES_OF_A_SIGNAL = {130, 131, 143}
"""Of a program that is ended by SIGINT, SIGQUIT or SIGTERM."""
_CODES_OF_A_STOP = {0, 137, *_CODES_OF_A_SIGNAL}
"""The same, or of one that ends itself when it is told to, or is killed when it does not.

A release that was never proved may end itself untold, or be killed by the host for its memory.
"""


async def find_out(
    guard: Guard, it: Replacement, unfinished: Unfinished, engine: Engine, *, drains: bool = False
) -> None:
    """Tell the guard what was done to a replacement that was under way, where events do not tell it.

    `drains`: a hook of its drains the incumbent, which may end when there is nothing left for it to do.
    """
    remembered = await memory(engine, unfinished.last_ns or 0)
    if remembered is Memory.WHOLE or not it.was_running:
        return
    ours = unfinished.was_stopping(it) or (drains and unfinished.was_draining(it))
    incumbent, candidate = await find(engine, it.incumbent), await find(engine, it.candidate)
    if incumbent is None and not unfinished.was_removing(it):
        guard.found_removed(it.incumbent, it.name)
    elif incumbent is not None and not ours and stopped_by_somebody(incumbent, remembered):
        guard.found_stopped(it.incumbent, it.name)
    codes = _CODES_OF_A_STOP if Step.PROVE in it.done else _CODES_OF_A_SIGNAL
    if candidate is not None and stopped_by_somebody(candidate, remembered, codes):
        guard.found_stopped(candidate.id, candidate.name)


def stopped_by_somebody(
    container: Container, remembered: Memory, codes: Collection[int] = frozenset(_CODES_OF_A_STOP)
) -> bool:
    """Whether a container that the agent did not stop was stopped by a person; `codes` are exit codes that tell it.

    One that the engine keeps up would run if nobody had stopped it; of another one the way it ended tells. Of an
    engine that was started again nothing is told: what went down with it may not be up again yet.
    """
    if container.running or container.status == "created" or remembered is not Memory.DROPPED:
        return False
    return kept_up(container) or (not container.oom_killed and container.exit_code in codes)


def kept_up(container: Container) -> bool:
    """Whether the engine starts it again whenever it ends."""
    return container.restart_policy.get("Name") in _KEPT_UP
