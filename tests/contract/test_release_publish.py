"""`tidegate release publish` against real registries."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.registry import OCI_INDEX, Registry
from tests.support.registry_push import Pusher
from tests.support.registry_server import PASSWORD, USER, registry_server
from tests.support.registry_tls import make_certificates
from tests.support.registry_tokens import TokenService
from tests.support.releasing import CHANNEL, NEW, OLD, SOURCE, labels_of, publish, push_release, run

from groundwork.registry import free_port
from tidegate.registry.credential import basic_header


@dataclass(frozen=True)
class Place:
    """A repository of this test's own in a registry."""

    address: str
    repository: str
    user: str = ""
    password: str = ""

    @property
    def name(self) -> str:
        return f"{self.address}/{self.repository}"

    @property
    def pusher(self) -> Pusher:
        async def header(_: str) -> str | None:
            return basic_header(self.user, self.password) if self.user else None

        return Pusher(f"http://{self.address}", header)

    async def push(self, revision: str, /, **labels: str | None) -> str:
        """Push the image of a commit by digest; `REPOSITORY@DIGEST`."""
        return f"{self.name}@{await push_release(self.pusher, self.repository, revision, **labels)}"

    def digest(self, tag: str) -> str | None:
        """What the registry says that a tag names."""
        registry = Registry(self.address, self.user, self.password)
        path = f"/v2/{self.repository}/manifests/{tag}"
        status, headers, _ = registry.request("HEAD", path, headers={"Accept": OCI_INDEX})
        assert status in {200, 404}
        return headers["docker-content-digest"] if status == 200 else None


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registry_server(tmp_path_factory.mktemp("registry")) as one:
        yield one


@pytest.fixture
def place(address: str) -> Place:
    return Place(address, f"acme/{secrets.token_hex(4)}")


def digest_of(image: str) -> str:
    return image.partition("@")[2]


async def test_a_release_has_its_fixed_tag_and_the_channel(place: Place) -> None:
    image = await place.push(NEW)
    ended = await publish(image, NEW)
    assert (ended.code, ended.err) == (0, "")
    assert ended.what() == {f"autonomy-{NEW}": "set", CHANNEL: "set"}
    assert place.digest(f"autonomy-{NEW}") == place.digest(CHANNEL) == digest_of(image) == ended.json["digest"]
    assert ended.json["labels"]["source"] == SOURCE


async def test_a_single_manifest_is_published_as_well(place: Place) -> None:
    pushed = await place.pusher.image(place.repository, "built", labels=labels_of(NEW))
    assert (await publish(f"{place.name}:built", NEW)).code == 0
    registry = Registry(place.address)
    accept = {"Accept": pushed.media_type}
    _, headers, _ = registry.request("HEAD", f"/v2/{place.repository}/manifests/{CHANNEL}", headers=accept)
    assert headers["docker-content-digest"] == pushed.digest


async def test_a_release_that_is_published_again_changes_nothing(place: Place) -> None:
    image = await place.push(NEW)
    await publish(image, NEW)
    ended = await publish(image, NEW)
    assert (ended.code, ended.what()) == (0, {f"autonomy-{NEW}": "kept", CHANNEL: "kept"})


async def test_the_next_release_moves_the_channel_and_leaves_the_last_ones_tag(place: Place) -> None:
    old = await place.push(OLD)
    await publish(old, OLD)
    new = await place.push(NEW)
    ended = await publish(new, NEW[:12], "--source", SOURCE, "--version", NEW[:7], "--fixed-tag", "1.2.3")
    assert ended.what() == {f"autonomy-{NEW[:12]}": "set", "1.2.3": "set", CHANNEL: "moved"}
    assert (place.digest(f"autonomy-{OLD}"), place.digest(CHANNEL)) == (digest_of(old), digest_of(new))


async def test_a_fixed_tag_that_names_another_digest_is_refused_and_nothing_moves(place: Place) -> None:
    first = await place.push(OLD)
    await publish(first, OLD)
    other = await place.push(OLD, version="another build")
    ended = await publish(other, OLD, "--fixed-tag", "1.2.3")
    assert ended.code == 3
    assert f"autonomy-{OLD} names {digest_of(first)}, and not {digest_of(other)}" in ended.err
    assert place.digest(CHANNEL) == place.digest(f"autonomy-{OLD}") == digest_of(first)
    assert place.digest("1.2.3") is None
    assert "never moved" in ended.json["error"]


