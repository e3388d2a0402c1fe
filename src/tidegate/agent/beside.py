"""Containers that are made beside the one that serves, and go where a kill has left them.

The engine goes on with a create request whose asker is gone. So one may come to be after the agent that was started
again has looked for it, and has ended its transaction without it.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from tidegate.agent.guard import TRANSACTION
from tidegate.agent.replacement import NEXT, SECOND, Replacement
from tidegate.agent.tolerance import tolerated
from tidegate.engine.errors import NameTakenError, NotFoundError
from tidegate.engine.port import Engine

Ended = Callable[[str], bool]
"""Tells of a transaction's id whether it was this agent's, and is over."""
_log = structlog.get_logger(__name__)


async def create_beside(engine: Engine, it: Replacement, body: Mapping[str, Any], ended: Ended) -> str:
    """Create a container under the candidate's name, in place of one that a kill has left; its id.

    Raises `NameTakenError` where that may be another agent's.
    """
    with contextlib.suppress(NotFoundError):
        found = await engine.container(it.next_name)
        own = found.labels.get(TRANSACTION) == it.id
        if not own and not _left_over(found.status, found.labels, ended):
            raise NameTakenError(
                f"a container named {found.name} exists already, of another update of {it.name} that is "
                f"under way or was left behind; if no other agent is at work: docker rm -f {found.name}"
            )
        await engine.remove(found.id, force=True, volumes=True)
    return await engine.create(it.next_name, body)


async def remove_left_over(engine: Engine, ended: Ended) -> None:
    """Remove what was made for a transaction of ours that is over, and was never started."""
    for one in await engine.containers(labels={TRANSACTION: ""}):
        if one.name.endswith((NEXT, SECOND)) and _left_over(one.state, one.labels, ended):
            with tolerated(one.name):
                _log.info("what the engine made for an update that is over is removed", container=one.name)
                await engine.remove(one.id, force=True, volumes=True)


def _left_over(state: str, labels: Mapping[str, str], ended: Ended) -> bool:
    """Nothing has run in it, and nobody is to start it any more."""
    return state == "created" and ended(labels.get(TRANSACTION, "").rpartition(".")[0])
