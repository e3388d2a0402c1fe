"""On an engine that a person uses too, tests and benchmarks leave alone what is not theirs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import program
from tests.conftest import Push
from tests.support import leaks, strangers
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker, inspect, listed
from tests.support.features import image_of, one, services


@pytest.fixture(autouse=True)
def _shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the engine had been there before."""
    monkeypatch.delenv("GROUND_PRIVATE", raising=False)


@pytest.fixture
def person(push: Push) -> Iterator[str]:
    """A person's container that is behind its channel, as their own agent has left it, and its private network."""
    name, old = f"shop-{secrets.token_hex(4)}", push("1", "shop")
    docker("network", "create", "--label", f"tidegate.private-for={name}", "--subnet", "10.213.255.0/27", name)
    docker("run", "-d", "--name", name, "--label", "tidegate.transaction=theirs", old.reference)
    push("2", "shop")
    yield name
    docker("rm", "-f", "-v", name)
    docker("network", "rm", name)


async def test_an_agent_without_a_filter_updates_the_tests_containers_only(
    compose: Compose, push: Push, person: str, tmp_path: Path
) -> None:
    compose.write(services(web=one(push("1"))))
    compose.up()
    new, theirs = push("2"), inspect(person)["Id"]
    more = {"WATCHTOWER_DISABLE_CONTAINERS": "nobody"}
    async with agent_here(tmp_path / "state", **more) as here:
        reasons = {one.place.name: one.reason for one in (await here.look()).decisions}
    assert image_of(compose, "web") == new.image_id
    assert reasons[person] == "it is in disable-containers"
    assert inspect(person)["Id"] == theirs


def test_a_benchmarks_agent_plans_nothing_for_a_persons_container(person: str, tmp_path: Path) -> None:
    plan = program.run(tmp_path / "state", "agent", "plan", "--include-stopped", "--json")
    assert "it is in disable-containers" in plan
    assert '"selected": true' not in plan
    assert person in plan


def test_what_a_person_makes_during_a_test_is_not_taken_away_after_it(compose: Compose, push: Push) -> None:
    before = leaks.present()
    name = f"shop-{secrets.token_hex(4)}"
    reference = push("1").reference
    docker("network", "create", "--label", f"tidegate.private-for={name}", "--subnet", "10.213.255.0/27", name)
    docker("run", "-d", "--name", name, "--label", "tidegate.transaction=theirs", reference)
    try:
        compose.write(services(web=one(reference)))
        compose.up()
        ids = compose.ids("web")
        found = leaks.take_away(before)
        assert (len(found), compose.ids("web")) == (2, set())  # the container and the project's network
        assert ids
        compose.clean()
        strangers.remove_private_networks()
        assert inspect(name)["State"]["Running"]
        assert listed("network", f"name={name}")
    finally:
        docker("rm", "-f", "-v", name)
        docker("network", "rm", name)


async def test_the_private_network_of_a_tests_agent_is_known_as_ours(engine_url: str, tmp_path: Path) -> None:
    assert engine_url
    before = listed("network", strangers.PRIVATE)
    async with agent_here(tmp_path / "state") as here:
        await here.parts.private.make(secrets.token_hex(4))
    made = listed("network", strangers.PRIVATE) - before
    assert (len(made), strangers.private_networks()) == (1, made)
    strangers.remove_private_networks()
    assert listed("network", strangers.PRIVATE) == before
