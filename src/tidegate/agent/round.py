"""One look's acting: what has its turn when, and what starts again because of it."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from tidegate.agent.prepare import Prepared
from tidegate.agent.survey import Place, Survey
from tidegate.domain.ordering import COMPOSE_DEPENDS_ON, Node, dependants_to_restart, make_node


@dataclass(slots=True)
class Round:
    """What has been updated so far. Targets that are `to_come` have their turn later; `moved` are container names."""

    survey: Survey
    nodes: list[Node]
    to_come: set[str] = field(default_factory=set)
    moved: set[str] = field(default_factory=set)
    _updated: set[str] = field(default_factory=set)
    _restarted: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, survey: Survey, due: Collection[str] = ()) -> "Round":
        """Of everything that is looked after; `due` are the targets that are to be updated."""
        targets = _by_target(survey.selected)
        return cls(survey, [_node(target, places, due=target in due) for target, places in targets.items()])

    def updated(self, prepared: Sequence[Prepared]) -> None:
        """These run a new release, in new containers."""
        self._updated |= {_target(one) for one in prepared}
        self.moved |= {one.replacement.name for one in prepared}

    def to_restart(self) -> list[Place]:
        """What depends on something updated, once each, unless its own update is still to come."""
        targets = [
            target
            for target in dependants_to_restart(self.nodes, self._updated)
            if target not in self.to_come and target not in self._restarted
        ]
        self._restarted |= set(targets)
        selected = self.survey.selected
        return [
            place for target in targets for place in selected if place.target == target and place.state == "running"
        ]


def _target(one: Prepared) -> str:
    it = one.replacement
    return f"{it.cluster}/{it.service}" if it.cluster else it.service


def _by_target(places: Iterable[Place]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place.target, []).append(place)
    return found


def _node(target: str, places: Sequence[Place], *, due: bool) -> Node:
    policy, labels, tag = places[0].policy, places[0].labels, places[0].tag
    return make_node(
        target,
        cluster=places[0].cluster,
        names=[places[0].service, *(name for place in places for name in (place.name, place.id))],
        depends_on=policy.depends_on if policy else None,
        links=places[0].links,
        network_mode=places[0].network_mode,
        compose_depends_on=labels.get(COMPOSE_DEPENDS_ON, ""),
        group=policy.group if policy else None,
        tag=tag[1] if due and tag else None,
    )
