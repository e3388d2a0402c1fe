"""The hooks around an update: the one before may put it off, the one after may complain."""

import contextlib
from collections.abc import Sequence

import structlog

from tidegate.agent.bookkeeping import Bookkeeping
from tidegate.agent.decide import Decision
from tidegate.agent.hooks import HookOutcome, run_hook
from tidegate.agent.prepare import Prepared
from tidegate.domain.policy import Hook
from tidegate.engine.errors import NotFoundError
from tidegate.engine.port import Engine

_log = structlog.get_logger(__name__)


class UpdateHooks:
    """Runs pre-update hooks in the old containers and post-update hooks in the new ones."""

    def __init__(self, engine: Engine, books: Bookkeeping) -> None:
        self._engine = engine
        self._books = books
        self._deferred: dict[str, str | None] = {}

    async def before(self, members: Sequence[Decision]) -> HookOutcome:
        """`DONE`, or why not to go on: exit 75 says busy and asks again later, another failure leaves all as it is."""
        for one in members:
            hook = one.place.policy.pre_update if one.place.policy else None
            if hook is None:
                continue
            container = await self._engine.container(one.place.id)
            result = await run_hook(self._engine, container, hook.command, hook.timeout_s)
            if result.outcome is HookOutcome.BUSY:
                self._defer(one)
                return result.outcome
            if result.outcome is HookOutcome.FAILED:
                _log.error("pre-update hook failed", container=one.place.name, output=result.output)
                self._books.note(one.place, "failed", f"its pre-update hook failed: {result.output}", one)
                return result.outcome
        return HookOutcome.DONE

    def _defer(self, one: Decision) -> None:
        """Told once for each release, however often a busy container is asked."""
        if self._deferred.get(one.place.name) != one.latest_digest:
            self._deferred[one.place.name] = one.latest_digest
            _log.info("busy, asked again soon", container=one.place.name)
            self._books.note(one.place, "deferred", "its pre-update hook says busy (exit 75)", one)

    def forget(self, prepared: Sequence[Prepared]) -> None:
        """These were updated, or tried: the next release is told of anew."""
        for one in prepared:
            self._deferred.pop(one.replacement.name, None)

    async def after(self, one: Prepared) -> None:
        """Run its post-update hook in the new container, unless a person has removed that in its bake."""
        if one.policy.post_update is not None and one.replacement.candidate is not None:
            with contextlib.suppress(NotFoundError):
                await self._post_update(one.replacement.candidate, one.policy.post_update)

    async def _post_update(self, candidate: str, hook: Hook) -> None:
        container = await self._engine.container(candidate)
        result = await run_hook(self._engine, container, hook.command, hook.timeout_s)
        level = _log.error if result.outcome is HookOutcome.FAILED else _log.info
        level("post-update hook", container=container.name, outcome=str(result.outcome), output=result.output)
