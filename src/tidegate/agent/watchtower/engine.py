"""Who carries an assignment out where Watchtower is the updater: Watchtower what its tag names, the agent the rest.

Watchtower can only go to what a tag names now. Everything else, the way back above all, is the agent's: it makes the
container by digest, so that Watchtower, which follows tags, leaves it alone until a release is assigned again.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from tidegate.agent.decide import Decision
from tidegate.agent.detect import Detector
from tidegate.agent.injected import taken_from
from tidegate.agent.moves import is_pinned
from tidegate.agent.outcome import Result
from tidegate.agent.survey import Place, Survey
from tidegate.agent.transaction import Transaction
from tidegate.agent.watchtower.client import image_key
from tidegate.agent.watchtower.delegated import Delegated
from tidegate.domain.reference import is_digest
from tidegate.engine.port import Engine

Walk = Callable[[Transaction], Awaitable[Result]]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """How these containers are moved: by whom, and whether they are pinned."""

    moving: tuple[Decision, ...]
    walk: Walk
    why: str


class WatchtowerEngine:
    """Chooses, for what moves together, between Watchtower and the agent."""

    def __init__(self, engine: Engine, detector: Detector, delegated: Delegated, own: str | None) -> None:
        """`own` is the agent's container."""
        self._engine = engine
        self._detector = detector
        self._delegated = delegated
        self._own = own

    async def way(self, moving: Sequence[Decision], survey: Survey) -> Way:
        """How they are moved. Asks registries what their tags name; touches nothing."""
        others = _bystanders(moving, survey)
        findings = await self._detector.look(
            {one.place.followed for one in moving} | {place.followed for place in others}, patient=False
        )
        named = {reference: finding.digest for reference, finding in findings.items()}
        why = await self._objection(moving) or _not_named(moving, named) or _would_move_too(others, named, survey)
        if why is None:
            return Way(_pinned(moving, named), self._run, "its tag names the release, so Watchtower brings it")
        return Way(_pinned(moving, named), Transaction.run, why)

    async def _run(self, transaction: Transaction) -> Result:
        """What shares another container's namespaces is made anew with it, which Watchtower does in its own way."""
        if any(it.parent for it in transaction.replacements):
            return await transaction.run()
        return await self._delegated.run(transaction)

    async def _objection(self, moving: Sequence[Decision]) -> str | None:
        """Why Watchtower cannot bring any release to these."""
        for one in moving:
            place = one.place
            if is_pinned(place.image):
                return f"{place.name} is pinned, and Watchtower leaves what is pinned alone"
            if place.id == self._own:
                return f"{place.name} is the agent itself"
            if not _has_digest(one):
                return f"what {place.name} runs is in no registry, so Watchtower could not be gone back from"
            if place.policy is not None and place.policy.no_pull:
                return f"{place.name} takes what the engine has, and Watchtower pulls"
            if await taken_from(self._engine, place.id):
                return f"Watchtower would lose what Compose has copied into {place.name}"
        return None


def _pinned(moving: Sequence[Decision], named: dict[str, str | None]) -> tuple[Decision, ...]:
    """What is not what its tag names is pinned, be it the release or what the way back leads to."""
    return tuple(
        replace(
            one,
            pin=named[one.place.followed] != one.latest_digest,
            pin_back=named[one.place.followed] != one.running_digest and _has_digest(one),
        )
        for one in moving
    )


def _has_digest(one: Decision) -> bool:
    """Whether what runs is known by a digest, and not by its image's id only."""
    return is_digest(one.running_digest or "") and one.running_digest != one.place.image_id


def _not_named(moving: Sequence[Decision], named: dict[str, str | None]) -> str | None:
    for one in moving:
        if named[one.place.followed] != one.latest_digest:
            return f"{one.place.followed} names another release now, so the agent brings this one and pins it"
    return None


def _bystanders(moving: Sequence[Decision], survey: Survey) -> list[Place]:
    """Containers whose images Watchtower does not tell apart from those that are to move."""
    keys = {image_key(one.place.image) for one in moving}
    names = {one.place.name for one in moving}
    return [
        place
        for place in survey.selected
        if place.name not in names and image_key(place.image) in keys and not is_pinned(place.image)
    ]


def _would_move_too(others: Sequence[Place], named: dict[str, str | None], survey: Survey) -> str | None:
    for place in others:
        image = survey.images.get(place.image_id)
        digest = named[place.followed]
        known = {one.rpartition("@")[2] for one in image.repo_digests} if image is not None else set()
        if digest is None or digest not in known:
            return f"Watchtower would move {place.name} as well, to which nothing was assigned"
    return None
