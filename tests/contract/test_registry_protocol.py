"""What the client relies on, told of a real registry and of the fake that fault tests use."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.registry_fake import FakeRegistry
from tests.support.registry_push import Header, Pusher, nobody
from tests.support.registry_server import PASSWORD, USER, registry_server
from tests.support.registry_tokens import TokenService

from tidegate.domain.reference import parse_reference
from tidegate.registry.client import RegistryClient
from tidegate.registry.credential import Credential, basic_header
from tidegate.registry.credentials import ConfiguredCredentials, NoCredentials
from tidegate.registry.errors import ManifestNotFoundError, PlatformNotFoundError, UnauthorizedError
from tidegate.registry.model import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tidegate.registry.platform import Platform

AMD64 = Platform("linux", "amd64")
KINDS = [f"{auth} {what}" for what in ("fake", "real") for auth in ("open", "basic", "token")]
CLOSED = [kind for kind in KINDS if not kind.startswith("open")]


@dataclass
class Place:
    """A registry under test, how to push to it, and a client that may read it."""

    address: str
    auth: str
    pusher: Pusher
    client: RegistryClient
    tokens: TokenService | None


async def robot(_: str) -> str:
    return basic_header(USER, PASSWORD)


def token_header(service: TokenService) -> Header:
    async def header(repository: str) -> str:
        return "Bearer " + service.issue(f"repository:{repository}:pull,push")

    return header


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the token service's key, which takes a while to make."""
    return tmp_path_factory.mktemp("signer")


@pytest.fixture(params=KINDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path, signer: Path) -> AsyncIterator[Place]:
    auth, what = str(request.param).split()
    async with AsyncExitStack() as stack:
        tokens = await stack.enter_async_context(TokenService(signer)) if auth == "token" else None
        if what == "fake":
            fake = FakeRegistry(basic=auth == "basic", tokens=tokens)
            address = (await stack.enter_async_context(fake)).address
        else:
            settings = tokens.auth if tokens else None
            address = stack.enter_context(registry_server(tmp_path, htpasswd=auth == "basic", tokens=settings))
        header = token_header(tokens) if tokens else robot if auth == "basic" else nobody
        client = RegistryClient(ConfiguredCredentials(USER, PASSWORD))
        stack.push_async_callback(client.close)
        yield Place(address, auth, Pusher(f"http://{address}", header), client, tokens)


@pytest.mark.parametrize("docker", [False, True])
async def test_head_tells_the_digest_and_type_of_a_manifest(place: Place, docker: bool) -> None:
    pushed = await place.pusher.image("team/app", "v1", docker=docker)
    head = await place.client.head(parse_reference(f"{place.address}/team/app:v1"))
    assert (head.digest, head.media_type) == (pushed.digest, DOCKER_MANIFEST if docker else OCI_MANIFEST)


@pytest.mark.parametrize("docker", [False, True])
async def test_head_tells_the_digest_and_type_of_an_index(place: Place, docker: bool) -> None:
    pushed = await place.pusher.image("team/app", "v1-amd64", docker=docker)
    digest = await place.pusher.index("team/app", "v1", [pushed.descriptor], docker=docker)
    head = await place.client.head(parse_reference(f"{place.address}/team/app:v1"))
    assert (head.digest, head.media_type) == (digest, DOCKER_LIST if docker else OCI_INDEX)


async def test_a_moved_tag_is_seen_at_the_next_head(place: Place) -> None:
    reference = parse_reference(f"{place.address}/app:latest")
    await place.pusher.image("app", "latest", labels={"n": "1"})
    before = await place.client.head(reference)
    await place.pusher.image("app", "latest", labels={"n": "2"})
    assert (await place.client.head(reference)).digest != before.digest


async def test_a_head_costs_one_request_once_the_registry_is_known(place: Place) -> None:
    reference = parse_reference(f"{place.address}/app:v1")
    await place.pusher.image("app", "v1")
    await place.client.head(reference)
    await place.client.head(reference)
    counters = place.client.counters
    assert (counters.heads, counters.gets, counters.tokens) == (2, 0, 1 if place.auth == "token" else 0)


async def test_a_manifest_by_digest_is_what_was_pushed(place: Place) -> None:
    pushed = await place.pusher.image("app", "v1")
    manifest = await place.client.manifest(parse_reference(f"{place.address}/app@{pushed.digest}"))
    assert (len(manifest.raw), manifest.document["config"]["digest"]) == (pushed.size, pushed.config_digest)


