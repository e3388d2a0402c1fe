"""Who carries an assignment out where Watchtower is the updater: Watchtower what its tag names, the agent the rest.

Watchtower can only go to what a tag names now. Everything else, the way back above all, is the agent's: it makes the
container by digest, so that Watchtower, which follows tags, leaves it alone until a release is assigned again.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from tidegate.agent.decide import Decision
from tidegate.agent.detect import Detector, Finding, digests_of
from tidegate.agent.injected import taken_from
from tidegate.agent.moves import is_pinned
from tidegate.agent.outcome import Result
from tidegate.agent.survey import Place, Survey
from tidegate.agent.transaction import Transaction
from tidegate.agent.watchtower.client import image_key
from tidegate.agent.watchtower.delegated import Delegated
from tidegate.domain.labels import ORIGINAL_IMAGE, WATCHTOWER
from tidegate.domain.reference import is_digest, parse_reference
from tidegate.domain.selection import NO_SCOPE
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Image
from tidegate.engine.port import Engine

Walk = Callable[[Transaction], Awaitable[Result]]
_STOPPED = {"created", "exited", "dead"}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """How these containers are moved: by whom, and whether they are pinned."""

    moving: tuple[Decision, ...]
    walk: Walk
    why: str


class WatchtowerEngine:
    """Chooses, for what moves together, between Watchtower and the agent."""

    def __init__(
        self,
        engine: Engine,
        detector: Detector,
        delegated: Delegated,
        own: str | None,
        *,
        scope: str | None = None,
        stopped_too: bool = False,
    ) -> None:
        """`own` is the agent's container. `scope` is Watchtower's too, and so is whether it takes what is stopped."""
        self._engine = engine
        self._detector = detector
        self._delegated = delegated
        self._own = own
        self._scope = scope
        self._stopped_too = stopped_too

    async def way(self, moving: Sequence[Decision], survey: Survey) -> Way:
        """How they are moved. Asks registries what their tags name; touches nothing."""
        others = self._bystanders(moving, survey)
        findings = await self._detector.look(
            {one.place.followed for one in moving} | {_tracked(place) for place in others}, patient=False
        )
        named = {reference: finding.digest for reference, finding in findings.items()}
        why = (
            await self._objection(moving)
            or _not_named(moving, findings)
            or await self._no_way_back(moving)
            or await self._would_move_too(others, named)
        )
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
            if not _same(_tracked(place), place.followed):
                return f"{place.name} follows {place.followed} by a label that Watchtower does not read"
            if not _has_digest(one):
                return f"what {place.name} runs is in no registry, so Watchtower could not be gone back from"
            if place.policy is not None and place.policy.no_pull:
                return f"{place.name} takes what the engine has, and Watchtower pulls"
            if await taken_from(self._engine, place.id):
                return f"Watchtower would lose what Compose has copied into {place.name}"
        return None

    async def _no_way_back(self, moving: Sequence[Decision]) -> str | None:
        """Watchtower's cleanup removes what ran before by force, so it has to be in the registry still."""
        for one in moving:
            if not await self._detector.has(one.place.followed, one.running_digest or ""):
                return (
                    f"the registry does not give what {one.place.name} runs any more, so it could not be gone back "
                    f"to once Watchtower has removed its image"
                )
        return None

    def _bystanders(self, moving: Sequence[Decision], survey: Survey) -> list[Place]:
        """Containers whose images Watchtower does not tell apart from those that are to move.

        Who looks after them does not matter: Watchtower goes by labels of its own, and by filters that are not known.
        """
        keys = {image_key(_tracked(one.place)) for one in moving}
        names = {one.place.name for one in moving}
        return [
            place
            for place in survey.places
            if place.name not in names and image_key(_tracked(place)) in keys and self._may_take(place)
        ]

    def _may_take(self, place: Place) -> bool:
        """Whether Watchtower may update a container, as far as its labels and its state tell."""
        if is_pinned(_tracked(place)) or place.labels.get(f"{WATCHTOWER}.enable", "").lower() == "false":
            return False
        if self._scope is not None and (place.labels.get(f"{WATCHTOWER}.scope") or NO_SCOPE) != self._scope:
            return False
        return self._stopped_too or place.state not in _STOPPED

    async def _would_move_too(self, others: Sequence[Place], named: Mapping[str, str | None]) -> str | None:
        """Watchtower asks the registry, and then compares with the image that the tag names on the engine."""
        for place in others:
            image = await self._image(place.image_id)
            known = digests_of(image, _tracked(place)) if image is not None else []
            local = await self._image(_tracked(place))
            if named[_tracked(place)] not in known or local is None or local.id != place.image_id:
                return f"Watchtower would move {place.name} as well, to which nothing was assigned"
        return None

    async def _image(self, reference: str) -> Image | None:
        with contextlib.suppress(NotFoundError):
            return await self._engine.image(reference)
        return None


def _tracked(place: Place) -> str:
    """What Watchtower follows: of the labels that name an image it reads one only."""
    return place.labels.get(ORIGINAL_IMAGE) or place.image


def _same(one: str, other: str) -> bool:
    """Whether two references are one, however they are written."""
    first, second = parse_reference(one), parse_reference(other)
    return (first.name, first.version) == (second.name, second.version)


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


def _not_named(moving: Sequence[Decision], findings: Mapping[str, Finding]) -> str | None:
    for one in moving:
        finding = findings[one.place.followed]
        if finding.digest is None:
            return (
                f"what {one.place.followed} names could not be found out, so the agent brings this release and pins "
                f"it: {finding.error}"
            )
        if finding.digest != one.latest_digest:
            return f"{one.place.followed} names another release now, so the agent brings this one and pins it"
    return None
