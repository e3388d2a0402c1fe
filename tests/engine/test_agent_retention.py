"""Which images an update leaves on the engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import image_of, on_engine, one, services
from tests.support.images import Pushed

KEPT = "tidegate.local/keep"


def kept() -> set[str]:
    """Image ids that carry a keep tag."""
    return set(docker("image", "ls", "--no-trunc", "--quiet", KEPT).split())


@pytest.fixture
def push(push: Push, repository: str) -> Push:
    """Images that no other test has: those of equal content would be one on the engine."""

    def push_own(version: str, **more: object) -> Pushed:
        return push(version, labels={"test": repository}, **more)

    return push_own


async def releases(compose: Compose, push: Push, state: Path, last: int, **more: str) -> list[Pushed]:
    """Releases 1 to `last`, each rolled in by an agent with these settings."""
    pushed = [push("1")]
    compose.write(services(web=one(pushed[0])))
    compose.up()
    async with agent_here(state, TIDEGATE_SETTLE="1ms", TIDEGATE_BAKE="1ms", **more) as here:
        for version in range(2, last + 1):
            pushed.append(push(str(version)))
            await here.look()
            assert image_of(compose, "web") == pushed[-1].image_id
    return pushed


async def test_cleanup_keeps_the_last_earlier_image_only(compose: Compose, push: Push, tmp_path: Path) -> None:
    pushed = await releases(compose, push, tmp_path / "state", 4, WATCHTOWER_CLEANUP="true")
    assert [on_engine(each) for each in pushed] == [False, False, True, True]
    assert kept() & {each.image_id for each in pushed} == {pushed[2].image_id}


async def test_keep_images_keeps_so_many(compose: Compose, push: Push, tmp_path: Path) -> None:
    pushed = await releases(compose, push, tmp_path / "state", 4, TIDEGATE_KEEP_IMAGES="2")
    assert [on_engine(each) for each in pushed] == [False, True, True, True]


async def test_an_image_in_use_elsewhere_or_tagged_by_somebody_stays(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1")
    off = {"tidegate.enable": "false"}
    compose.write(services(web=one(old), stays=one(old, labels=off)))
    compose.up()
    push("2")
    async with agent_here(tmp_path / "state", TIDEGATE_KEEP_IMAGES="0") as here:
        await here.look()
        assert here.outcomes() == ["committed"]
        assert on_engine(old)
        second = here.last()["to"]
        docker("tag", compose.container("web")["Image"], "mine:2")
        push("3")
        await here.look()
    try:
        assert second in docker("image", "inspect", "--format", "{{.RepoDigests}}", "mine:2")
    finally:
        docker("image", "rm", "--force", "mine:2")


async def test_a_prune_after_an_update_does_not_cost_the_way_back(
    compose: Compose, push: Push, repository: str, tmp_path: Path
) -> None:
    pushed = await releases(compose, push, tmp_path / "state", 2)
    docker("image", "prune", "--force", "--filter", f"label=test={repository}")
    assert on_engine(pushed[0])


async def test_without_cleanup_nothing_is_removed_and_keep_tags_are_bounded(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    pushed = await releases(compose, push, tmp_path / "state", 8)
    assert all(on_engine(each) for each in pushed)
    assert kept() & {each.image_id for each in pushed} == {each.image_id for each in pushed[2:7]}


async def test_with_cleanup_a_release_that_failed_does_not_stay_on_the_disk(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1", healthcheck=True)
    compose.write(services(web=one(old)))
    compose.up("--wait")
    broken = push("2", healthcheck=True, env={"SICK": "1"})
    async with agent_here(tmp_path / "state", WATCHTOWER_CLEANUP="true") as here:
        await here.look()
        assert here.outcomes() == ["rolled-back"]
    assert (on_engine(broken), on_engine(old), image_of(compose, "web")) == (False, True, old.image_id)
