"""Which strategy a container is updated with, and why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.strategy import Facts, NetworkFact, choose
from tidegate.domain.transaction import Strategy

BRIDGE, INTERNAL = NetworkFact("bridge", internal=False), NetworkFact("bridge", internal=True)


def facts(**changes: object) -> Facts:
    values: dict[str, object] = {"network_mode": "shop_default", "networks": {"shop_default": BRIDGE}}
    return Facts(**{**values, **changes})  # type: ignore[arg-type]


def test_start_first_is_chosen_when_nothing_forbids_it() -> None:
    assert choose(facts(), None).strategy is Strategy.START_FIRST


def test_a_published_port_means_swap() -> None:
    choice = choose(facts(published=("8080->80/tcp",)), None)
    assert (choice.strategy, "8080->80/tcp" in choice.reason) == (Strategy.SWAP, True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"network_mode": "host"}, "host"),
        ({"network_mode": "container:abc"}, "container:abc"),
        ({"static_addresses": ("172.30.0.9",)}, "172.30.0.9"),
        ({"devices": True}, "GPU"),
        ({"writable": ("volume data",)}, "tidegate.overlap=true"),
        ({"sharers": ("sidecar",)}, "sidecar"),
        ({"networks": {"lan": NetworkFact("macvlan", internal=False)}}, "macvlan"),
        ({"published": ("80->80/tcp",), "host_gateway": True}, "host-gateway"),
        ({"needs_serving_network": "it exited with code 1"}, "it exited with code 1"),
        ({"running": False}, "does not run"),
    ],
)
def test_what_must_not_overlap_is_stopped_first_and_the_reason_is_told(change: dict[str, object], word: str) -> None:
    choice = choose(facts(**change), None)
    assert choice.strategy is Strategy.STOP_FIRST
    assert word in choice.reason


def test_two_writers_are_allowed_by_label() -> None:
    assert choose(facts(writable=("volume data",), overlap_allowed=True), None).strategy is Strategy.START_FIRST


def test_a_strategy_that_would_not_be_safe_is_not_taken_because_it_was_asked_for() -> None:
    choice = choose(facts(writable=("volume data",)), Strategy.START_FIRST)
    assert choice.strategy is Strategy.STOP_FIRST
    assert choice.reason.startswith("start-first was asked for, but")


def test_stop_first_may_always_be_asked_for() -> None:
    assert choose(facts(), Strategy.STOP_FIRST).strategy is Strategy.STOP_FIRST


def test_networks_named_as_ingress_are_joined_late_and_the_others_at_creation() -> None:
    choice = choose(facts(networks={"edge": BRIDGE, "back": BRIDGE}, ingress=("edge",)), None)
    assert (choice.late, choice.early) == (("edge",), ("back",))


def test_without_a_label_every_network_may_carry_requests() -> None:
    choice = choose(facts(networks={"edge": BRIDGE, "back": BRIDGE}), None)
    assert (set(choice.late), choice.early) == ({"edge", "back"}, ())


def test_with_a_published_port_every_network_that_could_publish_it_is_joined_late() -> None:
    networks = {"edge": BRIDGE, "back": BRIDGE, "deep": INTERNAL}
    choice = choose(facts(networks=networks, ingress=("edge",), published=("80->80/tcp",)), None)
    assert (set(choice.late), choice.early) == ({"edge", "back"}, ("deep",))


@given(st.booleans(), st.booleans(), st.sampled_from([None, *Strategy]), st.sampled_from([(), ("a",), ("b",)]))
def test_every_network_is_joined_exactly_once(
    published: bool, writable: bool, asked: Strategy | None, ingress: tuple[str, ...]
) -> None:
    networks = {"a": BRIDGE, "b": INTERNAL, "c": BRIDGE}
    choice = choose(
        facts(
            networks=networks,
            ingress=ingress,
            published=("80->80/tcp",) if published else (),
            writable=("volume x",) if writable else (),
        ),
        asked,
    )
    assert sorted((*choice.late, *choice.early)) == sorted(networks)