async def test_resolve_picks_the_platform_from_an_index(place: Place) -> None:
    arm = await place.pusher.image("app", "v1-arm", platform="linux/arm64/v8")
    amd = await place.pusher.image("app", "v1-amd")
    index = await place.pusher.index("app", "v1", [arm.descriptor, amd.descriptor])
    release = await place.client.resolve(parse_reference(f"{place.address}/app:v1"), AMD64)
    assert (release.digest, release.platform_digest, release.config_digest) == (
        index,
        amd.digest,
        amd.config_digest,
    )


async def test_resolve_names_the_platforms_there_are_when_this_one_is_missing(place: Place) -> None:
    arm = await place.pusher.image("app", "v1-arm", platform="linux/arm/v7")
    await place.pusher.index("app", "v1", [arm.descriptor])
    with pytest.raises(PlatformNotFoundError, match="not exist for linux/amd64, only for linux/arm/v7"):
        await place.client.resolve(parse_reference(f"{place.address}/app:v1"), AMD64)


async def test_a_single_manifest_for_another_platform_is_refused_too(place: Place) -> None:
    await place.pusher.image("app", "v1", platform="linux/arm64")
    with pytest.raises(PlatformNotFoundError, match="only for linux/arm64"):
        await place.client.resolve(parse_reference(f"{place.address}/app:v1"), AMD64)


async def test_annotations_win_over_the_labels_of_the_image(place: Place) -> None:
    prefix = "org.opencontainers.image."
    labels = {f"{prefix}version": "from label", f"{prefix}revision": "abc", "other": "x"}
    await place.pusher.image("app", "v1", labels=labels, annotations={f"{prefix}version": "1.2.3"})
    release = await place.client.resolve(parse_reference(f"{place.address}/app:v1"), AMD64)
    assert (release.version, release.revision, "other" in release.annotations) == ("1.2.3", "abc", False)


async def test_the_time_of_creation_comes_from_the_image_config(place: Place) -> None:
    await place.pusher.image("app", "v1", created="2026-01-02T03:04:05.123456789Z")
    release = await place.client.resolve(parse_reference(f"{place.address}/app:v1"), AMD64)
    assert release.created is not None
    assert release.created.isoformat() == "2026-01-02T03:04:05.123456+00:00"


async def test_the_image_config_has_the_labels(place: Place) -> None:
    await place.pusher.image("app", "v1", labels={"a": "b"})
    release = await place.client.resolve(parse_reference(f"{place.address}/app:v1"), AMD64)
    assert (await place.client.image_config(release))["config"]["Labels"] == {"a": "b"}


async def test_an_absent_tag_is_not_found_and_says_where(place: Place) -> None:
    await place.pusher.image("app", "v1")
    with pytest.raises(ManifestNotFoundError, match=rf"{place.address} has no v9 of app \(404\)"):
        await place.client.head(parse_reference(f"{place.address}/app:v9"))


@pytest.mark.parametrize("place", CLOSED, indirect=True)
async def test_without_credentials_a_closed_registry_says_what_to_do(place: Place) -> None:
    client = RegistryClient(NoCredentials())
    try:
        with pytest.raises(UnauthorizedError, match="docker login"):
            await client.head(parse_reference(f"{place.address}/app:v1"))
    finally:
        await client.close()


@pytest.mark.parametrize("place", CLOSED, indirect=True)
async def test_wrong_credentials_are_told_by_their_source_and_not_shown(place: Place) -> None:
    client = RegistryClient(Wrong())
    try:
        with pytest.raises(UnauthorizedError, match="the credentials from a test") as caught:
            await client.head(parse_reference(f"{place.address}/app:v1"))
        assert "hunter2" not in str(caught.value)
    finally:
        await client.close()


class Wrong:
    async def credential(self, registry: str) -> Credential:  # noqa: ARG002  (the port's signature)
        return Credential(USER, "hunter2", source="a test")


async def test_the_fake_loses_no_connection_that_comes_as_it_closes(recwarn: pytest.WarningsRecorder) -> None:
    async with FakeRegistry() as fake:
        with socket.create_connection(tuple(fake.address.split(":"))):  # type: ignore[arg-type]
            for _turn in range(2):  # the first accepts it, the second attaches it; the registry closes in between
                await asyncio.sleep(0)
            assert fake.server is not None
            await fake.server.close()
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []
