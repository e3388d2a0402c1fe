"""Carries out the steps of a replacement on a real engine, one method a step."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import structlog

from tidegate.agent.beside import Ended, create_beside
from tidegate.agent.guard import TRANSACTION, Guard
from tidegate.agent.hooks import HookOutcome, run_hook
from tidegate.agent.injected import Kept, hand_on
from tidegate.agent.output import said_by_check
from tidegate.agent.private import PrivateNetworks, way_out_of
from tidegate.agent.replacement import Replacement
from tidegate.agent.tags import lent, point_tag
from tidegate.domain.policy import Cut, Policy
from tidegate.domain.recreate_candidate import NO_RESTART, for_candidate
from tidegate.domain.transaction import Step, Strategy
from tidegate.engine.errors import EngineError, NotFoundError, NotRunnableError
from tidegate.engine.model import Container, Health
from tidegate.engine.port import Engine

KEEP_REPOSITORY = "tidegate.local/keep"
STOPPING = ("kill", "die", "stop")
Place = Mapping[str, Any]
"""Endpoint settings of one network."""

_LOOK_EVERY_S = 0.5
_log = structlog.get_logger(__name__)


class Unhealthy(Exception):  # noqa: N818 - a verdict, not an error
    """The candidate was not proved; the message says how it showed. `output` is what it wrote, if it is gone since."""

    def __init__(self, message: str, output: str = "") -> None:
        super().__init__(message)
        self.output = output


class Announce(Protocol):
    """Makes the host learn at once where a container's addresses are."""

    async def __call__(self, container: Container) -> None:
        """Never fails an update."""

    def during_cut(self, incumbent: Container) -> AbstractAsyncContextManager[None]:
        """Watch over its addresses while another container takes its place. Never fails an update."""


class Prove(Protocol):
    """Waits for a container's verdict."""

    async def __call__(self, container: str, guard: Guard, *, network: str | None) -> None:
        """Return when healthy; raise `Unhealthy` otherwise. `network` is where a probe may reach it."""


