"""The order in which targets that depend on each other are updated, and who restarts afterwards.

What a container depends on is told by its depends-on label, else by its links and by a `container:` or
`service:` network mode: it restarts with these, and is updated after them. Compose's own
`com.docker.compose.depends_on` counts as well: for the order, and for a restart where it says so.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

COMPOSE_DEPENDS_ON = "com.docker.compose.depends_on"
_SHARED_NETWORK = ("container:", "service:")
_GROUP, _TAG = "group ", "what runs "
_Edges = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class ComposeDependency:
    """One `service:condition:restart` of Compose's label."""

    service: str
    condition: str = "service_started"
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """One target.

    `name` is unique among the nodes; `names` is what others may call it by: its service, its containers'
    names and ids. `after` is updated before it; `restarts_with` too, and restarts it when it changes. Those of
    them in `neighbours` are services of the same cluster, and nobody else who is called so. `tag` is what it is to be
    updated by, where the others of its cluster on that tag move with it.
    """

    name: str
    cluster: str = ""
    names: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    restarts_with: tuple[str, ...] = ()
    neighbours: frozenset[str] = frozenset()
    group: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """Targets that are committed together or put back together, dependencies first."""

    targets: tuple[str, ...]
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Units in the order they are updated.

    A ring of `cycles` lists names that each depend on the next, and the last on the first; the last one was
    not made to wait for the first.
    """

    units: tuple[Unit, ...]
    cycles: tuple[tuple[str, ...], ...] = ()

    def complaints(self) -> list[str]:
        """One sentence for each ring."""
        return [
            f"{' -> '.join((*ring, ring[0]))}: these depend on each other, so {ring[-1]} is updated without "
            f"waiting for {ring[0]}; remove one of the dependencies to choose the order yourself."
            for ring in self.cycles
        ]


def parse_compose_depends_on(text: str) -> tuple[ComposeDependency, ...]:
    """`db:service_healthy:true,cache:service_started:false`; missing fields take Compose's defaults."""
    found = []
    for item in text.split(","):
        service, condition, restart = (*(part.strip() for part in item.split(":")), "", "")[:3]
        if service:
            found.append(ComposeDependency(service, condition or "service_started", restart.lower() == "true"))
    return tuple(found)


def parse_link(text: str) -> str:
    """The container of a link: `/db:/web/database` and `db:database` are both `db`."""
    return _bare(text.partition(":")[0])


def parse_network_mode(text: str) -> str | None:
    """The container or service whose network is shared, or None."""
    for prefix in _SHARED_NETWORK:
        if text.startswith(prefix):
            return _bare(text.removeprefix(prefix)) or None
    return None


def make_node(
    name: str,
    *,
    cluster: str = "",
    names: Iterable[str] = (),
    depends_on: Iterable[str] | None,
    links: Iterable[str] = (),
    network_mode: str = "",
    compose_depends_on: str = "",
    group: str | None = None,
    tag: str | None = None,
) -> Node:
    """A target as its containers tell it.

    `depends_on` is the parsed depends-on label, None where there is none; `links`, `network_mode` and
    `compose_depends_on` are as the engine gives them.
    """
    told = [parse_network_mode(network_mode) or "", *map(parse_link, links)]
    if depends_on is not None:
        told = [_bare(item) for item in depends_on]
    composed = parse_compose_depends_on(compose_depends_on)
    restarting = dict.fromkeys([*filter(None, told), *(one.service for one in composed if one.restart)])
    return Node(
        name=name,
        cluster=cluster,
        names=tuple(names),
        after=tuple(dict.fromkeys(one.service for one in composed if one.service not in restarting)),
        restarts_with=tuple(restarting),
        neighbours=frozenset(one.service for one in composed) - set(told),
        group=group,
        tag=tag,
    )


