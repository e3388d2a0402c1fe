"""What cannot be used is told in one line with its remedy; the rest of the cluster goes on, and nothing is lost."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from tests.conftest import Push
from tests.support import strangers
from tests.support.agent import AgentHere, agent_here
from tests.support.compose import Compose
from tests.support.docker import docker, inspect
from tests.support.features import image_of, one, running, services
from tests.support.images import Pushed, build
from tests.support.registry import MANIFEST, MANIFEST_LIST, Registry, digest_of
from tests.support.registry_fake import FakeRegistry, on, status
from tests.support.registry_server import PASSWORD, USER

from tidegate.agent.decide import Decision
from tidegate.registry.credential import Credential, CredentialsUnusableError

Break = Callable[[FakeRegistry], Awaitable[None]]


class Pair:
    """A cluster of two services: `good` has a newer release in a sound registry, `bad` has the trouble."""

    def __init__(self, compose: Compose, push: Push, fake: FakeRegistry) -> None:
        self.compose, self.fake = compose, fake
        self._push = push
        self.labels: dict[str, str] = {}
        self.old: Pushed | None = None

    async def up(self) -> None:
        """Both at version 1, and version 2 pushed for both."""
        self.old = await self.pushed("1")
        docker("image", "rm", "--force", self.old.reference, check=False)  # of a test before, at the same port
        self.compose.write(services(good=one(self._push("1")), bad=one(self.old, labels=self.labels)))
        await asyncio.to_thread(self.compose.up)
        self._push("2")
        await self.pushed("2")

    async def pushed(self, version: str) -> Pushed:
        """A release in the registry that misbehaves; its layers differ from those of others."""
        files = {"/release": f"{self.compose.project} {version}".encode()}
        registry = Registry(self.fake.address, *((USER, PASSWORD) if self.fake.basic else ()))
        return await asyncio.to_thread(lambda: build(registry, "team/app:latest", version=version, files=files))

    async def look(self, here: AgentHere) -> Decision:
        """What is decided of the bad one, with nothing lost: it runs as before, and the good one is new."""
        looked = await here.look()
        assert self.old is not None
        assert (image_of(self.compose, "bad"), running(self.compose, "bad")) == (self.old.image_id, True)
        assert self.compose.container("good")["Config"]["Env"].count("VERSION=2") == 1
        assert looked.tally.updated == 1
        assert looked.tally.failed == 1
        return next(each for each in looked.decisions if each.place.service == "bad")


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def pair(compose: Compose, push: Push, fake: FakeRegistry) -> Pair:
    return Pair(compose, push, fake)


async def down(fake: FakeRegistry) -> None:
    assert fake.server is not None
    await fake.server.close()


async def wants_a_password(fake: FakeRegistry) -> None:
    fake.basic = True


def answers(code: int, **headers: str) -> Break:
    async def break_it(fake: FakeRegistry) -> None:
        fake.faults.append(on("", "manifests", status(code, **headers)))

    return break_it


async def cut_short(fake: FakeRegistry) -> None:
    async def truncated(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"schemaVersion": 2')
        assert request.transport is not None
        request.transport.close()
        return response

    fake.faults.append(on("GET", "manifests", truncated))


async def other_content(fake: FakeRegistry) -> None:
    for (name, version), (_, kind) in list(fake.manifests.items()):
        if version.startswith("sha256:"):
            fake.manifests[name, version] = (b'{"evil": true}', kind)


async def other_platforms_only(fake: FakeRegistry) -> None:
    raw, _ = fake.manifests["team/app", "latest"]
    entry = {"mediaType": MANIFEST, "digest": digest_of(raw), "size": len(raw)}
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_LIST,
        "manifests": [{**entry, "platform": {"os": "linux", "architecture": "s390x"}}],
    }
    listed = json.dumps(document).encode()
    for version in ("latest", digest_of(listed)):
        fake.manifests["team/app", version] = (listed, MANIFEST_LIST)


@pytest.mark.parametrize(
    ("break_it", "says", "remedy"),
    [
        pytest.param(down, ("cannot be reached",), "check name and network", id="down"),
        pytest.param(wants_a_password, ("401",), "run `docker login", id="401"),
        pytest.param(answers(403), ("403",), "give the account read access", id="403"),
        pytest.param(answers(404), ("has no latest",), "check name and tag", id="404"),
        pytest.param(answers(429, Retry_After="77"), ("77 s",), "log in for a higher limit", id="429"),
        pytest.param(answers(503), ("503",), "it will be asked again later", id="503"),
        pytest.param(cut_short, ("broke off",), "it will be asked again later", id="truncated"),
        pytest.param(other_content, ("wrong digest",), "push the image again", id="wrong-digest"),
        pytest.param(
            answers(307, Location="http://example.test/x"),
            ("redirects to elsewhere", "example.test"),
            "write its new name in the image's reference",
            id="redirect",
        ),
        pytest.param(other_platforms_only, ("s390x", "amd64"), "build and push it for this platform", id="platform"),
    ],
)
async def test_a_registry_in_trouble_costs_its_own_containers_an_update_and_nothing_else(
    pair: Pair, tmp_path: Path, break_it: Break, says: tuple[str, ...], remedy: str
) -> None:
    await pair.up()
    address = pair.fake.address
    await break_it(pair.fake)
    async with agent_here(tmp_path / "state") as here:
        told = await pair.look(here)
    assert (told.action, told.trouble, "\n" in told.reason) == ("skip", True, False)
    assert told.reason.startswith((f"{address}/team/app:latest: ", f"{address}/team/app@sha256:"))
    assert [word for word in (*says, remedy) if word not in told.reason] == []


async def test_a_registry_that_asks_to_wait_is_left_alone_until_then(pair: Pair, tmp_path: Path) -> None:
    await pair.up()
    await answers(429, Retry_After="77")(pair.fake)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        asked = len(pair.fake.requests)
        looked = await here.look()
        told = next(each for each in looked.decisions if each.place.service == "bad")
    assert len(pair.fake.requests) == asked
    assert "is left alone for another" in told.reason


async def test_wrong_credentials_are_told_with_where_they_came_from(pair: Pair, tmp_path: Path) -> None:
    await pair.up()
    pair.fake.basic = True
    async with agent_here(tmp_path / "state", REPO_USER=USER, REPO_PASS="nonsense") as here:
        told = await pair.look(here)
    assert "REPO_USER and REPO_PASS for team/app (401); renew them" in told.reason
    assert "nonsense" not in told.reason


async def test_a_damaged_docker_configuration_is_named(pair: Pair, tmp_path: Path) -> None:
    await pair.up()
    pair.fake.basic = True
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    async with agent_here(tmp_path / "state", DOCKER_CONFIG=str(tmp_path)) as here:
        looked = await here.look()
        told = next(each for each in looked.decisions if each.place.service == "bad")
    assert f"{tmp_path}/config.json is not JSON; mend it, or run `docker login` again" in told.reason
    assert pair.compose.container("good")["Config"]["Env"].count("VERSION=2") == 1
    assert running(pair.compose, "bad")


class Failing:
    """A credential helper that breaks after detection."""

    async def credential(self, registry: str) -> Credential | None:
        raise CredentialsUnusableError(f"the helper for {registry} is gone", "install it again")


async def test_credentials_that_break_before_the_pull_fail_the_update_that_needs_them_only(
    pair: Pair, tmp_path: Path
) -> None:
    await pair.up()
    pair.fake.basic = True
    async with agent_here(tmp_path / "state", REPO_USER=USER, REPO_PASS=PASSWORD) as here:
        here.parts.preparer._credentials = Failing()
        await pair.look(here)
        ends = {record["service"]: record for record in here.parts.state.history.tail(5)}
    assert {name: record["outcome"] for name, record in ends.items()} == {"good": "committed", "bad": "failed"}
    assert "team/app" in ends["bad"]["reason"]
    assert "is gone; install it again" in ends["bad"]["reason"]


async def test_a_credential_helper_that_the_agent_does_not_have_stops_only_what_needs_it(
    pair: Pair, tmp_path: Path
) -> None:
    await pair.up()
    pair.fake.basic = True
    (tmp_path / "config.json").write_text('{"credsStore": "absent"}', encoding="utf-8")
    async with agent_here(tmp_path / "state", DOCKER_CONFIG=str(tmp_path)) as here:
        told = await pair.look(here)
    assert "docker-credential-absent cannot be run" in told.reason
    assert "install it where the agent runs, or set REPO_USER and REPO_PASS" in told.reason


async def test_a_pull_that_is_refused_leaves_the_container_and_is_tried_at_the_next_look(
    pair: Pair, tmp_path: Path
) -> None:
    await pair.up()
    raw, _ = pair.fake.manifests["team/app", "latest"]
    layer = json.loads(raw)["layers"][-1]["digest"]
    pair.fake.faults.append(on("GET", f"blobs/{layer}", status(403)))
    async with agent_here(tmp_path / "state") as here:
        await pair.look(here)
        assert sorted(here.outcomes()) == ["committed", "failed"]
        pair.fake.faults.clear()
        await here.look()
    assert pair.compose.container("bad")["Config"]["Env"].count("VERSION=2") == 1


@pytest.mark.parametrize(
    ("label", "value", "takes"),
    [
        ("com.centurylinklabs.zodiac.original-image", "Not An Image", "an image reference"),
        ("com.centurylinklabs.zodiac.original-image", "localhost:99999/x", "an image reference"),
        ("com.centurylinklabs.watchtower.stop-signal", "SIGTREM", "a signal such as SIGTERM"),
        ("tidegate.settle", "soon", "a duration such as"),
        ("com.centurylinklabs.watchtower.enable", "maybe", "true or false"),
        ("tidegate.freeze", "whenever", "`FROM/TO [ZONE] [REASON]`"),
        ("tidegate.freeze", "2026-01-01T00:00/9999-12-31T23:59 America/New_York", "`FROM/TO [ZONE] [REASON]`"),
        ("tidegate.freeze", "0001-01-01/2027-01-01 Europe/Berlin", "`FROM/TO [ZONE] [REASON]`"),
        ("com.centurylinklabs.watchtower.lifecycle.pre-update-timeout", "9" * 400, "a whole number of minutes"),
    ],
    ids=lambda text: text[:40],
)
async def test_a_label_that_cannot_be_read_is_named_and_only_its_container_is_left_alone(
    pair: Pair, tmp_path: Path, label: str, value: str, takes: str
) -> None:
    pair.labels = {label: value}
    await pair.up()
    async with agent_here(tmp_path / "state") as here:
        looked = await here.look()
        told = next(each for each in looked.decisions if each.place.service == "bad")
    assert f"label {label} is {value!r}; it takes {takes}" in told.reason
    assert "\n" not in told.reason
    assert told.action != "update"
    assert running(pair.compose, "bad")
    assert pair.compose.container("good")["Config"]["Env"].count("VERSION=2") == 1


@pytest.mark.parametrize("image", [f"{'a' * 63}.xn--a.example/x", "xn--a.example/x"])
async def test_an_image_whose_registry_cannot_have_its_name_is_told_and_only_its_container_is_left_alone(
    pair: Pair, tmp_path: Path, image: str
) -> None:
    pair.labels = {"com.centurylinklabs.zodiac.original-image": image}
    await pair.up()
    async with agent_here(tmp_path / "state") as here:
        told = await pair.look(here)
    assert told.reason.startswith(f"{image}: ")
    assert "cannot be the name of a registry; correct the image's reference" in told.reason


async def test_an_image_that_was_built_here_is_told_how_to_be_left_alone(
    pair: Pair, app_image: Pushed, tmp_path: Path
) -> None:
    built = f"{pair.fake.address}/never/pushed:latest"
    docker("pull", "--quiet", app_image.reference)
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {app_image.reference}\nENV BUILT=here\n", encoding="utf-8")
    await asyncio.to_thread(docker, "build", "--quiet", "--tag", built, str(context))
    pair.compose.write(services(built=one(built, build=str(context))))
    await asyncio.to_thread(pair.compose.up)
    async with agent_here(tmp_path / "state") as here:
        told = (await here.decided(pair.compose.project))["built"]
    docker("image", "rm", "--force", built, check=False)
    assert told.action == "skip"
    assert "tidegate.enable=false" in told.reason
    assert running(pair.compose, "built")


async def test_a_service_that_is_only_built_here_is_told_how_to_be_left_alone_and_the_rest_goes_on(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    old = push("1")
    docker("pull", "--quiet", old.reference)
    (tmp_path / "Dockerfile").write_text(f"FROM {old.reference}\nENV BUILT=here\n", encoding="utf-8")
    compose.write(services(built={"build": str(tmp_path), "init": False}, good=one(old)))
    await asyncio.to_thread(compose.up)
    built, new = compose.container("built"), push("2")
    try:
        async with agent_here(tmp_path / "state") as here:
            told = {each.place.service: each for each in (await here.look()).decisions}
        assert (told["built"].action, "\n" in told["built"].reason) == ("skip", False)
        assert f"{compose.project}-built" in told["built"].reason
        assert "tidegate.enable=false" in told["built"].reason
        assert (compose.container("built")["Id"], running(compose, "built")) == (built["Id"], True)
        assert image_of(compose, "good") == new.image_id
    finally:
        compose.clean()
        docker("image", "rm", "--force", built["Image"])


async def test_a_container_that_is_not_composes_is_updated_as_it_was_made(push: Push, tmp_path: Path) -> None:
    old = push("1")
    name = f"tidegate-test-{digest_of(old.reference.encode())[7:15]}"
    docker("run", "--detach", "--name", name, "--env", "MINE=yes", "--restart", "unless-stopped", old.reference)
    new = push("2")
    try:
        async with agent_here(tmp_path / "state") as here:
            await here.look()
            assert here.outcomes() == ["committed"]
        after = inspect(name)
    finally:
        docker("rm", "--force", name)
        strangers.remove_private_networks()
    assert (after["Image"], after["HostConfig"]["RestartPolicy"]["Name"]) == (new.image_id, "unless-stopped")
    assert "MINE=yes" in after["Config"]["Env"]
