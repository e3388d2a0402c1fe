"""Manager and agents as programs: what is pushed waits, is approved by somebody else, goes out in waves, or back."""

from __future__ import annotations

import pytest
from tests.conftest import Push
from tests.support.compose import Compose
from tests.support.images import Pushed
from tests.support.two_clusters import LIMIT_S, RULES, Fleet
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(600)


def test_a_release_waits_goes_out_in_waves_over_a_killed_manager_stops_at_the_canary_and_goes_back(
    fleet: Fleet, push: Push, clusters: tuple[Compose, Compose, Pushed]
) -> None:
    first = clusters[2]
    (channel,) = fleet.ann.items("/channels")
    fleet.ann.set_rules(channel["id"], RULES)
    second = push("2", healthcheck=True)
    _good(fleet, second)
    _bad(fleet, second, push("3", env={"SICK": "1"}, healthcheck=True))
    went = fleet.ann("POST", f"/channels/{channel['id']}/rollback", {"reason": "errors since noon"})
    fleet.ends(went["items"][0]["id"], "completed")
    assert fleet.images() == (first.image_id, first.image_id)
    assert fleet.ann("GET", "/audit/verify")["ok"] is True


def _good(fleet: Fleet, release: Pushed) -> None:
    before = fleet.images()
    waiting = fleet.waits(release.digest)
    assert fleet.images() == before
    fleet.bob("POST", f"/rollouts/{waiting}/approve", {})
    wait_for(lambda: fleet.rollout(release.digest)["counts"].get("updating"), "the canary begins", limit_s=LIMIT_S)
    fleet.manager.program.stop(kill=True)
    fleet.manager.start()
    fleet.ends(waiting, "completed")
    assert fleet.images() == (release.image_id, release.image_id)
    waves = [one_["target"] for one_ in fleet.ann.items(f"/rollouts/{waiting}/targets")]
    assert waves == [f"{fleet.canary.project}@canary/web", f"{fleet.other.project}@other/web"]


def _bad(fleet: Fleet, runs: Pushed, release: Pushed) -> None:
    untouched = fleet.other.ids("web")
    waiting = fleet.waits(release.digest)
    fleet.bob("POST", f"/rollouts/{waiting}/approve", {})
    fleet.ends(waiting, "rolled_back")
    assert fleet.images() == (runs.image_id, runs.image_id)
    assert fleet.other.ids("web") == untouched
    assert [one_["digest"] for one_ in fleet.ann.items("/quarantine")] == [release.digest]
