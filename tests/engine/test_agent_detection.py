"""How new releases are found, on registries as people have them."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.absent import PRIVATE, cannot
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.features import image_of, one, services
from tests.support.images import ARCHITECTURE, Pushed, build
from tests.support.registry import MANIFEST, MANIFEST_LIST, Registry, digest_of
from tests.support.registry_fake import FakeRegistry


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as registry:
        yield registry


async def pushed_to(fake: FakeRegistry, version: str) -> Pushed:
    """A release there; what a test before has left of one at the same port is gone."""
    pushed = await asyncio.to_thread(lambda: build(Registry(fake.address), "team/app:latest", version=version))
    if version == "1":
        docker("image", "rm", "--force", pushed.reference, check=False)
    return pushed


def index(fake: FakeRegistry, own: Pushed, other: bytes) -> None:
    """Let `latest` be an index: `own` for this platform, and something for another."""
    size = len(fake.manifests["team/app", own.digest][0])
    entries = [
        {"digest": own.digest, "size": size, "platform": {"os": "linux", "architecture": ARCHITECTURE}},
        {"digest": digest_of(other), "size": len(other), "platform": {"os": "linux", "architecture": "s390x"}},
    ]
    listed = [{"mediaType": MANIFEST, **entry} for entry in entries]
    raw = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_LIST, "manifests": listed}).encode()
    for version in ("latest", digest_of(raw)):
        fake.manifests["team/app", version] = (raw, MANIFEST_LIST)


async def test_a_reference_is_asked_about_once_however_many_containers_follow_it(
    compose: Compose, fake: FakeRegistry, tmp_path: Path
) -> None:
    image = await pushed_to(fake, "1")
    compose.write(services(a=one(image, deploy={"replicas": 3}), b=one(image, deploy={"replicas": 2})))
    await asyncio.to_thread(compose.up)
    fake.requests.clear()
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        await here.look()
    assert [asked for asked in fake.requests if "manifests" in asked] == ["HEAD /v2/team/app/manifests/latest"] * 2


async def test_an_index_that_changed_for_other_platforms_only_is_no_news(
    compose: Compose, fake: FakeRegistry, tmp_path: Path
) -> None:
    image = await pushed_to(fake, "1")
    index(fake, image, b"first")
    compose.write(services(web=one(image)))
    await asyncio.to_thread(compose.up)
    index(fake, image, b"second")
    async with agent_here(tmp_path / "state") as here:
        told = (await here.decided(compose.project))["web"]
    assert (told.action, told.reason) == ("none", "only other platforms have changed")
    assert image_of(compose, "web") == image.image_id


@pytest.mark.parametrize("how", ["DOCKER_CONFIG", "REPO_USER and REPO_PASS"])
async def test_a_registry_with_a_password_is_asked_and_pulled_from(
    compose: Compose, password_registry: Registry, repository: str, tmp_path: Path, how: str
) -> None:
    name, user, password = f"{repository}:latest", password_registry.user, password_registry.password
    old = build(password_registry, name, version="1")
    folder = tmp_path / "docker"
    folder.mkdir()
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {password_registry.address: {"auth": token}}}))
    subprocess.run(
        ["docker", "--config", str(folder), "pull", "--quiet", old.reference], check=True, capture_output=True
    )
    compose.write(services(web=one(old)))
    compose.up()
    new = build(password_registry, name, version="2")
    given = {"DOCKER_CONFIG": str(folder)} if how == "DOCKER_CONFIG" else {"REPO_USER": user, "REPO_PASS": password}
    async with agent_here(tmp_path / "state", **given) as here:
        await here.look()
    assert image_of(compose, "web") == new.image_id


async def test_a_registry_with_a_certificate_of_its_own_is_trusted_when_its_ca_is_named(
    compose: Compose, tls_registry: Registry, repository: str, tmp_path: Path
) -> None:
    if not tls_registry.engine_address:
        cannot(f"this engine does not know the registry's CA: {PRIVATE}")
    old = build(tls_registry, f"{repository}:latest", version="1")
    compose.write(services(web=one(old)))
    compose.up()
    new = build(tls_registry, f"{repository}:latest", version="2")
    async with agent_here(tmp_path / "distrusts") as here:
        told = (await here.decided(compose.project))["web"]
        assert told.trouble
        assert "certificate" in told.reason
    async with agent_here(tmp_path / "trusts", TIDEGATE_REGISTRY_CA=str(tls_registry.ca)) as here:
        await here.look()
    assert image_of(compose, "web") == new.image_id
    docker("image", "rm", "--force", old.image_id, check=False)
