"""A rollback that a person asks for: the same transaction, backwards, and the release is held from then on."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tidegate.agent.command_rows import CommandOutcome
from tidegate.agent.decide import Decision
from tidegate.agent.detect import running_digest
from tidegate.agent.parts import Parts
from tidegate.agent.plan_row import Action
from tidegate.agent.state import QuarantineEntry
from tidegate.agent.survey import Place
from tidegate.agent.transaction import Ending
from tidegate.domain.reference import parse_reference
from tidegate.engine.errors import EngineError

_SHORTEST = 6


class Rollbacks:
    """Puts a target back to what ran before, or to any digest that ran on it."""

    def __init__(self, parts: Parts, busy: asyncio.Lock) -> None:
        """`busy` is held while it works, so that nothing else acts meanwhile."""
        self._parts = parts
        self._busy = busy

    async def serve(self, request: Mapping[str, Any]) -> CommandOutcome:
        """The control socket's verb: `cluster`, `service`, and `to`, a digest or its beginning, or nothing."""
        cluster, service, to = (request.get(key) for key in ("cluster", "service", "to"))
        if not isinstance(cluster, str) or not isinstance(service, str) or not isinstance(to, str | None):
            return CommandOutcome(ok=False, message="a rollback takes cluster, service and optionally a digest")
        async with self._busy:
            return await self.roll_back(cluster, service, to)

    async def roll_back(self, cluster: str, service: str, to: str | None) -> CommandOutcome:
        """Do it. What ran until now goes to quarantine, or the next look would bring it back."""
        survey = await self._parts.surveyor().survey()
        target = f"{cluster}/{service}" if cluster else service
        places = [place for place in survey.selected if (place.cluster, place.service) == (cluster, service)]
        if not places:
            known = ", ".join(sorted({place.target for place in survey.selected})) or "none"
            return CommandOutcome(ok=False, message=f"{target} is not a target of this agent; these are: {known}")
        digest = self._digest(places[0], to)
        if digest is None:
            return CommandOutcome(ok=False, message=self._unknown(places[0], to))
        running = {place.id: running_digest(survey.images.get(place.image_id), place.followed) for place in places}
        moving = [place for place in places if running[place.id] != digest]
        if not moving:
            return CommandOutcome(ok=True, message=f"{target} runs {digest[:19]} already; nothing was done")
        return await self._move(target, moving, running, digest)

    async def _move(
        self, target: str, places: Sequence[Place], running: Mapping[str, str | None], digest: str
    ) -> CommandOutcome:
        why = "asked for by hand"
        decisions = [Decision(place, Action.UPDATE, why, running[place.id], digest) for place in places]
        try:
            result, _ = await self._parts.updater.update(decisions)
        except EngineError as error:
            return CommandOutcome(ok=False, message=f"{target} was not rolled back: {error}")
        if result.ending is not Ending.COMMITTED:
            return CommandOutcome(ok=False, message=f"{target} was not rolled back: {result.reason}")
        for place in places:
            self._hold(place, running[place.id])
        return CommandOutcome(ok=True, message=f"{target} runs {digest[:19]} again; the newer release is held")

    def _hold(self, place: Place, digest: str | None) -> None:
        if digest is None:
            return
        entry = QuarantineEntry(
            repository=parse_reference(place.followed).name,
            digest=digest,
            cluster=place.cluster,
            service=place.service,
            reason="rolled back by hand",
            since=datetime.now(UTC).isoformat(),
            release=place.followed,
        )
        self._parts.state.quarantine.add(entry)

    def _digest(self, place: Place, to: str | None) -> str | None:
        """The digest that is meant: among those that ran here, or a whole one."""
        earlier = [one.digest for one in self._parts.state.previous.of(place.cluster, place.service) if one.digest]
        if to is None:
            return earlier[0] if earlier else None
        wanted = to.removeprefix("sha256:")
        if len(wanted) == 64:  # noqa: PLR2004 - a whole sha256
            return f"sha256:{wanted}"
        matching = {one for one in earlier if one.removeprefix("sha256:").startswith(wanted)}
        return matching.pop() if len(matching) == 1 and len(wanted) >= _SHORTEST else None

    def _unknown(self, place: Place, to: str | None) -> str:
        earlier = self._parts.state.previous.of(place.cluster, place.service)
        known = ", ".join(dict.fromkeys(one.digest[:19] for one in earlier)) or "none"
        if to is None:
            return f"{place.target} has not been updated by this agent yet, so there is nothing to go back to"
        return f"{to} is no digest that ran on {place.target}; known are: {known}; or give a whole one"
