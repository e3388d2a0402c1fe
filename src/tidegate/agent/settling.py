"""Brings a transaction that was cut short to the end that `domain.transaction.settle` chose."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog

from tidegate.agent.guard import NUMBER, PROJECT, SERVICE, TRANSACTION, Guard
from tidegate.agent.hands import STOPPING, Announce, stop_incumbent
from tidegate.agent.homes import has_homes
from tidegate.agent.missed import ensure_same_engine
from tidegate.agent.private import PrivateNetworks
from tidegate.agent.replacement import SECOND, Replacement
from tidegate.agent.tags import give_back, point_tag
from tidegate.domain.policy import Policy
from tidegate.domain.transaction import Party, Scene, Settlement, Strategy, settle
from tidegate.engine.errors import ConflictError, EngineError, EngineUnavailableError, NotFoundError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

_TRIES = 4
_LOOK_EVERY_S = 0.5
_STARTED_WITHIN_LOOKS = 20
_log = structlog.get_logger(__name__)


class Settler:
    """Leaves exactly one of the two containers, named, networked and restarting as it should be."""

    def __init__(self, engine: Engine, private: PrivateNetworks, announce: Announce) -> None:
        self._engine = engine
        self._private = private
        self._announce = announce

    async def settle(
        self,
        it: Replacement,
        policy: Policy,
        guard: Guard,
        decided: Callable[[Settlement], None],
        *,
        back: bool = False,
        chosen: Settlement | None = None,
    ) -> Settlement:
        """Look at what is left and end the replacement; `back` insists on the incumbent while it exists.

        `policy` tells how the incumbent is stopped. `decided` is told each end before it is carried out; `chosen` is
        one that was decided before a kill. People may go on acting meanwhile: what vanishes under our hands is looked
        at again. Raises `EngineUnavailableError` also where what looked like somebody's act was the engine's own end.
        """
        for _ in range(_TRIES):
            scene = await self._scene(it, guard)
            await ensure_same_engine(self._engine, guard)
            end = Settlement.INCUMBENT if back and self._may_go_back(scene) else settle(scene)
            # what was decided before a kill holds, unless somebody turns out to have acted since
            end, chosen = end if guard.interfered else chosen or end, None
            decided(end)
            try:
                await self._carry_out(end, it, policy, guard)
            except EngineUnavailableError:
                raise
            except (NotFoundError, ConflictError) as error:
                _log.info("what was to be settled changed meanwhile", container=it.name, error=str(error))
                await guard.quiet()
                continue
            return end
        raise EngineError(
            f"{it.name} could not be brought to rest: somebody keeps acting on it; "
            f"look at `docker ps -a` and run `docker compose up -d` when they are done"
        )

    @staticmethod
    def _may_go_back(scene: Scene) -> bool:
        untouched = scene.incumbent.touch.value in {"none", "restarted"}
        return scene.incumbent.present and untouched and not scene.stranger

    async def _scene(self, it: Replacement, guard: Guard) -> Scene:
        await self._find_candidate(it)
        await self._find_strangers(it, guard)
        rivals = await self._started_rivals(it, guard)
        incumbent = await self._find(it.incumbent)
        candidate = await self._find(it.candidate)
        return Scene(
            incumbent=guard.party(it.incumbent, present=incumbent is not None),
            candidate=guard.party(it.candidate, present=candidate is not None)
            if it.candidate
            else Party(present=False),
            serves=it.serves,
            candidate_runs=not it.was_running or (candidate is not None and candidate.running),
            incumbent_stopped=incumbent is not None and not incumbent.running,
            unseen=guard.unseen,
            stranger=bool(rivals),
            stranger_idle=all(one.status == "created" for one in rivals),
        )

    async def _find_candidate(self, it: Replacement) -> None:
        """A candidate whose creation was cut off before its id was written down is found by its label."""
        if it.candidate is not None:
            return
        for summary in await self._engine.containers(labels={TRANSACTION: it.id}):
            if not summary.name.endswith(SECOND):
                it.candidate = summary.id

    async def _find_strangers(self, it: Replacement, guard: Guard) -> None:
        """What was made for the same place since the transaction began, also where no event tells of it any more."""
        if not it.cluster:
            return
        for row in await self._engine.containers(labels={PROJECT: it.cluster, SERVICE: it.service, NUMBER: it.number}):
            if row.id in {it.incumbent, it.candidate} or not guard.is_strange(row.labels):
                continue
            found = await self._find(row.id)
            if found is not None and found.created >= it.began:
                guard.found_stranger(found.id, found.name)

    async def _find(self, container: str | None) -> Container | None:
        if container is None:
            return None
        with contextlib.suppress(NotFoundError):
            found = await self._engine.container(container)
            return None if found.status in {"removing", "dead"} else found
        return None

    async def _rivals(self, it: Replacement, guard: Guard) -> list[Container]:
        """Containers made by somebody else for the same place: same service, same number."""
        found = [await self._find(stranger) for stranger in guard.strangers]
        return [one for one in found if one is not None and one.labels.get(NUMBER) == it.number]

    async def _started_rivals(self, it: Replacement, guard: Guard) -> list[Container]:
        """Rivals, once one of them has been started: Compose does so a moment after it has made them, if it can."""
        for _ in range(_STARTED_WITHIN_LOOKS):
            rivals = await self._rivals(it, guard)
            if not rivals or any(one.status != "created" for one in rivals):
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        return rivals

    async def _carry_out(self, end: Settlement, it: Replacement, policy: Policy, guard: Guard) -> None:
        _log.info("settling", container=it.name, end=str(end))
        match end:
            case Settlement.INCUMBENT | Settlement.INCUMBENT_STOPPED:
                await self._keep_incumbent(it, guard, run=end is Settlement.INCUMBENT)
            case Settlement.CANDIDATE | Settlement.CANDIDATE_STOPPED:
                await self._keep_candidate(it, policy, guard, run=end is Settlement.CANDIDATE)
            case Settlement.NOTHING:
                await self._drop_candidate(it, guard)
                await self._point_tag(it, it.old_image)
            case Settlement.STRANGER:
                await self._make_way(it, guard)
        await self._sweep(it, guard, end)

    async def _keep_incumbent(self, it: Replacement, guard: Guard, *, run: bool) -> None:
        serve_together = it.strategy is Strategy.START_FIRST and run
        if not serve_together:
            await self._drop_candidate(it, guard)
        await self._restore(it, guard, run=run)
        if serve_together:
            await self._drop_candidate(it, guard)
        await self._point_tag(it, it.old_image)

    async def _restore(self, it: Replacement, guard: Guard, *, run: bool) -> None:
        """The incumbent as it was: on its networks, running, restarting."""
        incumbent = await self._engine.container(it.incumbent)
        for name, settings in it.saved_endpoints.items():
            if name not in incumbent.endpoints:
                await self._engine.connect(name, it.incumbent, settings)
        # without the namespaces it shares it cannot start; it is made anew when those are back
        run = run and it.was_running and await has_homes(self._engine, incumbent)
        if run and not incumbent.running:
            with guard.acting(it.incumbent, "start"):
                await self._engine.start(it.incumbent)
        await self._engine.set_restart_policy(it.incumbent, it.saved_policy)
        if run:
            await self._announce(await self._engine.container(it.incumbent))

    async def _keep_candidate(self, it: Replacement, policy: Policy, guard: Guard, *, run: bool) -> None:
        candidate = await self._engine.container(it.candidate or "")
        with guard.acting(it.incumbent, *STOPPING, "destroy"):
            if candidate.running:
                await stop_incumbent(self._engine, it, policy)
            await self._engine.remove(it.incumbent, force=True)
        for name in it.late:
            if name not in candidate.endpoints:
                await self._engine.connect(name, candidate.id, it.endpoints[name])
        if run and it.was_running and not candidate.running:
            with guard.acting(candidate.id, "start"):
                await self._engine.start(candidate.id)
        if candidate.name != it.name:
            await self._engine.rename(candidate.id, it.name)
        await self._engine.set_restart_policy(candidate.id, it.policy)
        if run and it.was_running:
            await self._announce(await self._engine.container(candidate.id))
        await self._point_tag(it, it.new_image)

    async def _drop_candidate(self, it: Replacement, guard: Guard) -> None:
        if it.candidate is None:
            return
        with guard.acting(it.candidate, *STOPPING, "destroy"):
            await self._engine.remove(it.candidate, force=True, volumes=True)

    async def _make_way(self, it: Replacement, guard: Guard) -> None:
        """Somebody made the container anew: theirs stays, ours go, and the tag names what theirs runs."""
        rivals = await self._rivals(it, guard)
        await self._drop_candidate(it, guard)
        if any(rival.running for rival in rivals):
            with guard.acting(it.incumbent, *STOPPING, "destroy"):
                await self._engine.remove(it.incumbent, force=True)
        if any(rival.image_id == it.old_image for rival in rivals):
            await self._point_tag(it, it.old_image)

    async def _point_tag(self, it: Replacement, image: str) -> None:
        if not it.follows:
            await point_tag(self._engine, it.reference, image)

    async def _sweep(self, it: Replacement, guard: Guard, end: Settlement) -> None:
        """Nothing made for the transaction stays, but for what the surviving candidate still uses."""
        if it.follows:
            await give_back(self._engine, it)
        for summary in await self._engine.containers(labels={TRANSACTION: it.id}):
            if summary.name.endswith(SECOND):
                await self._engine.remove(summary.id, force=True, volumes=True)
        if end is not Settlement.CANDIDATE:
            await self._private.remove(f"tidegate-{it.id}")
            it.private = None
        elif guard.interfered:  # otherwise its bake is still to come
            await self._private.release(f"tidegate-{it.id}")


def describe(end: Settlement, it: Replacement) -> str:
    """What the end means, in words for the history."""
    words: dict[Settlement, Any] = {
        Settlement.INCUMBENT: "the old container serves as before",
        Settlement.INCUMBENT_STOPPED: "the old container is stopped, as was asked",
        Settlement.CANDIDATE: "the new container serves",
        Settlement.CANDIDATE_STOPPED: "the new container is stopped, as was asked",
        Settlement.NOTHING: "nothing of it is left, as was asked",
        Settlement.STRANGER: "the container that was made meanwhile stays",
    }
    return f"{it.name}: {words[end]}"
