"""Which containers a transaction moves, and in which order."""

from __future__ import annotations

import pytest

from tidegate.agent.moves import Move, with_riders
from tidegate.domain.policy import PolicyDefaults, resolve_policy
from tidegate.engine import parse
from tidegate.engine.model import Container

POLICY = resolve_policy({"tidegate.bake": "7s", "tidegate.probe.tcp": ":80"}, PolicyDefaults())


def container(name: str) -> Container:
    document = {"Id": f"id-{name}", "Name": f"/{name}", "Image": "sha256:1", "Config": {"Image": "img"}, "State": {}}
    return parse.container(document)


def move(name: str) -> Move:
    return Move(container(name), POLICY, "img:live", "sha256:2")


VPN, RIDER, DB = (container(name) for name in ("vpn", "rider", "db"))


def test_what_lives_in_a_container_s_namespaces_is_made_anew_with_it_from_its_own_image() -> None:
    vpn, rider, db = with_riders([(move("vpn"), [RIDER]), (move("db"), [])])
    assert [vpn.container.name, rider.container.name, db.container.name] == ["vpn", "rider", "db"]
    assert (rider.new_image, rider.reference, rider.parent) == ("sha256:1", "img", "vpn")
    assert (rider.names, rider.policy.bake_s, rider.policy.probe) == ({"id-vpn": "vpn"}, 7, None)


@pytest.mark.parametrize("given", [["vpn", "rider"], ["rider", "vpn"]])
def test_a_rider_that_is_due_itself_moves_once_to_its_own_release_behind_its_parent(given: list[str]) -> None:
    riders = {"vpn": [RIDER], "rider": []}
    vpn, rider = with_riders([(move(name), riders[name]) for name in given])
    assert (vpn.container.name, rider.container.name) == ("vpn", "rider")
    assert (rider.new_image, rider.reference, rider.policy) == ("sha256:2", "img:live", POLICY)
    assert (rider.names, rider.parent) == ({"id-vpn": "vpn"}, "vpn")


def test_a_rider_of_two_is_made_anew_once_behind_both() -> None:
    moves = with_riders([(move("vpn"), [RIDER]), (move("db"), [RIDER])])
    assert [one.container.name for one in moves] == ["vpn", "db", "rider"]
    assert moves[2].names == {"id-vpn": "vpn", "id-db": "db"}