def plan_units(nodes: Sequence[Node]) -> Plan:
    """Every target in exactly one unit, dependencies before dependants; the same for any order of `nodes`.

    A group is a unit, and so is what a cluster has on one tag; a target of both joins them. Dependencies on what is
    not among `nodes` are left out. A unit that tangles with something between its members stays one, and the tangle
    is reported like any other ring.
    """
    before = _edges(nodes, restarts_only=False)
    order, cycles = _sort(sorted(before), before)
    unit_of = _units_of(nodes)
    between: _Edges = {unit_of[name]: set() for name in order}
    for name in order:
        between[unit_of[name]] |= {unit_of[needed] for needed in before[name]} - {unit_of[name]}
    units, tangles = _sort(list(between), between)
    groups = {unit_of[node.name]: node.group for node in sorted(nodes, key=lambda node: node.group or "")}
    members = {unit: tuple(name for name in order if unit_of[name] == unit) for unit in units}
    return Plan(units=tuple(Unit(members[unit], groups[unit]) for unit in units), cycles=(*cycles, *tangles))


def dependants_to_restart(nodes: Sequence[Node], updated: Collection[str]) -> list[str]:
    """Names of the nodes that restart because what they depend on was updated, in the order to restart them.

    A restart restarts its own dependants too. The updated ones are not among them.
    """
    before = _edges(nodes, restarts_only=False)
    order, _ = _sort(sorted(before), before)
    causes = _edges(nodes, restarts_only=True)
    touched = set(updated)
    grown = True
    while grown:  # a ring needs more than one pass
        more = {name for name in order if causes[name] & touched} - touched
        touched |= more
        grown = bool(more)
    return [name for name in order if name in touched and name not in updated]


def _bare(name: str) -> str:
    return name.strip().removeprefix("/")


def _units_of(nodes: Sequence[Node]) -> dict[str, str]:
    """By a target's name its unit's: the group's, what it has in common with others, or its own."""
    of_key: dict[str, set[str]] = {}
    for node in nodes:
        for key in _keys(node):
            of_key.setdefault(key, set()).add(node.name)
    unit_of = {node.name: node.name for node in nodes}
    for key in sorted(of_key):
        joined = {unit_of[name] for name in of_key[key]}
        if len(of_key[key]) > 1 or key.startswith(_GROUP):
            unit = min((one for one in joined if one.startswith((_GROUP, _TAG))), default=key)
            unit_of = {name: unit if one in joined else one for name, one in unit_of.items()}
    return unit_of


def _keys(node: Node) -> Iterator[str]:
    """What makes one unit of several targets; none is taken for a target, whose name has no blank in it."""
    if node.group:
        yield f"{_GROUP}{node.group} of {node.cluster}"
    if node.tag:
        yield f"{_TAG}{node.tag} in {node.cluster}"


def _edges(nodes: Sequence[Node], *, restarts_only: bool) -> _Edges:
    """Each node's name to those of the nodes it depends on."""
    known: dict[tuple[str | None, str], set[str]] = {}
    for node in nodes:
        for called in {node.name, *node.names}:
            for cluster in (node.cluster, None):
                known.setdefault((cluster, called), set()).add(node.name)
    edges: _Edges = {}
    for node in nodes:
        wanted = node.restarts_with if restarts_only else (*node.after, *node.restarts_with)
        edges[node.name] = set().union(*(_meant(known, node, one) for one in wanted)) - {node.name}
    return edges


def _meant(known: Mapping[tuple[str | None, str], set[str]], node: Node, called: str) -> set[str]:
    """A name means the neighbour in the same cluster before it means anybody else; Compose means no one else."""
    near = known.get((node.cluster, called), set())
    return near if near or called in node.neighbours else known.get((None, called), set())


def _sort(names: Iterable[str], before: _Edges) -> tuple[list[str], list[tuple[str, ...]]]:
    """Depth first, dependencies first; an edge that closes a ring is taken out of `before` and reported."""
    order: list[str] = []
    cycles: list[tuple[str, ...]] = []
    placed: set[str] = set()
    for root in names:
        path: dict[str, Iterator[str]] = {} if root in placed else {root: iter(sorted(before[root]))}
        while path:
            top = next(reversed(path))
            needed = next(path[top], None)
            if needed is None:
                path.pop(top)
                placed.add(top)
                order.append(top)
            elif needed in path:
                before[top].discard(needed)
                ring = list(path)
                cycles.append(tuple(ring[ring.index(needed) :]))
            elif needed not in placed:
                path[needed] = iter(sorted(before[needed]))
    return order, cycles
