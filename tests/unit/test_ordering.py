"""The order of updates: dependencies first, groups together, rings broken the same way every time."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.ordering import (
    ComposeDependency,
    Node,
    dependants_to_restart,
    make_node,
    parse_compose_depends_on,
    parse_link,
    parse_network_mode,
    plan_units,
)


def order_of(*nodes: Node) -> list[str]:
    return [name for unit in plan_units(nodes).units for name in unit.targets]


def test_composes_label_gives_service_condition_and_restart() -> None:
    assert parse_compose_depends_on("db:service_healthy:true,cache:service_started:false") == (
        ComposeDependency("db", "service_healthy", restart=True),
        ComposeDependency("cache", "service_started", restart=False),
    )


@pytest.mark.parametrize(
    ("text", "services"), [("", []), ("db", ["db"]), (" db:service_started , ,x", ["db", "x"]), (":x:true", [])]
)
def test_composes_label_may_lack_fields(text: str, services: list[str]) -> None:
    assert [one.service for one in parse_compose_depends_on(text)] == services


@pytest.mark.parametrize("link", ["/db:/web/database", "db:database", "db"])
def test_a_link_names_its_container(link: str) -> None:
    assert parse_link(link) == "db"


@pytest.mark.parametrize(
    ("mode", "parent"),
    [("container:vpn", "vpn"), ("service:vpn", "vpn"), ("bridge", None), ("host", None), ("container:", None)],
)
def test_a_shared_network_names_whose_it_is(mode: str, parent: str | None) -> None:
    assert parse_network_mode(mode) == parent


def test_a_depends_on_label_replaces_links_and_network_mode() -> None:
    node = make_node("web", depends_on=["/db"], links=["cache:cache"], network_mode="container:vpn")
    assert node.restarts_with == ("db",)


def test_an_empty_depends_on_label_means_no_dependencies() -> None:
    assert make_node("web", depends_on=[], links=["cache:cache"]).restarts_with == ()


def test_without_a_label_links_and_network_mode_say_what_it_depends_on() -> None:
    node = make_node("web", depends_on=None, links=["/db:/web/db"], network_mode="container:vpn")
    assert set(node.restarts_with) == {"db", "vpn"}


def test_composes_dependencies_restart_only_where_compose_says_so() -> None:
    node = make_node("web", depends_on=None, compose_depends_on="db:service_healthy:true,cache::false")
    assert (node.restarts_with, node.after) == (("db",), ("cache",))


def test_dependencies_are_updated_first() -> None:
    web, api, db = Node("web", after=("api",)), Node("api", after=("db",)), Node("db")
    assert order_of(web, api, db) == ["db", "api", "web"]


def test_what_does_not_depend_on_each_other_goes_by_name() -> None:
    others = [Node(name) for name in "hgfedcb"]
    last, first = Node("A", after=("a",)), Node("a", after=tuple("gbfcedh"))
    assert "".join(order_of(last, first, *others)) == "bcdefghaA"


def test_a_dependency_may_be_called_by_any_of_its_names() -> None:
    assert order_of(Node("a", after=("shop-db-1",)), Node("z", names=("db", "shop-db-1"))) == ["z", "a"]


def test_a_service_name_means_the_one_in_the_same_cluster() -> None:
    nodes = [
        Node("a/db", cluster="a", names=("db",), after=("web",)),
        Node("a/web", cluster="a", names=("web",)),
        Node("b/db", cluster="b", names=("db",)),
        Node("b/aweb", cluster="b", names=("web",), after=("db",)),
    ]
    plan = plan_units(nodes)
    assert plan.cycles == ()
    assert order_of(*nodes) == ["a/web", "a/db", "b/db", "b/aweb"]


def test_a_service_that_compose_names_is_never_one_of_another_cluster() -> None:
    composed = make_node("a/web", cluster="a", depends_on=None, compose_depends_on="db:service_started:true")
    by_label = make_node("a/api", cluster="a", depends_on=["db"], compose_depends_on="db:service_started:true")
    stranger = Node("b/db", cluster="b", names=("db",))
    assert dependants_to_restart([composed, by_label, stranger], {"b/db"}) == ["a/api"]


def test_what_a_cluster_has_on_one_tag_moves_as_one_unit() -> None:
    nodes = [
        Node("a/web", cluster="a", tag="app:live"),
        Node("a/worker", cluster="a", tag="app:live"),
        Node("a/db", cluster="a", tag="db:live"),
        Node("a/still", cluster="a"),
        Node("b/web", cluster="b", tag="app:live"),
    ]
    units = [unit.targets for unit in plan_units(nodes).units]
    assert sorted(units) == [("a/db",), ("a/still",), ("a/web", "a/worker"), ("b/web",)]


def test_a_group_and_a_tag_that_have_a_target_in_common_are_one_unit() -> None:
    nodes = [
        Node("db", group="stack"),
        Node("web", group="stack", tag="app:live"),
        Node("worker", tag="app:live"),
        Node("other", group="other", tag="app:old"),
    ]
    units = {unit.targets: unit.group for unit in plan_units(nodes).units}
    assert units == {("db", "web", "worker"): "stack", ("other",): "other"}


def test_dependencies_on_strangers_and_on_itself_are_left_out() -> None:
    plan = plan_units([Node("web", after=("web", "elsewhere"))])
    assert [unit.targets for unit in plan.units] == [("web",)]
    assert plan.cycles == ()


def test_a_ring_is_broken_in_one_place_and_reported() -> None:
    nodes = [Node("a", after=("b",)), Node("b", after=("c",)), Node("c", after=("a", "z")), Node("z")]
    plan = plan_units(nodes)
    assert order_of(*nodes) == ["z", "c", "b", "a"]
    assert plan.cycles == (("a", "b", "c"),)
    assert plan.complaints()[0] == (
        "a -> b -> c -> a: these depend on each other, so c is updated without waiting for a; "
        "remove one of the dependencies to choose the order yourself."
    )


def test_a_group_is_one_unit_after_what_any_member_needs() -> None:
    nodes = [
        Node("web", group="app", after=("api",)),
        Node("api", group="app", after=("db",)),
        Node("db"),
        Node("edge", after=("web",)),
    ]
    assert [unit.targets for unit in plan_units(nodes).units] == [("db",), ("api", "web"), ("edge",)]


def test_the_same_group_in_two_clusters_is_two_units() -> None:
    plan = plan_units([Node("a/x", cluster="a", group="g"), Node("b/x", cluster="b", group="g")])
    assert [unit.targets for unit in plan.units] == [("a/x",), ("b/x",)]


def test_a_group_in_a_tangle_is_still_one_unit() -> None:
    nodes = [Node("a", group="g", after=("b",)), Node("b", after=("c",)), Node("c", group="g")]
    plan = plan_units(nodes)
    assert {unit.targets for unit in plan.units} == {("c", "a"), ("b",)}
    assert len(plan.cycles) == 1


def test_dependants_restart_in_order_and_so_do_theirs() -> None:
    nodes = [
        Node("edge", restarts_with=("web",)),
        Node("web", restarts_with=("vpn",)),
        Node("vpn"),
        Node("other"),
        Node("late", after=("vpn",)),
    ]
    assert dependants_to_restart(nodes, {"vpn"}) == ["web", "edge"]


def test_what_was_updated_itself_is_not_restarted_again() -> None:
    nodes = [Node("web", restarts_with=("vpn",)), Node("vpn"), Node("edge", restarts_with=("web",))]
    assert dependants_to_restart(nodes, {"vpn", "web"}) == ["edge"]


def test_a_ring_of_restarts_ends() -> None:
    nodes = [Node("a", restarts_with=("b",)), Node("b", restarts_with=("a",)), Node("c", restarts_with=("b",))]
    assert dependants_to_restart(nodes, {"a"}) == ["b", "c"]


def test_a_long_chain_is_no_problem() -> None:
    nodes = [Node(f"n{i:04}", after=(f"n{i + 1:04}",)) for i in range(2000)]
    assert order_of(*nodes)[-1] == "n0000"


NAMES = "abcdefgh"
ANY_GRAPH = st.lists(
    st.builds(
        Node,
        name=st.sampled_from(NAMES),
        after=st.lists(st.sampled_from(NAMES), max_size=3).map(tuple),
        group=st.sampled_from([None, None, "g", "h"]),
    ),
    unique_by=lambda node: node.name,
)
ACYCLIC = st.lists(st.lists(st.integers(0, 7), max_size=3), max_size=8).map(
    lambda rows: [
        Node(f"n{(i * 5) % 8}", after=tuple(f"n{(j * 5) % 8}" for j in row if j < i)) for i, row in enumerate(rows)
    ]
)


@given(ANY_GRAPH)
def test_every_target_is_in_exactly_one_unit(nodes: list[Node]) -> None:
    assert sorted(order_of(*nodes)) == sorted(node.name for node in nodes)


@given(ACYCLIC)
def test_every_dependency_comes_before_its_dependant_where_there_is_no_ring(nodes: list[Node]) -> None:
    plan, order = plan_units(nodes), order_of(*nodes)
    assert plan.cycles == ()
    for node in nodes:
        assert all(order.index(needed) < order.index(node.name) for needed in node.after)


@given(ANY_GRAPH)
def test_without_groups_only_a_reported_edge_is_out_of_order(nodes: list[Node]) -> None:
    loose = [Node(node.name, after=node.after) for node in nodes]
    plan, order = plan_units(loose), order_of(*loose)
    broken = {(ring[-1], ring[0]) for ring in plan.cycles}
    for node in loose:
        for needed in set(node.after) & set(order) - {node.name}:
            in_order = order.index(needed) < order.index(node.name)
            assert in_order or (node.name, needed) in broken


@given(ANY_GRAPH)
def test_every_group_is_one_unit(nodes: list[Node]) -> None:
    groups = [unit.group for unit in plan_units(nodes).units if unit.group]
    assert len(groups) == len(set(groups)) == len({node.group for node in nodes if node.group})


@given(ANY_GRAPH, st.randoms(use_true_random=False))
def test_the_plan_does_not_depend_on_the_order_that_targets_were_listed_in(nodes: list[Node], random: Random) -> None:
    shuffled = list(nodes)
    random.shuffle(shuffled)
    assert plan_units(shuffled) == plan_units(nodes)


def test_permutations_of_a_tangle_all_give_one_plan() -> None:
    nodes = [Node("a", group="g", after=("b",)), Node("b", after=("c",)), Node("c", group="g", after=("a",))]
    assert len({plan_units(order) for order in itertools.permutations(nodes)}) == 1
