"""A release that is killed, overtaken or lied to between any two requests: the channel names a whole release always."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

import pytest
from aiohttp import web
from tests.support.registry import OCI_INDEX, Registry
from tests.support.registry_push import Pusher
from tests.support.registry_relay import Pass, relay
from tests.support.registry_server import registry_server
from tests.support.releasing import CHANNEL, NEW, OLD, publish, publish_words, push_release, start

FIXED = f"autonomy-{NEW}"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with registry_server(tmp_path_factory.mktemp("registry")) as address:
        yield Registry(address)


class Releases:
    """A repository of a test's own: an old release is published, a new one is pushed."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.repository = f"acme/{secrets.token_hex(4)}"
        self.old = self.new = ""

    async def make(self) -> None:
        pusher = Pusher(f"http://{self.registry.address}")
        self.old = await push_release(pusher, self.repository, OLD)
        assert (await publish(f"{self.registry.address}/{self.repository}@{self.old}", OLD)).code == 0
        self.new = await push_release(pusher, self.repository, NEW)

    def image(self, address: str) -> str:
        return f"{address}/{self.repository}@{self.new}"

    def digest(self, tag: str) -> str | None:
        path = f"/v2/{self.repository}/manifests/{tag}"
        status, headers, _ = self.registry.request("HEAD", path, headers={"Accept": OCI_INDEX})
        return headers["docker-content-digest"] if status == 200 else None

    def put_old(self, tag: str) -> None:
        """Let a tag name the old release."""
        accept = {"Accept": OCI_INDEX}
        _, _, body = self.registry.request("GET", f"/v2/{self.repository}/manifests/{self.old}", headers=accept)
        assert self.registry.put_manifest(self.repository, tag, json.loads(body)) == self.old


@pytest.fixture
async def releases(registry: Registry) -> Releases:
    one = Releases(registry)
    await one.make()
    return one


@pytest.mark.parametrize(
    ("request_line", "reaches", "after"),
    [
        (f"HEAD {FIXED}", True, (False, False)),
        (f"PUT {FIXED}", False, (False, False)),
        (f"PUT {FIXED}", True, (True, False)),
        (f"PUT {CHANNEL}", False, (True, False)),
        (f"PUT {CHANNEL}", True, (True, True)),
    ],
)
async def test_killed_at_any_point_the_channel_names_one_release_and_repeating_ends_it(
    releases: Releases, request_line: str, reaches: bool, after: tuple[bool, bool]
) -> None:
    """`reaches`: the request comes to the registry, and its answer to nobody. `after`: fixed tag set, channel moved."""
    fixed, moved = after

    async def kill(request: web.Request, passed: Pass) -> web.StreamResponse:
        here = f"{request.method} {request.path.rpartition('/')[2]}" == request_line
        answer = await passed() if reaches or not here else web.Response(status=500)
        if here:
            process.kill()
            await process.wait()
        return answer

    async with relay(releases.registry, kill) as address:
        process = await start(publish_words(releases.image(address), NEW))
        await process.communicate()
    assert process.returncode == -9
    assert releases.digest(FIXED) == (releases.new if fixed else None)
    assert releases.digest(CHANNEL) == (releases.new if moved else releases.old)
    again = await publish(releases.image(releases.registry.address), NEW)
    assert again.code == 0
    assert releases.digest(FIXED) == releases.digest(CHANNEL) == releases.new


async def test_what_another_pipeline_has_moved_meanwhile_is_left_to_it(releases: Releases) -> None:
    newer = await push_release(
        Pusher(f"http://{releases.registry.address}"), releases.repository, "3" * 40, created="2026-11-03T12:00:00Z"
    )

    async def overtake(request: web.Request, passed: Pass) -> web.StreamResponse:
        if request.method == "PUT" and request.path.endswith(FIXED):
            await publish(f"{releases.registry.address}/{releases.repository}@{newer}", "3" * 40)
        return await passed()

    async with relay(releases.registry, overtake) as address:
        ended = await publish(releases.image(address), NEW)
    assert (ended.code, releases.digest(CHANNEL)) == (3, newer)
    assert ended.what() == {FIXED: "set", CHANNEL: "not moved"}
    assert f"{CHANNEL} was moved to {newer} meanwhile" in ended.err


async def test_a_registry_that_names_another_digest_than_it_was_given_is_not_believed(releases: Releases) -> None:
    async def lie(request: web.Request, passed: Pass) -> web.StreamResponse:
        answer = await passed()
        if request.method == "PUT":
            answer.headers["Docker-Content-Digest"] = f"sha256:{'e' * 64}"
        return answer

    async with relay(releases.registry, lie) as address:
        ended = await publish(releases.image(address), NEW)
    assert (ended.code, releases.digest(CHANNEL)) == (1, releases.old)
    assert f"for sha256:{'e' * 64}" in ended.err


async def test_a_tag_that_does_not_name_what_was_put_under_it_stops_it(releases: Releases) -> None:
    async def mix_up(request: web.Request, passed: Pass) -> web.StreamResponse:
        if request.method == "PUT" and request.path.endswith(FIXED):
            releases.put_old(FIXED)
            return web.Response(status=201)
        return await passed()

    async with relay(releases.registry, mix_up) as address:
        ended = await publish(releases.image(address), NEW)
    assert (ended.code, releases.digest(CHANNEL), releases.digest(FIXED)) == (1, releases.old, releases.old)
    assert f"took {releases.new} and answers with {releases.old}" in ended.err


async def test_a_registry_that_goes_away_in_the_middle_is_told_and_repeating_ends_it(releases: Releases) -> None:
    async def fail(request: web.Request, passed: Pass) -> web.StreamResponse:
        if request.method == "PUT" and request.path.endswith(CHANNEL):
            return web.Response(status=503)
        return await passed()

    async with relay(releases.registry, fail) as address:
        ended = await publish(releases.image(address), NEW)
    assert (ended.code, ended.what()) == (1, {FIXED: "set", CHANNEL: "not moved"})
    assert (releases.digest(CHANNEL), "repeat the command later" in ended.err) == (releases.old, True)
    assert (await publish(releases.image(releases.registry.address), NEW)).code == 0
    assert releases.digest(CHANNEL) == releases.new


async def test_a_redirect_of_what_is_written_is_not_followed_elsewhere(releases: Releases) -> None:
    async def away(request: web.Request, passed: Pass) -> web.StreamResponse:
        if request.method == "PUT":
            return web.Response(status=307, headers={"Location": f"http://{releases.registry.address}{request.path}"})
        return await passed()

    async with relay(releases.registry, away) as address:
        ended = await publish(releases.image(address), NEW)
    assert (ended.code, releases.digest(CHANNEL), releases.digest(FIXED)) == (1, releases.old, None)
