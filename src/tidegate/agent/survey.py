"""What runs on the engine, which of it is ours, and what it was started from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.agent.guard import NUMBER, PROJECT, SERVICE
from tidegate.domain.labels import OWN
from tidegate.domain.policy import Policy, PolicyDefaults
from tidegate.domain.recreate_networks import links_of
from tidegate.domain.reference import DEFAULT_TAG, InvalidReferenceError, parse_reference
from tidegate.domain.selection import Candidate, Filters, Selection, select
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import ContainerSummary, Image
from tidegate.engine.port import Engine

GROUP = f"{OWN}group"


@dataclass(frozen=True, slots=True)
class Place:
    """One container as the agent sees it. `image` is what the user wrote, `links` as the engine spells them."""

    id: str
    name: str
    image: str
    image_id: str
    state: str
    labels: Mapping[str, str] = field(repr=False)
    selection: Selection
    links: tuple[str, ...] = ()
    network_mode: str = ""

    @property
    def cluster(self) -> str:
        """The Compose project, or an empty string."""
        return self.labels.get(PROJECT, "")

    @property
    def service(self) -> str:
        """The Compose service; outside of Compose, the container's name."""
        return self.labels.get(SERVICE, "") or self.name

    @property
    def number(self) -> str:
        """The container's number within its service."""
        return self.labels.get(NUMBER, "1")

    @property
    def target(self) -> str:
        """`cluster/service`, as the command line names it."""
        return f"{self.cluster}/{self.service}" if self.cluster else self.service

    @property
    def group(self) -> tuple[str, str] | None:
        """The cluster and the name of the group it moves in, or None; known of a container with bad labels too."""
        name = self.policy.group if self.policy else self.labels.get(GROUP)
        return (self.cluster, name) if name else None

    @property
    def tag(self) -> tuple[str, str] | None:
        """The cluster and the tag that is followed; None outside of Compose, and where nothing can be followed.

        The engine has one image by that tag, so what shares it moves together.
        """
        if not self.cluster:
            return None
        try:
            reference = parse_reference(self.followed)
        except InvalidReferenceError:
            return None
        pinned = reference.digest is not None
        return None if pinned else (self.cluster, f"{reference.name}:{reference.tag or DEFAULT_TAG}")

    @property
    def followed(self) -> str:
        """The image reference that is followed: the user's, or the label's that overrides it."""
        return (self.policy.image if self.policy else None) or self.image

    @property
    def policy(self) -> Policy | None:
        """None where the labels cannot be used."""
        return self.selection.policy


@dataclass(frozen=True, slots=True)
class Survey:
    """Every container, and the images they run."""

    places: tuple[Place, ...]
    images: Mapping[str, Image]

    @property
    def selected(self) -> tuple[Place, ...]:
        """Those that are ours."""
        return tuple(place for place in self.places if place.selection.selected)


@dataclass(frozen=True, slots=True)
class _Fixed:
    """What never changes about a container, so that it is asked for once."""

    image: str
    auto_remove: bool
    links: tuple[str, ...]


class Surveyor:
    """Lists the engine's containers; inspects each one only once in its life, to stay quiet when idle."""

    def __init__(self, engine: Engine, filters: Filters, defaults: PolicyDefaults) -> None:
        self._engine = engine
        self._filters = filters
        self._defaults = defaults
        self._fixed: dict[str, _Fixed] = {}

    async def survey(self) -> Survey:
        """Look at everything. Raises `EngineError`."""
        rows = await self._engine.containers()
        fixed = {row.id: await self._fixed_of(row) for row in rows}
        self._fixed = {id_: known for id_, known in fixed.items() if known is not None}
        rows = [row for row in rows if row.id in self._fixed]
        candidates = [
            Candidate(
                row.id,
                row.name,
                self._fixed[row.id].image,
                row.state,
                row.labels,
                self._fixed[row.id].auto_remove,
                row.network_mode,
            )
            for row in rows
        ]
        selections = select(candidates, self._filters, self._defaults)
        places = tuple(self._place(row, selection) for row, selection in zip(rows, selections, strict=True))
        return Survey(places, await self._images(places))

    def _place(self, row: ContainerSummary, selection: Selection) -> Place:
        known = self._fixed[row.id]
        return Place(
            row.id,
            row.name,
            known.image,
            row.image_id,
            row.state,
            row.labels,
            selection,
            links=known.links,
            network_mode=row.network_mode,
        )

    async def _fixed_of(self, row: ContainerSummary) -> _Fixed | None:
        """None for a container that vanished between the list and the look."""
        if row.id in self._fixed:
            return self._fixed[row.id]
        try:
            container = await self._engine.container(row.id)
        except NotFoundError:
            return None
        return _Fixed(container.image, container.auto_remove, links_of(container.document))

    async def _images(self, places: tuple[Place, ...]) -> Mapping[str, Image]:
        """The images in use; one listing instead of an inspection for each."""
        used = {place.image_id for place in places if place.selection.selected}
        return {image.id: image for image in await self._engine.images() if image.id in used}
