"""The engine refuses to create a container: nothing that runs is lost, and no release is blamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import AgentHere, agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.dying import ends_at
from tests.support.features import one, services
from tests.support.images import Pushed
from tests.support.kills import SERVICES, assert_nothing_left, strategy_of

from tidegate.agent import loop
from tidegate.agent.guard import TRANSACTION
from tidegate.agent.replacement import NEXT
from tidegate.engine.docker import DockerEngine
from tidegate.engine.errors import EngineError, PullError

NETWORKS: dict[str, Any] = {"networks": {"front": {}, "back": {}}}
CHECKED = "com.centurylinklabs.watchtower.lifecycle.post-check"
REFUSED = "the engine's disk is full"


def refuse_to_create(monkeypatch: pytest.MonkeyPatch, *, from_number: int = 1) -> None:
    """Let the engine make no candidate, from the so-manieth on."""
    create, asked = DockerEngine.create, []

    async def create_or_refuse(engine: DockerEngine, name: str, request: Any) -> str:
        if name.endswith(NEXT):
            asked.append(name)
            if len(asked) >= from_number:
                raise EngineError(REFUSED)
        return await create(engine, name, request)

    monkeypatch.setattr(DockerEngine, "create", create_or_refuse)


@pytest.mark.parametrize("name", list(SERVICES))
async def test_where_no_candidate_can_be_created_the_same_container_goes_on_and_nobody_is_blamed(
    compose: Compose, push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    compose.write(services(web=one(push("1"), restart="always", **SERVICES[name])) | NETWORKS)
    compose.up()
    before = compose.container("web")
    push("2")
    refuse_to_create(monkeypatch)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert (here.last()["outcome"], here.last()["strategy"]) == ("failed", strategy_of(name))
        assert REFUSED in here.last()["reason"]
    after = compose.container("web")
    assert (after["Id"], after["State"]["Running"]) == (before["Id"], True)
    assert (after["HostConfig"]["RestartPolicy"], compose.changes()) == (before["HostConfig"]["RestartPolicy"], [])
    assert_nothing_left(compose, tmp_path / "state")


async def test_a_candidate_that_another_agent_left_is_not_touched_and_told_with_the_remedy(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1")
    compose.write(services(web=one(old)))
    compose.up()
    before = compose.container("web")
    left = f"{before['Name'].lstrip('/')}{NEXT}"
    docker("create", "--name", left, "--label", f"{TRANSACTION}=20260101-000000-0000.0", old.reference)
    push("2")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.last()["outcome"] == "failed"
        assert f"if no other agent is at work: docker rm -f {left}" in here.last()["reason"]
        assert (compose.container("web")["Id"], here.parts.state.quarantine.list()) == (before["Id"], [])
        docker("rm", "-f", left)
        await here.look()
        assert here.outcomes() == ["failed", "committed"]


async def _made_late(here: AgentHere, container: str, image: Pushed) -> str:
    """What the engine made for the last update, after that was over; its name."""
    name, update = f"{container.lstrip('/')}{NEXT}", here.last()["transaction"]
    docker("create", "--name", name, "--label", f"{TRANSACTION}={update}.0", image.image_id)
    return name


async def test_a_candidate_that_the_engine_made_too_late_is_removed_at_the_next_look(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    """The engine goes on with a request whose asker was killed, and so may be done with it after the recovery."""
    old = push("1")
    compose.write(services(web=one(old)))
    compose.up()
    push("2")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        left = await _made_late(here, compose.container("web")["Name"], old)
        docker("create", "--name", f"other-{left}", "--label", f"{TRANSACTION}=20260101-000000-0000.0", old.reference)
        await here.agent.once()
        assert here.outcomes() == ["committed"]
        assert docker("ps", "--all", "--format", "{{.Names}}", "--filter", f"name={left}").split() == [f"other-{left}"]
        docker("rm", f"other-{left}")


@pytest.mark.parametrize("runs", [False, True])
async def test_a_candidate_that_comes_as_late_as_the_next_update_is_in_nobodys_way_unless_it_runs(
    compose: Compose, push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, runs: bool
) -> None:
    async def not_there_yet(*_: object) -> None: ...

    monkeypatch.setattr(loop, "remove_left_over", not_there_yet)
    old = push("1")
    compose.write(services(web=one(old)))
    compose.up()
    push("2")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        left = await _made_late(here, compose.container("web")["Name"], old)
        if runs:
            docker("start", left)
        push("3")
        await here.look()
        assert here.outcomes() == ["committed", "failed" if runs else "committed"]
        assert (f"docker rm -f {left}" in here.last()["reason"]) is runs
    if runs:
        docker("rm", "-f", left)


async def test_where_the_agents_own_new_image_cannot_be_pulled_it_is_told_and_the_look_goes_on(
    compose: Compose, push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose.write(services(agent=one(push("1"), labels={CHECKED: "touch /tmp/checked"})))
    compose.up()
    before = compose.container("agent")["Id"]
    push("2")

    async def pull(*_: Any, **__: Any) -> None:
        raise PullError("a layer of it is not in the registry")

    monkeypatch.setattr(DockerEngine, "pull", pull)
    async with agent_here(tmp_path / "state", WATCHTOWER_LIFECYCLE_HOOKS="true") as here:
        here.parts.own = before
        looked = await here.look()
        assert (here.last()["outcome"], looked.tally.failed) == ("failed", 1)
        assert "a layer of it" in here.last()["reason"]
    docker("exec", before, "test", "-e", "/tmp/checked")
    assert_nothing_left(compose, tmp_path / "state")


async def test_where_the_earlier_release_cannot_be_created_again_the_newer_one_is_kept_running(
    compose: Compose, push: Push, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose.write(services(web=one(push("1"), restart="always")))
    compose.up()
    new = push("2")
    refuse_to_create(monkeypatch, from_number=2)
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="20s") as here:
        ends_at(here, "bake", f"{compose.project}-web-1")
        await here.look()
    web = compose.container("web")
    assert (web["Image"], web["State"]["Running"]) == (new.image_id, True)
    assert web["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert_nothing_left(compose, tmp_path / "state", blamed=[new.digest])
