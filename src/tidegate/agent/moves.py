"""Which containers a transaction moves: those that are due, and those that live in their namespaces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.agent.policies import of_follower
from tidegate.domain.policy import Policy
from tidegate.domain.reference import parse_reference
from tidegate.engine.model import Container


@dataclass(frozen=True, slots=True)
class Move:
    """One container, and the image it is to move to. `names` maps ids that its settings mention to names.

    `parent` is the name of the container it follows, being in one of its namespaces.
    """

    container: Container
    policy: Policy
    reference: str
    new_image: str
    old_digest: str = ""
    new_digest: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""
    pin: bool = False
    pin_back: bool = False

    @property
    def pinned(self) -> str | None:
        """The new image by digest, where the container is to be made by that."""
        return _by_digest(self.reference, self.new_digest) if self.pin else None

    @property
    def pinned_back(self) -> str | None:
        """The same of the old one; what is pinned stays pinned."""
        if is_pinned(self.container.image) and self.container.image != self.reference:
            return self.container.image
        return _by_digest(self.reference, self.old_digest) if self.pin_back else None


def _by_digest(reference: str, digest: str) -> str:
    return parse_reference(reference).with_digest(digest).familiar


def is_pinned(image: str) -> bool:
    """Whether a container was made from an image that is named by digest."""
    return "@" in image


def with_riders(moves: Sequence[tuple[Move, Sequence[Container]]]) -> list[Move]:
    """The moves, each with the containers in its namespaces: every container once, and none before its parent.

    A rider without a move of its own is made anew from the image it has.
    """
    found = {move.container.id: move for move, _ in moves}
    parents: dict[str, set[str]] = {}
    for move, riders in moves:
        parent = move.container
        for rider in riders:
            known = found.get(rider.id) or Move(rider, of_follower(move.policy), rider.image, rider.image_id)
            names = {**known.names, parent.id: parent.name}
            found[rider.id] = replace(known, names=names, parent=known.parent or parent.name)
            parents.setdefault(rider.id, set()).add(parent.id)
    return [found[id_] for id_ in _parents_first(moves, parents)]


def _parents_first(moves: Sequence[tuple[Move, Sequence[Container]]], parents: Mapping[str, set[str]]) -> list[str]:
    """The ids of the moves and their riders, as near to the given order as their parents allow."""
    rest = list(dict.fromkeys(one.id for move, riders in moves for one in (move.container, *riders)))
    placed: list[str] = []
    while rest:
        ready = next((id_ for id_ in rest if parents.get(id_, set()) <= set(placed)), rest[0])
        rest.remove(ready)
        placed.append(ready)
    return placed
