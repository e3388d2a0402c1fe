"""The hooks around an update: the one before may put it off, the one after may complain."""

import contextlib
from collections.abc import Sequence

import structlog

from tidegate.agent.bookkeeping import Bookkeeping
from tidegate.agent.decide import Decision
from tidegate.agent.hooks import HookOutcome, run_hook
from tidegate.agent.prepare import Prepared
from tidegate.agent.store.busy import Busy
from tidegate.agent.store.files import Clock, StateError, wall_clock
from tidegate.domain.durations import format_duration
from tidegate.domain.policy import Hook, Policy
from tidegate.domain.rollout_policy import BusyThen
from tidegate.engine.errors import NotFoundError
from tidegate.engine.port import Engine

_log = structlog.get_logger(__name__)


class UpdateHooks:
    """Runs pre-update hooks in the old containers and post-update hooks in the new ones."""

    def __init__(self, engine: Engine, books: Bookkeeping, busy: Busy, clock: Clock = wall_clock) -> None:
        self._engine = engine
        self._books = books
        self._busy = busy
        self._clock = clock
        self._told: dict[str, tuple[str, str | None]] = {}

    async def before(self, members: Sequence[Decision], *, alone: bool = False) -> HookOutcome:
        """`DONE`, or why not to go on: exit 75 says busy and asks again later, another failure leaves all as it is.

        `alone`: no manager says for how long that is waited for, so the container's own policy does.
        """
        for one in members:
            policy = one.place.policy
            if policy is None or policy.pre_update is None:
                continue
            container = await self._engine.container(one.place.id)
            result = await run_hook(self._engine, container, policy.pre_update.command, policy.pre_update.timeout_s)
            if result.outcome is HookOutcome.FAILED:
                _log.error("pre-update hook failed", container=one.place.name, output=result.output)
                self._books.note(one.place, "failed", f"its pre-update hook failed: {result.output}", one)
                return result.outcome
            if result.outcome is HookOutcome.BUSY:
                outcome = self._waited(one, policy) if alone else self._defer(one)
                if outcome is not HookOutcome.DONE:
                    return outcome
        return HookOutcome.DONE

    def _waited(self, one: Decision, policy: Policy) -> HookOutcome:
        """What becomes of one that is busy; `DONE`: it is updated all the same."""
        if policy.busy_wait_s <= 0:
            return self._defer(one)
        waited_s = self._busy.said(one.place.name, one.latest_digest or "", self._clock())
        if waited_s < policy.busy_wait_s:
            return self._defer(one)
        why = f"its pre-update hook has said busy for longer than {format_duration(policy.busy_wait_s)}"
        if policy.busy_then is BusyThen.FORCE:
            self._tell(one, "forced", f"{why}; it is updated all the same")
            return HookOutcome.DONE
        _log.warning("busy for too long, this release is skipped", container=one.place.name)
        self._books.skip(one, f"{why}; this release is skipped")
        self._busy.forget(one.place.name)
        return HookOutcome.GIVEN_UP

    def _defer(self, one: Decision) -> HookOutcome:
        self._tell(one, "deferred", "its pre-update hook says busy (exit 75)")
        return HookOutcome.BUSY

    def _tell(self, one: Decision, outcome: str, reason: str) -> None:
        """Once for each release, however often a busy container is asked."""
        told = (outcome, one.latest_digest)
        if self._told.get(one.place.name) != told:
            self._told[one.place.name] = told
            _log.info("busy", container=one.place.name, reason=reason)
            self._books.note(one.place, outcome, reason, one)

    def forget(self, prepared: Sequence[Prepared]) -> None:
        """These were updated, or tried: the next release is told of, and waited for, anew."""
        for one in prepared:
            self._told.pop(one.replacement.name, None)
            try:
                self._busy.forget(one.replacement.name)
            except StateError as error:  # what is kept counts for that one release only
                _log.warning("how long it was waited for stays on disk", reason=str(error))

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
