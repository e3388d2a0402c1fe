"""A rollback that a person asks for: the same transaction, backwards, and the release is held from then on."""

import difflib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from tidegate.agent.command_rows import CommandOutcome
from tidegate.agent.decide import Decision
from tidegate.agent.detect import digests_of
from tidegate.agent.hold import Hold
from tidegate.agent.outcome import Ending
from tidegate.agent.parts import Parts
from tidegate.agent.plan_row import Action
from tidegate.agent.round import Round
from tidegate.agent.signatures import UnverifiedError
from tidegate.agent.survey import Place, Survey
from tidegate.agent.unended import UNENDED, Unended
from tidegate.domain.reference import InvalidReferenceError, is_digest, parse_reference
from tidegate.engine.errors import EngineError

_SHORTEST = 6

Recover = Callable[[], Awaitable[Unended]]
"""Ends what was cut off; tells what could not be ended."""


class Rollbacks:
    """Puts a target back to what ran before, or to any digest that ran on it."""

    def __init__(self, parts: Parts, recover: Recover) -> None:
        """Nothing else may act while it works. `recover` ends what was cut off before."""
        self._parts = parts
        self._recover = recover

    async def serve(self, request: Mapping[str, Any]) -> CommandOutcome:
        """The control socket's verb: `cluster`, `service`, and `to`, a digest or its beginning, or nothing."""
        cluster, service, to = (request.get(key) for key in ("cluster", "service", "to"))
        if not isinstance(cluster, str) or not isinstance(service, str) or not isinstance(to, str | None):
            return CommandOutcome(ok=False, message="a rollback takes cluster, service and optionally a digest")
        try:
            return await self.roll_back(cluster, service, to)
        except (EngineError, InvalidReferenceError, UnverifiedError) as error:
            return CommandOutcome(ok=False, message=f"{_target(cluster, service)} was not rolled back: {error}")

    async def roll_back(self, cluster: str, service: str, to: str | None) -> CommandOutcome:
        """Do it. What ran until now goes to quarantine, or the next look would bring it back.

        Raises `EngineError`, `InvalidReferenceError` for a container whose image has no name, and `UnverifiedError` for
        a digest that has not run here and is not signed as the policy asks.
        """
        unended = await self._recover()
        survey = await self._parts.surveyor().survey()
        target = _target(cluster, service)
        if any(unended.holds(place) for place in survey.places if (place.cluster, place.service) == (cluster, service)):
            return CommandOutcome(ok=False, message=f"{target} was not rolled back: {UNENDED}")
        places = [place for place in survey.selected if (place.cluster, place.service) == (cluster, service)]
        if not places:
            return CommandOutcome(ok=False, message=_no_target(target, survey))
        if any(place.id == self._parts.own for place in places):
            return CommandOutcome(ok=False, message=f"{target} is this agent; run another release of it by its image")
        digest = self._digest(survey, places[0], to)
        if digest is None:
            return CommandOutcome(ok=False, message=self._unknown(places[0], to))
        moving = [place for place in places if not self._runs(survey, place, digest)]
        if not moving:
            return CommandOutcome(ok=True, message=f"{target} runs {digest[:19]} already; nothing was done")
        return await self._move(survey, target, moving, digest)

    @staticmethod
    def _runs(survey: Survey, place: Place, digest: str) -> bool:
        return digest in _digests(survey, place)

    async def _move(self, survey: Survey, target: str, places: Sequence[Place], digest: str) -> CommandOutcome:
        why, image = "asked for by hand", self._image(places[0], digest)
        decisions = [
            Decision(
                place,
                Action.UPDATE,
                why,
                _digests(survey, place)[0],
                digest,
                image,
                ran_here=image is not None,
                pin=self._parts.watchtower is not None,  # it follows the tag, and would undo it
            )
            for place in places
        ]
        running = [each for place in places for each in _digests(survey, place)]
        result = await self._parts.updater.update(decisions, Round.of(survey), Hold.on(running, digest))
        if result.ending is not Ending.COMMITTED:
            return CommandOutcome(ok=False, message=f"{target} was not rolled back: {result.reason}")
        return CommandOutcome(ok=True, message=f"{target} runs {digest[:19]} again; the release that ran is held")

    def _image(self, place: Place, digest: str) -> str | None:
        """The image id of an earlier release, where it is remembered."""
        earlier = self._parts.state.previous.of(place.cluster, place.service)
        return next((one.image_id for one in earlier if one.digest == digest), None)

    def _digest(self, survey: Survey, place: Place, to: str | None) -> str | None:
        """The digest that is meant: among those that ran here, or a whole one.

        Without a wish it is the newest that neither runs now nor is in quarantine.
        """
        earlier = [one.digest for one in self._parts.state.previous.of(place.cluster, place.service) if one.digest]
        if to is None:
            state, repository = self._parts.state, parse_reference(place.followed).name
            return next(
                (
                    one
                    for one in earlier
                    if not self._runs(survey, place, one)
                    and not state.quarantine.contains(repository, one, place.cluster, place.service)
                ),
                None,
            )
        wanted = to.removeprefix("sha256:")
        if is_digest(f"sha256:{wanted}"):
            return f"sha256:{wanted}"
        matching = {one for one in earlier if one.removeprefix("sha256:").startswith(wanted)}
        return matching.pop() if len(matching) == 1 and len(wanted) >= _SHORTEST else None

    def _unknown(self, place: Place, to: str | None) -> str:
        earlier = self._parts.state.previous.of(place.cluster, place.service)
        known = ", ".join(dict.fromkeys(one.digest[:19] for one in earlier)) or "none"
        if to is None:
            return (
                f"{place.target} has no earlier release to go back to that is not in quarantine; those that ran "
                f"here: {known}; name one with --to"
            )
        return f"{to} is no digest that ran on {place.target}; known are: {known}; or give a whole one"


def _target(cluster: str, service: str) -> str:
    return f"{cluster}/{service}" if cluster else service


def _digests(survey: Survey, place: Place) -> list[str]:
    """By which digests a container's image is known, else its id; never empty."""
    image = survey.images.get(place.image_id)
    return (digests_of(image, place.followed) if image else []) or [place.image_id]


def _no_target(target: str, survey: Survey) -> str:
    """Why a name is no target, and what may have been meant."""
    for place in survey.places:
        if place.target == target:
            return f"{target} is not looked after by this agent: {place.selection.reason}"
    known = sorted({place.target for place in survey.selected})
    near = difflib.get_close_matches(target, known, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{target} is not a target of this agent; {meant}Targets are: {', '.join(known) or 'none'}"
