"""What can go wrong with an update, where a manager has assigned it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.conftest import Push
from tests.support.compose import Compose
from tests.support.docker import docker, remove
from tests.support.dying import told_at
from tests.support.fake_manager import fake_manager
from tests.support.features import image_of, one, running, services
from tests.support.images import ARCHITECTURE, build
from tests.support.line import line_to
from tests.support.managed import Fleet
from tests.support.registry import Registry

SUBNET = "10.198.10.0/24"
EDGE = {"networks": {"default": {"ipam": {"config": [{"subnet": SUBNET}]}}}}
ELSEWHERE = "arm64" if ARCHITECTURE == "amd64" else "amd64"
NOT_ITS_FAULT, ITS_FAULT = False, True


@pytest.fixture
async def fleet(compose: Compose) -> AsyncIterator[Fleet]:
    async with fake_manager() as manager:
        yield await Fleet.of(manager, compose)


@pytest.mark.parametrize(
    ("release", "blame"),
    [
        ({"architecture": ELSEWHERE}, NOT_ITS_FAULT),
        ({"Entrypoint": ["/not-there"]}, ITS_FAULT),
        ({"env": {"EXIT": "3"}}, ITS_FAULT),
        ({"env": {"SICK_ON_NETWORK": SUBNET}}, ITS_FAULT),
        ({}, ITS_FAULT),
    ],
    ids=["other-platform", "no-entry-point", "exits", "sick-where-it-serves", "sick-in-its-bake"],
)
async def test_an_incompatible_release_is_told_as_failed_and_the_old_one_serves(
    fleet: Fleet, push: Push, tmp_path: Path, release: dict[str, Any], *, blame: bool
) -> None:
    old = push("1", healthcheck=True)
    fleet.compose.write(services(web=one(old, restart="unless-stopped")) | EDGE)
    fleet.compose.up("--wait")
    new = push("2", healthcheck=True, **release)
    async with fleet.at_work(tmp_path / "state", TIDEGATE_BAKE="30s", TIDEGATE_HEALTH_TIMEOUT="6s") as here:
        if not release:
            told_at(here, "bake", f"{fleet.compose.project}-web-1", "sick")
        await fleet.until(fleet.inventory)
        await fleet.assign(new)
        await fleet.until(lambda: fleet.told()[-1:] == ["failed"])
        assert fleet.last().get("blame", False) is blame, fleet.last()
        assert [entry.digest for entry in here.parts.state.quarantine.list()] == [new.digest] * blame
    assert (image_of(fleet.compose, "web"), running(fleet.compose, "web")) == (old.image_id, True)
    assert fleet.compose.changes() == []


async def test_a_network_that_is_cut_amid_the_pull_is_told_and_the_next_assignment_goes_through(
    fleet: Fleet, registry: Registry, repository: str, tmp_path: Path
) -> None:
    async with line_to(registry) as line:
        through = replace(registry, engine_address=line.address)

        def pushed(version: str) -> Any:
            unlike_others = {"/release": f"{repository} {version}".encode()}
            return build(through, f"{repository}:latest", version=version, files=unlike_others)

        old = pushed("1")
        fleet.compose.write(services(web=one(old)))
        await asyncio.to_thread(fleet.compose.up)
        before = fleet.compose.container("web")
        async with fleet.at_work(tmp_path / "state") as here:
            here.parts.preparer._pulls._sleep = lambda _: asyncio.sleep(0)  # type: ignore[attr-defined]
            await fleet.until(fleet.inventory)
            line.stays_cut = line.cut_at_engine = True
            new = pushed("2")
            await fleet.assign(new)
            await fleet.until(lambda: fleet.told() == ["begun", "failed"])
            assert (fleet.last()["blame"], here.parts.state.quarantine.list()) == (False, [])
            now = fleet.compose.container("web")
            assert (now["Id"], now["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])
            await line.mend()
            await fleet.assign(new, generation=2)
            await fleet.until(lambda: fleet.told(generation=2) == ["begun", "healthy"])
    assert image_of(fleet.compose, "web") == new.image_id


async def test_what_is_in_volumes_outlasts_what_is_assigned_and_what_is_in_memory_is_said_to_go(
    fleet: Fleet, push: Push, tmp_path: Path
) -> None:
    kept, lost = ("/named", "/anonymous", "/bound"), "/quick"
    (fleet.compose.folder / "bound").mkdir()
    volumes = ["data:/named", "/anonymous", "./bound:/bound"]
    old = push("1", healthcheck=True)
    web = one(old, volumes=volumes, tmpfs=[lost])
    fleet.compose.write(services(web=web) | {"volumes": {"data": {}}})
    fleet.compose.up("--wait")
    name = fleet.compose.container("web")["Name"].lstrip("/")
    handed_on = {mount["Name"] for mount in fleet.compose.container("web")["Mounts"] if mount["Type"] == "volume"}
    for folder in (*kept, lost):
        docker("exec", name, "sh", "-c", f"echo precious > {folder}/note")
    new = push("2", healthcheck=True)

    def notes() -> list[str]:
        return [docker("exec", name, "cat", f"{folder}/note", check=False) for folder in (*kept, lost)]

    assert notes() == ["precious"] * 4
    with capture_logs() as logs:
        async with fleet.at_work(tmp_path / "state"):
            await fleet.until(fleet.inventory)
            for generation, release in enumerate((new, old), 1):
                await fleet.assign(release, generation=generation, back=release is old)
                await fleet.until(
                    lambda number=generation: fleet.told(generation=number) == ["begun", "healthy"]  # type: ignore[misc]
                )
                assert image_of(fleet.compose, "web") == release.image_id
                assert notes() == ["precious"] * 3 + [""]
    assert [line["paths"] for line in logs if "tmpfs" in line["event"]] == [(lost,)] * 2
    fleet.compose.clean()
    remove("volume", handed_on)
