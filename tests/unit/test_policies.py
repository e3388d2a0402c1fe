"""Under which policy an update is ended that was cut off."""

from __future__ import annotations

from typing import Any

import pytest

from tidegate.agent.policies import policies_of
from tidegate.agent.replacement import Replacement
from tidegate.domain.policy import PolicyDefaults
from tidegate.domain.transaction import Strategy

DEFAULTS = PolicyDefaults(bake_s=30)


def replacement(name: str, labels: dict[str, str], **changes: Any) -> Replacement:
    values: dict[str, Any] = {
        "id": f"tx.{name}", "cluster": "shop", "service": name, "number": "1", "name": name, "incumbent": f"old-{name}",
        "reference": "web:live", "old_image": "sha256:1", "new_image": "sha256:2", "old_digest": "", "new_digest": "",
        "strategy": Strategy.STOP_FIRST, "late": (), "early": (), "request": {}, "endpoints": {},
        "saved": {"Labels": labels}, "saved_endpoints": {},
    }  # fmt: skip
    return Replacement(**{**values, **changes})


def rider(labels: dict[str, str], **changes: Any) -> Replacement:
    return replacement("rider", labels, **{"new_image": "sha256:1", "parent": "web", **changes})


def test_labels_that_the_old_image_gave_count_as_they_did_before_the_kill() -> None:
    web = replacement("web", {"tidegate.bake": "7s"}, request={"Labels": {}})
    assert policies_of([web], DEFAULTS)["tx.web"].bake_s == 7


@pytest.mark.parametrize("label", ["5m", "soon"])
def test_a_rider_has_its_parent_s_time_whatever_its_own_labels_say(label: str) -> None:
    web = replacement("web", {"tidegate.bake": "7s", "tidegate.probe.tcp": ":80"})
    policy = policies_of([web, rider({"tidegate.bake": label})], DEFAULTS)["tx.rider"]
    assert (policy.bake_s, policy.probe) == (7, None)


def test_a_rider_that_moves_to_a_release_of_its_own_has_its_own_policy() -> None:
    web = replacement("web", {"tidegate.bake": "7s"})
    own = rider({"tidegate.bake": "9s"}, new_image="sha256:2")
    assert policies_of([web, own], DEFAULTS)["tx.rider"].bake_s == 9


def test_labels_that_another_version_took_count_as_the_defaults() -> None:
    assert policies_of([replacement("web", {"tidegate.bake": "soon"})], DEFAULTS)["tx.web"].bake_s == 30


def test_a_rider_whose_parent_is_not_known_has_the_defaults() -> None:
    assert policies_of([rider({})], DEFAULTS)["tx.rider"].bake_s == 30
