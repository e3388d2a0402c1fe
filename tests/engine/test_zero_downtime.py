"""Behind the example's proxy no request fails while its orchestrators are replaced, and enough of them always serve."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from bench import edge
from bench.course import Kind, failures
from bench.load import load
from tests.support import haproxy_image
from tests.support.absent import cannot
from tests.support.pipeline import checkout
from tests.support.registry import Registry
from tests.support.serving import watched
from tests.support.waiting import served_version

from groundwork.paths import GroundError

RATE = 60.0
GETS = (Kind.QUICK, Kind.KEPT)
"""The example's orchestrator answers these alone."""
STOP_FIRST = {"tidegate.strategy": "stop-first"}


@pytest.fixture(autouse=True)
def _proxy(engine_url: str) -> None:
    """HAProxy is Debian's."""
    assert engine_url
    try:
        haproxy_image.program()
    except GroundError as error:
        cannot(str(error))


@pytest.mark.parametrize(
    ("replicas", "labels", "fewest"),
    [(1, {}, 1), (2, {}, 2), (2, STOP_FIRST, 1)],
    ids=["one", "two", "two-stop-first"],
)
def test_updates_and_a_rollback_lose_no_request_and_leave_enough_replicas_at_every_moment(
    replicas: int, labels: Mapping[str, str], fewest: int
) -> None:
    with edge.edge(replicas, labels) as place, watched(place.compose, place.service, place.network) as serving:
        with load(place.address, RATE) as running:
            for version in ("1", "2"):
                place.push(version)
                edge.AGENT.update(place)
                assert _answering(place) == {version}
            edge.AGENT.roll_back(place, "1")
            assert _answering(place) == {"1"}
        assert serving.fewest() == fewest
    assert running.sent
    assert failures(running.sent) == {}


@pytest.mark.timeout(300)
def test_the_image_that_the_pipeline_builds_is_replaced_behind_the_proxy_and_no_request_is_lost(
    registry: Registry, repository: str, tmp_path: Path
) -> None:
    pipeline = checkout(tmp_path / "pipeline", registry, repository)
    with edge.edge(1, release=pipeline.release) as place, load(place.address, RATE, GETS) as running:
        place.push("1")
        edge.AGENT.update(place)
        assert _answering(place) == {"1"}
    assert running.sent
    assert failures(running.sent) == {}


def _answering(place: edge.Edge) -> set[str | None]:
    """The versions that the proxy sends requests to, each replica having its turn."""
    return {served_version(place.address) for _ in range(2 * len(place.names()))}
