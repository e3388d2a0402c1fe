"""Secrets from the environment and configs from the Compose file's text are copied by Compose, not mounted."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support import strangers
from tests.support.agent import AgentHere, agent_here, in_thread, tidegate
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.dying import ends_at
from tests.support.features import image_of
from tests.support.kills import agent_killed_at

FILE = """
services:
  web:
    image: %s
    healthcheck: {test: "test -s /run/secrets/key && /app health", interval: 300ms, retries: 3}
    secrets: [key, {source: key, target: owned, uid: "1000", gid: "1001", mode: 0400}, mounted]
    configs: [settings, {source: mode, target: /etc/shop/mode.conf, mode: 0440}]
    labels: {tidegate.strategy: %s}
secrets: {key: {environment: SHOP_KEY}, mounted: {file: ./mounted}}
configs: {settings: {content: "open: true"}, mode: {environment: SHOP_MODE}}
"""
INJECTED = (
    "444 0:0 /run/secrets/key hush",
    "400 1000:1001 /run/secrets/owned hush",
    "444 0:0 /settings open: true",
    "440 0:0 /etc/shop/mode.conf late",
)
READ = (
    "for file in /run/secrets/key /run/secrets/owned /settings /etc/shop/mode.conf; do "
    'echo "$(stat -c "%a %u:%g %n" $file) $(cat $file)"; done'
)

MEDDLING = "rm /run/secrets/owned; echo mine >/settings; touch -d @1 /etc/shop/mode.conf; exec /app serve"


@pytest.fixture
def shop(compose: Compose, push: Push, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Compose:
    """A service that runs release 1, and whose application has written files of its own."""
    monkeypatch.setenv("SHOP_KEY", "hush")
    monkeypatch.setenv("SHOP_MODE", "late")
    (compose.folder / "mounted").write_text("a file of the host")
    compose.write(FILE % (push("1").reference, getattr(request, "param", "auto")))
    compose.up("--wait")
    docker("exec", compose.container("web")["Id"], "sh", "-c", "date >/written; date >/etc/shop/written")
    assert injected(compose) == INJECTED
    return compose


def injected(compose: Compose) -> tuple[str, ...]:
    return tuple(docker("exec", compose.container("web")["Id"], "sh", "-c", READ).splitlines())


def kept(here: AgentHere) -> list[Path]:
    return list(here.parts.state.directory.glob("journal/**/*.tar*"))


@pytest.mark.parametrize("shop", ["start-first", "stop-first"], indirect=True)
async def test_they_are_there_after_an_update_and_after_the_rollbacks(
    shop: Compose, push: Push, tmp_path: Path
) -> None:
    second = push("2")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.last()["outcome"] == "committed", here.last()
        assert (image_of(shop, "web"), injected(shop), shop.changes()) == (second.image_id, INJECTED, [])
        written = docker("diff", shop.container("web")["Id"]).splitlines()
        assert not [line for line in written if line.endswith("/written")]
    push("3", Entrypoint=["sh", "-c", MEDDLING])
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="20s") as here:
        ends_at(here, "bake", f"{shop.project}-web-1")
        await here.look()
        assert here.last()["outcome"] == "rolled-back", here.last()
        assert (image_of(shop, "web"), injected(shop), shop.changes()) == (second.image_id, INJECTED, [])
        assert kept(here) == []
    await in_thread(tidegate, tmp_path / "state", "agent", "rollback", f"{shop.project}/web")
    assert image_of(shop, "web") != second.image_id
    assert (injected(shop), shop.changes()) == (INJECTED, [])


async def test_a_second_opinion_has_them_too(shop: Compose, push: Push, tmp_path: Path) -> None:
    subnets = strangers.settings().get("TIDEGATE_PRIVATE_SUBNETS", "10.213.0.0/16")
    second = push("2", env={"SICK_ON_NETWORK": subnets})
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert (here.last()["outcome"], here.last()["strategy"]) == ("committed", "stop-first"), here.last()
    assert (image_of(shop, "web"), injected(shop)) == (second.image_id, INJECTED)


@pytest.mark.parametrize(
    "point",
    [
        "amid:step:create@0-back",
        *(pytest.param(f"in:step:{at}@0-back", marks=pytest.mark.long) for at in ("create", "start", "name")),
    ],
)
async def test_a_rollback_that_a_kill_cut_off_has_them_as_they_were(
    shop: Compose, push: Push, tmp_path: Path, point: str
) -> None:
    before = image_of(shop, "web")
    push("2", Entrypoint=["sh", "-c", MEDDLING])
    agent_killed_at(point, tmp_path / "state", TIDEGATE_BAKE="20s", ENDS_IN_BAKE=f"{shop.project}-web-1")
    async with agent_here(tmp_path / "state") as here:
        await here.agent.recover()
        assert here.last()["outcome"] == "rolled-back", here.last()
        assert kept(here) == []
    assert (image_of(shop, "web"), injected(shop), shop.changes()) == (before, INJECTED, [])