async def test_the_channel_does_not_go_back_unless_that_is_meant(place: Place) -> None:
    new = await place.push(NEW)
    await publish(new, NEW)
    old = await place.push(OLD)
    refused = await publish(old, OLD)
    assert (refused.code, place.digest(CHANNEL), place.digest(f"autonomy-{OLD}")) == (3, digest_of(new), None)
    assert "--allow-older" in refused.err
    assert (await publish(old, OLD, "--allow-older")).code == 0
    assert place.digest(CHANNEL) == digest_of(old)


@pytest.mark.parametrize("missing", ["source", "revision", "version", "created"])
async def test_an_image_that_does_not_say_what_it_is_gets_no_tag(place: Place, missing: str) -> None:
    image = await place.push(NEW, **{missing: None})
    ended = await publish(image, NEW)
    assert (ended.code, place.digest(CHANNEL), place.digest(f"autonomy-{NEW}")) == (3, None, None)
    assert f"org.opencontainers.image.{missing} is missing for linux/amd64, linux/arm64" in ended.err


async def test_an_image_of_another_commit_gets_no_tag(place: Place) -> None:
    ended = await publish(await place.push(OLD), NEW)
    assert (ended.code, place.digest(CHANNEL)) == (3, None)
    assert f"revision is {OLD}, and {NEW} was given" in ended.err


async def test_platforms_of_different_commits_get_no_tag(place: Place) -> None:
    one = await place.pusher.image(place.repository, "a", labels=labels_of(OLD))
    other = await place.pusher.image(place.repository, "b", platform="linux/arm64", labels=labels_of(NEW))
    await place.pusher.index(place.repository, "built", [one.descriptor, other.descriptor])
    ended = await publish(f"{place.name}:built", NEW)
    assert (ended.code, place.digest(CHANNEL)) == (3, None)
    assert f"revision is said to be {OLD} and {NEW}" in ended.err


async def test_a_dry_run_says_what_would_be_done_and_touches_nothing(place: Place) -> None:
    await publish(await place.push(OLD), OLD)
    before = place.digest(CHANNEL)
    ended = await publish(
        await place.push(NEW), NEW, "--dry-run", "--webhook", "http://127.0.0.1:9", TIDEGATE_WEBHOOK_SECRET="tide"
    )
    assert (ended.code, ended.what()) == (0, {f"autonomy-{NEW}": "would be set", CHANNEL: "would be moved"})
    assert (place.digest(CHANNEL), place.digest(f"autonomy-{NEW}")) == (before, None)


async def test_for_people_it_prints_a_line_for_each_tag(place: Place) -> None:
    image = await place.push(NEW)
    ended = await run("publish", image, "--channel", CHANNEL, "--revision", NEW)
    assert ended.out.splitlines() == [image, f"  autonomy-{NEW}  set", f"  {CHANNEL:<{len(NEW) + 9}}  set"]


async def test_a_commit_is_found_by_its_fixed_tag(place: Place) -> None:
    image = await place.push(NEW)
    words = ("find", place.name, "--channel", CHANNEL, "--revision", NEW)
    nothing = await run(*words)
    await publish(image, NEW)
    found = await run(*words)
    assert (nothing.code, nothing.out, found.code, found.out) == (0, "", 0, f"{digest_of(image)}\n")


async def test_an_image_that_is_not_there_is_told(place: Place) -> None:
    ended = await publish(f"{place.name}@sha256:{'a' * 64}", NEW)
    assert (ended.code, "(404)" in ended.err) == (1, True)


async def test_a_registry_that_is_away_is_told_with_what_to_do() -> None:
    ended = await publish(f"127.0.0.1:{free_port()}/acme/web@sha256:{'a' * 64}", NEW)
    assert ended.code == 1
    assert "repeat the command later" in ended.err
    assert ended.json["tags"] == []


def docker_config(folder: Path, address: str, user: str, password: str) -> str:
    """A folder as `docker login` leaves it."""
    auth = basic_header(user, password).removeprefix("Basic ")
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}), encoding="utf-8")
    return str(folder)


