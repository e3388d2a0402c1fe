"""What bench/compare.py measures can be measured: the quick scenarios, with what the agent promises in them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest
from bench import compare_failures, compare_kept
from bench.compare_cluster import Outcome
from bench.compare_updaters import image_of_agent, image_of_watchtower
from bench.compare_world import Outside, Updater, is_private, outside
from tests.support.absent import PRIVATE, cannot
from tests.support.docker import docker
from tests.support.registry import Registry

from groundwork import watchtower
from groundwork.paths import GroundError

pytestmark = pytest.mark.timeout(600)  # the agent's image is built for them
Scenario = Callable[[Outside, Updater], Outcome]


@pytest.fixture(scope="module")
def around(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """A registry that both speak TLS with."""
    assert engine_url
    if not is_private():
        cannot(f"this engine is not ours to have trust another registry: {PRIVATE}")
    with outside(tmp_path_factory.mktemp("outside")) as one:
        yield one


@pytest.fixture(scope="module")
def theirs(registry: Registry) -> Updater:
    try:
        watchtower.program()
    except GroundError as error:
        cannot(str(error))
    return image_of_watchtower(registry)


@pytest.fixture(scope="module")
def ours(engine_url: str) -> Iterator[Updater]:
    assert engine_url
    tag = f"tidegate-test-agent:{secrets.token_hex(4)}"
    yield image_of_agent(tag)
    docker("rmi", "-f", tag)


@pytest.mark.parametrize("scenario", [compare_failures.refused, compare_failures.sick])
def test_a_service_outlasts_an_update_that_fails_and_nobody_notices(
    around: Outside, ours: Updater, scenario: Scenario
) -> None:
    facts = scenario(around, ours).facts
    assert (facts["v1_serves_in_the_end"], facts["v2_ever_answered"], facts["requests_failed"]) == (True, False, 0)


def test_compose_has_nothing_to_do_after_an_update(around: Outside, ours: Updater) -> None:
    assert compare_kept.compose_afterwards(around, ours).facts == {"same_container": True, "changes": []}


def test_watchtower_leaves_no_container_where_the_new_one_is_refused(around: Outside, theirs: Updater) -> None:
    facts = compare_failures.refused(around, theirs).facts
    assert facts["state"] == facts["after_the_next_look"] == "lost: no container left"


def test_watchtower_leaves_a_sick_release_where_it_is(around: Outside, theirs: Updater) -> None:
    facts = compare_failures.sick(around, theirs).facts
    assert (facts["v1_serves_in_the_end"], facts["state"]) == (False, "v2 runs, unhealthy")
