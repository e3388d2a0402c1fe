"""Who serves at each moment is read from the engine's events."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.serving import states

NETWORK = "shop_edge"


def of(container: str, action: str) -> dict[str, Any]:
    return {"Type": "container", "Action": action, "Actor": {"ID": container, "Attributes": {}}}


def on(container: str, action: str, name: str = NETWORK) -> dict[str, Any]:
    return {
        "Type": "network",
        "Action": action,
        "Actor": {"ID": "n", "Attributes": {"container": container, "name": name}},
    }


COMES = [of("new", "start"), of("new", "health_status: healthy"), on("new", "connect")]
GOES = [of("old", "kill"), on("old", "disconnect"), of("old", "die")]


def fewest(*events: dict[str, Any]) -> int:
    return min(len(serving) for serving in states(events, {"old"}, NETWORK))


def test_who_joins_before_the_other_is_told_to_stop_leaves_no_moment_without() -> None:
    assert fewest(*COMES, *GOES) == 1
    assert fewest(*GOES, *COMES) == 0


@pytest.mark.parametrize("lacks", COMES[1:], ids=["health", "network"])
def test_who_is_not_healthy_or_not_on_the_network_does_not_serve(lacks: dict[str, Any]) -> None:
    assert fewest(*(event for event in COMES if event is not lacks), *GOES) == 0


@pytest.mark.parametrize(
    "event",
    [of("old", "health_status: unhealthy"), of("old", "kill"), of("old", "die"), on("old", "disconnect")],
    ids=lambda event: event["Action"],
)
def test_each_of_these_ends_serving_at_once(event: dict[str, Any]) -> None:
    assert fewest(event) == 0


@pytest.mark.parametrize("event", [on("old", "disconnect", "shop_other"), of("other", "die"), of("old", "exec_start")])
def test_what_is_about_others_changes_nothing(event: dict[str, Any]) -> None:
    assert fewest(event) == 1


def test_a_container_that_starts_again_has_to_become_healthy_again() -> None:
    again = [of("new", "die"), of("new", "start"), on("new", "connect")]
    assert fewest(*COMES, *again, *GOES) == 0
