"""What a manager is told of targets: one line each, whatever number of containers it has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.assigned import NEW, OLD, OTHER

from tidegate.agent.link.inventory import Stock
from tidegate.agent.survey import Place, Survey
from tidegate.agent.watchtower.client import Counts
from tidegate.domain.policy import PolicyDefaults
from tidegate.domain.selection import Candidate, Filters, select
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Health, Image
from tidegate.protocol.events import MOST_MEMBERS, UPDATER_TROUBLE, InventoryTarget, LastScan, Member
from tidegate.protocol.events import Health as Told

IMAGES = {
    "old": Image("old", (), (f"web@{OLD}",), "", "", "", 1, {}),
    "both": Image("both", (), (f"web@{OTHER}", f"web@{NEW}", f"other@{OLD}"), "", "", "", 1, {}),
    "built": Image("built", (), (), "", "", "", 1, {}),
}


def place(name: str, image_id: str = "old", state: str = "running", **more: Any) -> Place:
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web", **more.pop("labels", {})}
    filters = Filters(include_stopped=True, include_restarting=True)
    (chosen,) = select([Candidate(name, name, more.get("image", "web:1"), state, labels)], filters, PolicyDefaults())
    return Place(name, name, more.get("image", "web:1"), image_id, state, labels, chosen)


async def told(
    *places: Place, healths: dict[str, Health] | None = None, assigned: str = "", watchtower: Any = None
) -> list[InventoryTarget]:
    async def survey() -> Survey:
        return Survey(places, IMAGES)

    async def container(name: str) -> Any:
        if name == "gone":
            raise NotFoundError("no such container")
        return SimpleNamespace(running=True, health=(healths or {}).get(name, Health.NONE))

    async def image(_: str) -> Any:
        return SimpleNamespace(os="linux", architecture="arm64")

    async def around() -> None:
        return None

    async def choose(*_: Any) -> Any:
        return SimpleNamespace(strategy="swap")

    parts: Any = SimpleNamespace(
        watchtower=watchtower,
        surveyor=lambda: SimpleNamespace(survey=survey),
        engine=SimpleNamespace(container=container, image=image),
        preparer=SimpleNamespace(around=around, choose=choose),
    )
    return list(await Stock(parts, lambda: {"shop/web": assigned}).read())


async def test_a_target_is_told_with_what_its_containers_have_in_common() -> None:
    (one,) = await told(place("a"), place("b"), place("gone"), healths={"a": Health.HEALTHY, "b": Health.UNHEALTHY})
    assert (one.target, one.image, one.repository, one.tag) == ("shop/web", "web:1", "docker.io/library/web", "1")
    assert (one.digest, one.containers, one.state, one.health) == (OLD, 3, "running", "unhealthy")
    assert (one.platform, one.strategy, one.held) == ("linux/arm64", "swap", False)


async def test_its_containers_are_told_one_by_one() -> None:
    (one,) = await told(
        place("web-10", state="exited"),
        place("web-9", "both"),
        place("gone"),
        place("web-11", "built"),
        healths={"web-9": Health.STARTING},
    )
    assert one.members == (
        Member("web-9", "running", Told.STARTING, OTHER),
        Member("web-10", "exited", Told.NONE, OLD),
        Member("web-11", "running", Told.NONE),
    )


async def test_a_container_is_told_by_the_digest_that_its_target_is_told_by() -> None:
    (one,) = await told(place("a", "both"), assigned=NEW)
    assert [each.digest for each in one.members] == [NEW]


async def test_of_a_target_with_many_containers_and_of_many_targets_only_the_number_is_told() -> None:
    (one,) = await told(*(place(f"web-{number}") for number in range(MOST_MEMBERS + 1)))
    assert (one.containers, one.members) == (MOST_MEMBERS + 1, ())
    services = [
        place(f"{service}-{number}", labels={"com.docker.compose.service": f"s{service}"})
        for service in range(21)
        for number in range(MOST_MEMBERS)
    ]
    few = await told(*services[: 20 * MOST_MEMBERS])
    assert {len(each.members) for each in few} == {MOST_MEMBERS}
    assert {len(each.members) for each in await told(*services)} == {0}


async def test_of_several_names_the_one_it_was_assigned_by_is_told() -> None:
    (before,) = await told(place("a", "both"))
    (after,) = await told(place("a", "both"), assigned=NEW)
    (other,) = await told(place("a", "old"), assigned=NEW)
    assert (before.digest, after.digest, other.digest) == (OTHER, NEW, OLD)


async def test_containers_of_different_releases_have_none_in_common() -> None:
    (one,) = await told(place("a"), place("b", "both", "exited"))
    assert (one.digest, one.state, "do not run one release" in one.reason) == (None, "mixed", True)


@pytest.mark.parametrize("image_id", ["built", "unknown"])
async def test_what_came_from_no_registry_has_no_digest(image_id: str) -> None:
    (one,) = await told(place("a", image_id))
    assert one.digest is None


async def test_what_is_monitored_only_is_held() -> None:
    (one,) = await told(place("a", labels={"tidegate.monitor-only": "true"}))
    assert (one.held, one.reason) == (True, "it is monitored only")


async def test_candidates_images_without_a_name_and_what_is_no_composes_are_no_targets() -> None:
    candidate = place("a-tidegate-next", labels={"tidegate.transaction": "tx.0"})
    alone = place("b", labels={"com.docker.compose.project": ""})
    assert await told(candidate, alone, place("c", image="sha256:" + "a" * 64)) == []


def test_what_watchtower_counts_is_told_where_it_is_the_updater_and_answers() -> None:
    def told_with(watchtower: Any) -> LastScan | None:
        parts: Any = SimpleNamespace(watchtower=watchtower, surveyor=lambda: None)
        return Stock(parts, dict).updater()

    assert told_with(None) is None
    assert told_with(SimpleNamespace(watch=SimpleNamespace(counts=None))) is None
    found = told_with(SimpleNamespace(watch=SimpleNamespace(counts=Counts(5, 1, 2, scans=7))))
    assert found == LastScan(scanned=5, updated=1, failed=2, scans=7)


async def test_trouble_of_watchtower_is_told_of_a_target_that_is_pinned_too() -> None:
    away = SimpleNamespace(watch=SimpleNamespace(trouble="Watchtower cannot be reached"))
    pinned = place("a", image=f"web@{OLD}")
    (loose,), (held,) = await told(place("a"), watchtower=away), await told(pinned, watchtower=away)
    assert loose.reason == f"{UPDATER_TROUBLE}Watchtower cannot be reached"
    assert held.reason.startswith(f"{loose.reason}; it is pinned")
    away.watch.trouble = ""
    assert (await told(pinned, watchtower=away))[0].reason.startswith("it is pinned")