class Hands:
    """The engine's side of one replacement. Each step may be done again after it was done."""

    def __init__(
        self,
        engine: Engine,
        private: PrivateNetworks,
        *,
        replacement: Replacement,
        policy: Policy,
        guard: Guard,
        prove: Prove,
        announce: Announce,
        ended: Ended,
        kept: Kept | None = None,
    ) -> None:
        self._engine = engine
        self._private = private
        self._it = replacement
        self._policy = policy
        self._guard = guard
        self._prove = prove
        self._announce = announce
        self._ended = ended
        self._kept = kept
        self._steps: dict[Step, Callable[[], Awaitable[None]]] = {
            Step.MOVE_TAG: self.move_tag,
            Step.PRIVATE_NETWORK: self.private_network,
            Step.CREATE: self.create,
            Step.START: self.start,
            Step.PROVE: self.prove,
            Step.HOLD: self.hold,
            Step.DRAIN: self.drain,
            Step.CUT: self.cut,
            Step.JOIN: self.join,
            Step.CONFIRM: self.confirm,
            Step.STOP: self.stop,
            Step.REMOVE: self.remove,
            Step.NAME: self.name,
            Step.ADOPT: self.adopt,
        }

    async def perform(self, step: Step) -> None:
        """Do one step. Raises `Unhealthy`, `EngineError`, `Interfered`."""
        await self._steps[step]()

    @property
    def candidate(self) -> str:
        """The candidate's id. Only after `create`."""
        if self._it.candidate is None:
            raise RuntimeError("the candidate has not been created yet")
        return self._it.candidate

    async def move_tag(self) -> None:
        """Point the mutable tag at the new image, so that Compose, if somebody calls it, agrees with us.

        What follows another container keeps its image, and its tag what that names.
        """
        if self._it.follows:
            return
        if not self._it.reverse:  # nobody wants to go back to what is being left
            await self._engine.tag(self._it.old_image, KEEP_REPOSITORY, image_tag(self._it.old_image))
        await point_tag(self._engine, self._it.reference, self._it.new_image)

    async def private_network(self) -> None:
        """Make the network the candidate is proved on, with its neighbours on it."""
        it = self._it
        overlap = it.strategy is not Strategy.STOP_FIRST
        if not overlap and not (it.endpoints and self._private.needed_by(self._policy.probe)):
            return
        it.private = await self._private.make(it.id, way_out=it.strategy is Strategy.START_FIRST)
        if overlap:
            incumbent = await self._engine.container(it.incumbent)
            await self._private.fill(it.private, await self._private.neighbours(incumbent, it.late))

    async def create(self) -> None:
        """Create the candidate beside the incumbent, with no restart policy until it has taken over."""
        it = self._it
        (first, settings), rest = self._networks_at_creation()
        body = for_candidate(it.request, {TRANSACTION: it.id}, first, settings)
        async with lent(self._engine, it) if it.follows else contextlib.nullcontext():
            it.candidate = await create_beside(self._engine, it, body, self._ended)
        self._guard.candidate_is(it.candidate)
        for name, place in rest:
            await self._engine.connect(name, it.candidate, place)
        await self._check_image()
        await hand_on(self._engine, it, self.candidate, self._kept)

    async def _check_image(self) -> None:
        """The request names the image by its mutable tag, which somebody else may have moved meanwhile."""
        made = (await self._engine.container(self.candidate)).image_id
        if made != self._it.new_image:
            raise EngineError(
                f"{self._it.reference} was moved to another image ({made[:19]}) while {self._it.name} was being "
                f"updated; it is looked at again at the next poll"
            )

    def _networks_at_creation(self) -> tuple[tuple[str | None, Place], list[tuple[str, Place]]]:
        """The network that the create request names, and those connected before the start."""
        it = self._it
        wanted: list[tuple[str, Place]] = [(name, it.endpoints[name]) for name in it.early if name in it.endpoints]
        if it.private is not None:
            wanted.append((it.private, self._links()))
            if it.strategy is Strategy.START_FIRST:
                wanted.append((way_out_of(it.id), {}))
        return (wanted[0], wanted[1:]) if wanted else ((None, {}), [])

    def _links(self) -> Place:
        """Links to neighbours hold on the private network too: those are there under their own names."""
        links = [link for name in self._it.late for link in self._it.endpoints[name].get("Links") or ()]
        return {"Links": links} if links else {}

    async def start(self) -> None:
        """Start the candidate; a start that fails for the image's sake is a verdict, any other is the host's."""
        try:
            with self._guard.acting(self.candidate, "start"):
                await self._engine.start(self.candidate)
        except NotRunnableError as error:
            raise Unhealthy(f"it could not be started: {error}") from error
        if self._it.strategy is Strategy.STOP_FIRST:
            await self._announce(await self._engine.container(self.candidate))

    async def prove(self) -> None:
        """Wait for the verdict."""
        await self._prove(self.candidate, self._guard, network=self._it.private)

    async def abandon_candidate(self) -> None:
        """Remove the candidate and its private network; the incumbent has not been touched yet."""
        with self._guard.acting(self.candidate, *STOPPING, "destroy"):
            await self._engine.remove(self.candidate, force=True, volumes=True)
        if self._it.private is not None:
            await self._private.remove(self._it.private)
        self._it.candidate = self._it.private = None

    async def hold(self) -> None:
        """From here on the engine must not start the incumbent again by itself."""
        with contextlib.suppress(NotFoundError):
            await self._engine.set_restart_policy(self._it.incumbent, NO_RESTART)

    async def drain(self) -> None:
        """Give the incumbent its time, or its hook, to finish what it has begun."""
        hook = self._policy.drain_hook
        if hook is not None:
            incumbent = await self._engine.container(self._it.incumbent)
            result = await run_hook(self._engine, incumbent, hook.command, hook.timeout_s)
            level = _log.error if result.outcome is HookOutcome.FAILED else _log.info
            level("drain hook", container=self._it.name, outcome=str(result.outcome), output=result.output)
        if self._policy.drain_s > 0:
            await asyncio.sleep(self._policy.drain_s)

    async def cut(self) -> None:
        """Take the serving networks, and the host ports with them, from the incumbent."""
        if self._policy.cut is Cut.GRACEFUL:
            await self.stop()
            return
        # the network that publishes, the first by name, goes last: else the ports move on to the next one meanwhile
        for name in sorted(self._it.late, reverse=True):
            await self._engine.disconnect(name, self._it.incumbent, force=True)

    async def join(self) -> None:
        """Let the candidate serve: join what it serves on, with its names there."""
        for name in sorted(self._it.late):
            await self._engine.connect(name, self.candidate, self._it.endpoints[name])
        await self._announce(await self._engine.container(self.candidate))

    async def look(self, step: Step) -> None:
        """See whether the candidate can stand in for what a step takes from the incumbent. Raises `Unhealthy`."""
        container = await self._engine.container(self.candidate)
        if not container.running:
            raise Unhealthy(f"it exited with code {container.exit_code} after it had been proved")
        if container.health is Health.UNHEALTHY and step is not Step.JOIN:  # where it joins it may become well again
            raise Unhealthy(f"it became unhealthy after it had been proved: {said_by_check(container)}")

    async def confirm(self) -> None:
        """Look once more, now that it serves.

        What a swap's candidate lacked on its private network may have made it unhealthy, so it is given the time to
        recover. What is put back is not judged.
        """
        deadline = time.monotonic() + (self._policy.health_timeout_s if self._it.strategy is Strategy.SWAP else 0)
        while True:
            container = await self._engine.container(self.candidate)
            if not container.running:
                raise Unhealthy(f"it exited with code {container.exit_code} on joining its networks")
            if container.health is not Health.UNHEALTHY or self._it.reverse:
                return
            if time.monotonic() >= deadline:
                raise Unhealthy(f"it became unhealthy on joining its networks: {said_by_check(container)}")
            await self._guard.stirred(_LOOK_EVERY_S)

    async def stop(self) -> None:
        """Stop the incumbent with its own signal and grace period."""
        with self._guard.acting(self._it.incumbent, *STOPPING):
            await stop_incumbent(self._engine, self._it, self._policy)

    async def remove(self) -> None:
        """Remove the incumbent; its volumes stay, its create request and its image are kept."""
        with self._guard.acting(self._it.incumbent, *STOPPING, "destroy"):
            await self._engine.remove(self._it.incumbent, force=True)

    async def name(self) -> None:
        """Take over the name."""
        await self._engine.rename(self.candidate, self._it.name)

    async def adopt(self) -> None:
        """From here on the engine keeps the candidate running as the user wished."""
        await self._engine.set_restart_policy(self.candidate, self._it.policy)


async def stop_incumbent(engine: Engine, it: Replacement, policy: Policy) -> None:
    """Stop it with its own signal and grace period, or those that its labels ask for; it may be gone."""
    timeout_s = policy.stop_timeout_s
    with contextlib.suppress(NotFoundError):
        await engine.stop(
            it.incumbent, signal=policy.stop_signal, timeout_s=None if timeout_s is None else int(timeout_s)
        )


def image_tag(image: str) -> str:
    """The tag under which an image is kept: the first 12 hex digits of its id."""
    return image.removeprefix("sha256:")[:12]