async def test_credentials_are_dockers_and_wrong_ones_are_told_without_the_password(tmp_path: Path) -> None:
    with registry_server(tmp_path, htpasswd=True) as address:
        place = Place(address, "acme/web", USER, PASSWORD)
        image = await place.push(NEW)
        wrong = await publish(image, NEW, DOCKER_CONFIG=docker_config(tmp_path, address, USER, "hunter2"))
        nobody = await publish(image, NEW)
        assert (wrong.code, nobody.code, place.digest(CHANNEL)) == (1, 1, None)
        assert "did not accept the credentials" in wrong.err
        assert "write access" in wrong.err
        assert "hunter2" not in wrong.err + wrong.out
        right = await publish(image, NEW, DOCKER_CONFIG=docker_config(tmp_path, address, USER, PASSWORD))
        assert (right.code, place.digest(CHANNEL)) == (0, digest_of(image))


async def test_a_token_service_is_asked_for_the_right_to_push(tmp_path: Path) -> None:
    async with TokenService(tmp_path) as tokens:
        with registry_server(tmp_path, tokens=tokens.auth) as address:

            async def header(repository: str) -> str:
                return "Bearer " + tokens.issue(f"repository:{repository}:pull,push")

            digest = await push_release(Pusher(f"http://{address}", header), "acme/web", NEW)
            config = docker_config(tmp_path, address, USER, PASSWORD)
            ended = await publish(f"{address}/acme/web@{digest}", NEW, DOCKER_CONFIG=config)
    assert (ended.code, ended.what()) == (0, {f"autonomy-{NEW}": "set", CHANNEL: "set"})
    assert set(tokens.asked) == {"repository:acme/web:pull,push"}


async def test_an_account_that_may_only_read_is_told_what_it_lacks(tmp_path: Path) -> None:
    async with TokenService(tmp_path) as tokens:
        with registry_server(tmp_path, tokens=tokens.auth) as address:

            async def header(repository: str) -> str:
                return "Bearer " + tokens.issue(f"repository:{repository}:pull,push")

            digest = await push_release(Pusher(f"http://{address}", header), "acme/web", NEW)
            issue = tokens.issue
            tokens.issue = lambda scope: issue(scope.replace(",push", ""))  # type: ignore[method-assign]
            config = docker_config(tmp_path, address, USER, PASSWORD)
            ended = await publish(f"{address}/acme/web@{digest}", NEW, DOCKER_CONFIG=config)
    assert (ended.code, ended.what()) == (1, {f"autonomy-{NEW}": "not set", CHANNEL: "not set"})
    assert "give the account write access" in ended.err


async def test_a_registry_with_an_authority_of_its_own_is_spoken_to_with_its_file(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    with registry_server(tmp_path, tls=made) as address:
        digest = await push_release(Pusher(f"https://{address}", ca_file=made.authority), "acme/web", NEW)
        image = f"{address}/acme/web@{digest}"
        refused = await publish(image, NEW)
        ended = await publish(image, NEW, TIDEGATE_REGISTRY_CA=str(made.authority))
    assert (refused.code, "TIDEGATE_REGISTRY_CA" in refused.err, ended.code) == (1, True, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("publish", "reg.test/web", "--channel", CHANNEL, "--revision", NEW), "names no content"),
        (("publish", f"reg.test/web:{CHANNEL}", "--channel", CHANNEL, "--revision", NEW), "the channel itself"),
        (("publish", "reg.test/web:x", "--channel", CHANNEL, "--revision", "HEAD"), "no commit"),
        (("publish", "reg.test/web:x", "--channel", ".x", "--revision", NEW), "no tag"),
        (("publish", "reg.test/WEB:x", "--channel", CHANNEL, "--revision", NEW), "not an image reference"),
        (
            ("publish", "reg.test/web:x", "--channel", CHANNEL, "--revision", NEW, "--webhook", "https://m.test"),
            "SECRET",
        ),
        (("find", "reg.test/web:x", "--channel", CHANNEL, "--revision", NEW), "has a tag"),
    ],
)
async def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(words: tuple[str, ...], said: str) -> None:
    ended = await run(*words)
    assert (ended.code, ended.out, said in ended.err) == (2, "", True), ended.err
