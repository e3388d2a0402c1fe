"""Riders: containers in another's network, IPC or process namespace. Where their parent comes up again, so must they.

A rider that runs keeps the namespace that its parent had when the rider started, cut off from everybody; one that
is stopped cannot start again once that parent is gone. So after a way back each rider is looked at as it is now.
"""

from collections.abc import Awaitable, Callable

import structlog

from tidegate.agent.hands import Unhealthy
from tidegate.agent.homes import found, has_homes
from tidegate.agent.replacement import Replacement
from tidegate.agent.way_back import BACK
from tidegate.domain.namespaces import began_before
from tidegate.domain.transaction import Settlement, Strategy
from tidegate.engine.errors import EngineError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

Remake = Callable[[Replacement], Awaitable[None]]
"""Walks a replacement to the same image, made from the rider's saved request."""
_log = structlog.get_logger(__name__)


async def bring_along(rider: Replacement, end: Settlement | None, engine: Engine, remake: Remake) -> None:
    """See that `rider` lives where its parent does now. `end` is how its own replacement was settled, if it was.

    Where the parent or the rider is gone or stopped, that is somebody's doing, and is left as it is.
    """
    parent, container = await found(engine, rider.parent), await found(engine, rider.name)
    if parent is None or not parent.running or container is None:
        return
    if not await has_homes(engine, container):
        _log.info("made anew, for what it shares is gone", container=rider.name, shares=rider.parent)
        await remake(_again(rider, container, run=_is_to_run(rider, container, end)))
    elif container.running and began_before(container.started_at, parent.started_at):
        _log.info("restarted, for what it shares came up again", container=rider.name, shares=rider.parent)
        await engine.restart(container.id)


async def fallen_with_parent(it: Replacement, cause: BaseException, engine: Engine) -> BaseException:
    """Why it failed: a rider cannot start where its parent has ended, and that is the fault of the parent's release."""
    if not it.parent or not isinstance(cause, EngineError):
        return cause
    parent = await found(engine, it.parent)
    if parent is None or parent.running:
        return cause
    return Unhealthy(f"{it.parent}, in which it lives, exited with code {parent.exit_code}")


def _is_to_run(rider: Replacement, container: Container, end: Settlement | None) -> bool:
    """What the agent stopped runs again; what a person stopped does not."""
    return rider.was_running and (container.running or end is Settlement.INCUMBENT)


def _again(rider: Replacement, container: Container, *, run: bool) -> Replacement:
    return Replacement(
        id=f"{rider.id}{BACK}",
        cluster=rider.cluster,
        service=rider.service,
        number=rider.number,
        name=rider.name,
        incumbent=container.id,
        reference=rider.reference,
        old_image=container.image_id,
        new_image=rider.old_image,
        old_digest=rider.new_digest,
        new_digest=rider.old_digest,
        strategy=Strategy.STOP_FIRST,
        late=(),
        early=tuple(rider.saved_endpoints),
        request=rider.saved,
        endpoints=rider.saved_endpoints,
        saved=rider.saved,
        saved_endpoints=rider.saved_endpoints,
        was_running=run,
        reverse=True,
        parent=rider.parent,
    )
