"""What the manager is told of the agent's targets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from tidegate.agent.detect import digests_of
from tidegate.agent.guard import TRANSACTION
from tidegate.agent.moves import is_pinned
from tidegate.agent.parts import Parts
from tidegate.agent.prepare import Around
from tidegate.agent.replacement import NEXT, SECOND
from tidegate.agent.survey import Place, Survey
from tidegate.domain.reference import InvalidReferenceError, parse_reference
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError
from tidegate.engine.model import Container
from tidegate.engine.model import Health as Checked
from tidegate.protocol.events import (
    MOST_MEMBERS,
    UPDATER_TROUBLE,
    Health,
    InventoryTarget,
    LastScan,
    Member,
    Running,
)

_UP = frozenset({"running", "restarting", "paused"})
_MOST_NAMED = 1000
"""Containers that are told one by one; where there are more in all, an inventory would grow too large by them."""


class Stock:
    """Looks at the engine and sums the containers of each target up."""

    def __init__(self, parts: Parts, assigned: Callable[[], Mapping[str, str]]) -> None:
        """`assigned` tells the digest that each target was last moved to: an image may have several."""
        self._parts = parts
        self._assigned = assigned
        self._surveyor = parts.surveyor()
        self._strategies: dict[str, str] = {}
        self._platforms: dict[str, str] = {}

    async def read(self) -> tuple[InventoryTarget, ...]:
        """Every target by name: services of Compose projects that this agent looks after. Raises `EngineError`."""
        survey = await self._surveyor.survey()
        ours = [place for place in survey.selected if place.cluster and not _of_an_update(place)]
        await self._learn(ours)
        targets: dict[str, list[Place]] = {}
        for place in ours:
            targets.setdefault(place.target, []).append(place)
        found = [await self._target(name, places, survey) for name, places in sorted(targets.items())]
        self._platforms = {id_: known for id_, known in self._platforms.items() if id_ in survey.images}
        inventory = [one for one in found if one is not None]
        if sum(len(one.members) for one in inventory) > _MOST_NAMED:
            inventory = [replace(one, members=()) for one in inventory]
        return tuple(inventory)

    def updater(self) -> LastScan | None:
        """What Watchtower, where it is the updater and answers, counts."""
        counts = self._parts.watchtower.watch.counts if self._parts.watchtower is not None else None
        return None if counts is None else LastScan(counts.scanned, counts.updated, counts.failed, counts.scans)

    async def _target(self, name: str, places: Sequence[Place], survey: Survey) -> InventoryTarget | None:
        first = places[0]
        try:
            reference = parse_reference(first.followed)
        except InvalidReferenceError:
            return None
        containers = {place.id: one for place in places if (one := await self._container(place)) is not None}
        digest = self._digest(name, places, survey)
        return InventoryTarget(
            target=name,
            image=reference.familiar,
            repository=reference.name,
            tag=None if reference.pinned else reference.version,
            digest=digest,
            state=_state(places),
            health=_health(containers.values()),
            containers=len(places),
            platform=await self._platform(first.image_id),
            strategy=self._strategies.get(first.id) or None,
            held=_held(places),
            reason=_reason(places, digest) or self._reason(places),
            members=_members(places, containers, survey, digest) if len(places) <= MOST_MEMBERS else (),
        )

    def _reason(self, places: Sequence[Place]) -> str:
        """What Watchtower, where it is the updater, has trouble with or leaves alone."""
        if self._parts.watchtower is None:
            return ""
        trouble = self._parts.watchtower.watch.trouble
        said = [f"{UPDATER_TROUBLE}{trouble}"] if trouble else []
        if any(is_pinned(place.image) for place in places):
            said.append(
                "it is pinned to this release: Watchtower does not follow its tag until another one is assigned"
            )
        return "; ".join(said)

    def _digest(self, target: str, places: Sequence[Place], survey: Survey) -> str | None:
        """By what the image is known that all of them run; where it has several names, the one it was assigned by."""
        common: list[str] | None = None
        for place in places:
            image = survey.images.get(place.image_id)
            known = digests_of(image, place.followed) if image else []
            common = known if common is None else [one for one in common if one in known]
        assigned = self._assigned().get(target)
        return assigned if assigned in (common or ()) else next(iter(common or ()), None)

    async def _platform(self, image_id: str) -> str:
        """What an image is for; that never changes, and a list of images does not say it."""
        if image_id not in self._platforms:
            try:
                image = await self._parts.engine.image(image_id)
            except NotFoundError:
                return ""
            self._platforms[image_id] = f"{image.os}/{image.architecture}"
        return self._platforms[image_id]

    async def _container(self, place: Place) -> Container | None:
        try:
            return await self._parts.engine.container(place.id)
        except NotFoundError:
            return None

    async def _learn(self, places: Sequence[Place]) -> None:
        """How each would be replaced; that follows from what never changes about a container, so it is asked once."""
        self._strategies = {place.id: self._strategies[place.id] for place in places if place.id in self._strategies}
        new = [place for place in places if place.id not in self._strategies]
        if new:
            around = await self._parts.preparer.around()
            for place in new:
                self._strategies[place.id] = await self._choose(place, around)

    async def _choose(self, place: Place, around: Around) -> str:
        try:
            return str((await self._parts.preparer.choose(place, around)).strategy)
        except EngineUnavailableError:
            raise
        except EngineError:
            return ""


def _of_an_update(place: Place) -> bool:
    """A candidate that has not taken its incumbent's place yet."""
    return TRANSACTION in place.labels and place.name.endswith((NEXT, SECOND))


def _state(places: Iterable[Place]) -> Running:
    up = {place.state in _UP for place in places}
    return Running.MIXED if len(up) > 1 else Running.RUNNING if True in up else Running.STOPPED


def _health(containers: Iterable[Container]) -> Health:
    seen = {one.health for one in containers if one.running}
    for checked, health in (
        (Checked.UNHEALTHY, Health.UNHEALTHY),
        (Checked.STARTING, Health.STARTING),
        (Checked.HEALTHY, Health.HEALTHY),
    ):
        if checked in seen:
            return health
    return Health.NONE


def _members(
    places: Sequence[Place], containers: Mapping[str, Container], survey: Survey, common: str | None
) -> tuple[Member, ...]:
    """Those that are there, by name; of digests the one that the target is told with, where it is one of theirs."""
    found = []
    for place in places:
        if place.id in containers:
            image = survey.images.get(place.image_id)
            known = digests_of(image, place.followed) if image else []
            digest = common if common in known else next(iter(known), None)
            found.append(Member(place.name, place.state, _health([containers[place.id]]), digest))
    return tuple(sorted(found, key=lambda one: (len(one.name), one.name)))


def _held(places: Iterable[Place]) -> bool:
    return any(place.policy is not None and place.policy.monitor_only for place in places)


def _reason(places: Sequence[Place], digest: str | None) -> str:
    if _held(places):
        return "it is monitored only"
    if digest is None and len(places) > 1:
        return "its containers do not run one release, or it came from no registry"
    return ""
