"""Hooks: a busy container is asked again, a hook that fails leaves everything as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import at_work, image_of, one, running, services, until
from tests.support.waiting import status

BUSY = {"tidegate.hook.pre-update": "echo asked >>/tmp/asked; /app busy"}


def asked(compose: Compose) -> int:
    return len(docker("exec", compose.container("web")["Id"], "cat", "/tmp/asked", check=False).split())


async def test_a_busy_container_is_deferred_once_and_updated_as_soon_as_it_is_idle(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1")
    compose.write(services(web=one(old, labels=BUSY, ports=["8000"])))
    compose.up()
    address = compose.address("web")
    await until(lambda: status(address, "/busy", method="POST") == 200, "it takes the mark")
    new = push("2")
    async with agent_here(tmp_path / "state") as here, at_work(here, busy_retry_s=0.5):
        await until(lambda: asked(compose) > 2, "the busy container is asked again")
        assert (here.outcomes(), image_of(compose, "web")) == (["deferred"], old.image_id)
        assert "busy" in here.last()["reason"]
        assert status(address, "/idle", method="POST") == 200
        await until(lambda: here.outcomes() == ["deferred", "committed"], "it is updated when idle")
    assert image_of(compose, "web") == new.image_id


@pytest.mark.parametrize(
    ("then", "ends"), [("force", ["deferred", "forced", "committed"]), ("skip", ["deferred", "skipped"])]
)
async def test_what_is_busy_for_longer_than_its_label_says_is_updated_all_the_same_or_skipped(
    compose: Compose, push: Push, tmp_path: Path, then: str, ends: list[str]
) -> None:
    labels = {**BUSY, "tidegate.busy-wait": "2s", "tidegate.busy-then": then}
    old = push("1")
    compose.write(services(web=one(old, labels=labels, ports=["8000"])))
    compose.up()
    await until(lambda: status(compose.address("web"), "/busy", method="POST") == 200, "it takes the mark")
    new = push("2")
    async with agent_here(tmp_path / "state") as here:
        async with at_work(here, busy_retry_s=0.5):
            await until(lambda: here.outcomes() == ends, "it is not waited for any longer")
        if then == "skip":
            assert image_of(compose, "web") == old.image_id
            new = push("3")
            assert status(compose.address("web"), "/idle", method="POST") == 200
            await here.look()
    assert image_of(compose, "web") == new.image_id


async def test_a_hook_that_fails_leaves_the_container_running_and_counts_as_a_failure(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1")
    compose.write(services(web=one(old, labels={"tidegate.hook.pre-update": "echo no thanks; exit 3"})))
    compose.up()
    push("2")
    async with agent_here(tmp_path / "state") as here:
        looked = await here.look()
        assert (looked.tally.failed, here.outcomes()) == (1, ["failed"])
        assert "no thanks" in here.last()["reason"]
    assert (image_of(compose, "web"), running(compose, "web")) == (old.image_id, True)


async def test_check_hooks_and_the_post_update_hook_run_where_they_belong(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    labels = {
        "tidegate.hook.pre-check": "echo $$VERSION >/state/pre-check",
        "tidegate.hook.post-update": "echo $$VERSION >/state/post-update",
        "tidegate.hook.post-check": "echo $$VERSION >/state/post-check",
    }
    volume = ["marks:/state"]
    compose.write(services(web=one(push("1"), labels=labels, volumes=volume)) | {"volumes": {"marks": None}})
    compose.up()
    push("2")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["committed"]
    read = docker("exec", compose.container("web")["Name"].lstrip("/"), "sh", "-c", "cat /state/p*")
    assert read.split() == ["2", "2", "1"]  # post-check, post-update, pre-check


async def test_hooks_that_fail_once_an_update_has_begun_are_told_of_and_the_update_stands(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    labels = {
        "tidegate.hook.drain": "echo still busy; exit 3",
        "tidegate.hook.post-update": "echo no smoke; exit 4",
    }
    compose.write(services(web=one(push("1"), labels=labels)))
    compose.up()
    new = push("2")
    with capture_logs() as logs:
        async with agent_here(tmp_path / "state") as here:
            looked = await here.look()
            assert (looked.tally.failed, here.outcomes(), here.parts.state.quarantine.list()) == (0, ["committed"], [])
    told = {line["event"]: line["output"] for line in logs if line["log_level"] == "error"}
    name = f"{compose.project}-web-1"
    assert told == {
        "drain hook": f"'echo still busy; exit 3' ended with exit code 3 in {name}: still busy",
        "post-update hook": f"'echo no smoke; exit 4' ended with exit code 4 in {name}: no smoke",
    }
    assert (image_of(compose, "web"), running(compose, "web"), compose.changes()) == (new.image_id, True, [])


async def test_watchtowers_hook_labels_count_only_where_lifecycle_hooks_are_switched_on(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    labels = {"com.centurylinklabs.watchtower.lifecycle.pre-update": "exit 75"}
    compose.write(services(web=one(push("1"), labels=labels)))
    compose.up()
    push("2")
    async with agent_here(tmp_path / "on", WATCHTOWER_LIFECYCLE_HOOKS="true") as here:
        await here.look()
        assert here.outcomes() == ["deferred"]
    async with agent_here(tmp_path / "off") as here:
        await here.look()
        assert here.outcomes() == ["committed"]
