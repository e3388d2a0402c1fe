"""Containers in another's namespaces stay with it, however the update of that one ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.dying import ends_at
from tests.support.features import one, services

PROBED = {"tidegate.probe.http": ":8000/healthz"}


def vpn_and_rider(push: Push, shared: str = "network_mode", **rider: Any) -> dict[str, Any]:
    """A service, and another in one of its namespaces."""
    follower = one(push("1", "rider"), command=["db"], **{shared: "service:vpn"}, **rider)
    return services(vpn=one(push("1", "vpn"), labels=PROBED), rider=follower)


def together(compose: Compose, kind: str = "net") -> bool:
    """Whether both run, in one namespace of this kind."""
    both = [compose.container(service) for service in ("vpn", "rider")]
    if not all(one["State"]["Running"] for one in both):
        return False
    return len({docker("exec", one["Id"], "readlink", f"/proc/self/ns/{kind}") for one in both}) == 1


async def test_a_rider_is_with_its_parent_again_when_that_one_s_release_is_broken(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(vpn_and_rider(push))
    compose.up()
    push("2", "vpn", env={"SICK": "1"})
    async with agent_here(tmp_path / "state", TIDEGATE_HEALTH_TIMEOUT="3s") as here:
        await here.look()
        assert here.outcomes() == ["rolled-back"]
    assert together(compose)


async def test_a_rider_is_with_its_parent_again_when_the_release_breaks_in_its_bake(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    compose.write(vpn_and_rider(push))
    compose.up()
    push("2", "vpn")
    async with agent_here(tmp_path / "state", TIDEGATE_BAKE="10s") as here:
        ends_at(here, "bake", f"{compose.project}-vpn-1")
        await here.look()
        assert here.outcomes() == ["rolled-back"]
    assert together(compose)


async def test_both_go_back_when_the_rider_does_not_bear_the_parent_s_release(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    asks = 'wget -q -O - http://127.0.0.1:8000/ | grep -q \'"version": *"1"\''
    check = {"test": ["CMD-SHELL", asks], "interval": "500ms", "retries": 2, "start_period": "0s"}
    compose.write(vpn_and_rider(push, healthcheck=check))
    compose.up("--wait")
    old = compose.container("vpn")["Image"]
    push("2", "vpn")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["rolled-back"]
        assert [entry.service for entry in here.parts.state.quarantine.list()] == ["vpn"]
        assert here.parts.state.journal.open_transactions() == []
    assert compose.container("vpn")["Image"] == old
    assert together(compose)


async def test_a_container_and_its_rider_of_one_group_move_together_to_their_releases(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    document = vpn_and_rider(push, labels={"tidegate.group": "tunnel"})
    document["services"]["vpn"]["labels"] = {**PROBED, "tidegate.group": "tunnel"}
    compose.write(document)
    compose.up()
    new = [push("2", "vpn"), push("2", "rider")]
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["committed", "committed"]
    assert [compose.container(name)["Image"] for name in ("vpn", "rider")] == [one.image_id for one in new]
    assert together(compose)


@pytest.mark.parametrize("shared", [True, pytest.param(False, marks=pytest.mark.long)])
async def test_the_tag_of_a_rider_that_is_made_anew_names_what_it_named_before(
    compose: Compose, push: Push, tmp_path: Path, *, shared: bool
) -> None:
    """The rider is nobody's to update; its tag is the parent's, or names a release that somebody has pulled."""
    document = vpn_and_rider(push, labels={"tidegate.enable": "false"})
    if shared:
        document["services"]["rider"]["image"] = document["services"]["vpn"]["image"]
    compose.write(document)
    compose.up()
    before = compose.container("rider")["Image"]
    new = push("2", "vpn")
    pulled = new if shared else push("2", "rider")
    docker("pull", pulled.reference) if not shared else None
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["committed"]
    assert compose.container("rider")["Image"] == before
    assert docker("image", "inspect", "--format", "{{.Id}}", pulled.reference) == pulled.image_id
    assert docker("image", "ls", "--quiet", "tidegate.local/lent") == ""
    assert together(compose)


@pytest.mark.parametrize(("shared", "kind"), [pytest.param("ipc", "ipc", marks=pytest.mark.long), ("pid", "pid")])
async def test_what_shares_another_namespace_follows_an_update_too(
    compose: Compose, push: Push, tmp_path: Path, shared: str, kind: str
) -> None:
    document = vpn_and_rider(push, shared)
    document["services"]["vpn"]["ipc"] = "shareable"
    compose.write(document)
    compose.up()
    push("2", "vpn")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["committed"]
    assert together(compose, kind)
    docker("restart", "-t", "1", compose.container("rider")["Id"])
    assert together(compose, kind)


async def test_a_hook_of_the_parent_is_not_run_in_the_rider(compose: Compose, push: Push, tmp_path: Path) -> None:
    document = vpn_and_rider(push)
    document["services"]["vpn"]["labels"] = {**PROBED, "tidegate.hook.post-update": "echo parent > /mark"}
    compose.write(document)
    compose.up()
    push("2", "vpn")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["committed"]
    marked = {name: docker("exec", compose.container(name)["Id"], "ls", "/") for name in ("vpn", "rider")}
    assert ("mark" in marked["vpn"], "mark" in marked["rider"]) == (True, False)
