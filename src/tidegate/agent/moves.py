"""Which containers a transaction moves: those that are due, and those that live in their namespaces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tidegate.agent.policies import of_follower
from tidegate.domain.policy import Policy
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
