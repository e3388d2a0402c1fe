"""A registry that answers badly: one typed error with one clear line, whatever it does."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web
from tests.support.registry_clock import Hands
from tests.support.registry_fake import FakeRegistry, on, status
from tests.support.registry_push import Pusher, digest_of
from tests.support.registry_server import PASSWORD, USER
from yarl import URL

from tidegate.domain.reference import Reference, parse_reference
from tidegate.registry import transport
from tidegate.registry.client import RegistryClient
from tidegate.registry.credentials import ConfiguredCredentials
from tidegate.registry.errors import (
    AddressUnusableError,
    ForbiddenError,
    MalformedAnswerError,
    ManifestNotFoundError,
    RateLimitedError,
    RedirectRefusedError,
    RegistryUnavailableError,
    UnauthorizedError,
)
from tidegate.registry.platform import Platform

AMD64 = Platform("linux", "amd64")


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry() as registry:
        await Pusher(f"http://{registry.address}").image("app", "v1")
        registry.requests.clear()
        registry.seen.clear()
        yield registry


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def client(hands: Hands) -> AsyncIterator[RegistryClient]:
    made = RegistryClient(clock=hands.clock, sleep=hands.sleep, random=hands.random, timeout_s=5)
    yield made
    await made.close()


@pytest.fixture
def app(fake: FakeRegistry) -> Reference:
    return parse_reference(f"{fake.address}/app:v1")


async def test_403_is_told_as_forbidden(fake: FakeRegistry, client: RegistryClient, app: Reference) -> None:
    fake.faults.append(on("", "manifests", status(403)))
    with pytest.raises(ForbiddenError, match=r"does not allow reading app \(403\); give the account"):
        await client.head(app)


async def test_404_of_the_repository_is_told_as_not_found(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    fake.faults.append(on("", "manifests", status(404)))
    with pytest.raises(ManifestNotFoundError, match="has no v1 of app") as caught:
        await client.head(app)
    assert (caught.value.reference, caught.value.status) == (app, 404)


async def test_429_tells_how_long_to_wait(fake: FakeRegistry, client: RegistryClient, app: Reference) -> None:
    fake.faults.append(on("", "manifests", status(429, Retry_After="120")))
    with pytest.raises(RateLimitedError, match="left alone for 120 s") as caught:
        await client.head(app)
    assert caught.value.retry_after_s == 120


async def test_429_with_a_date_tells_the_seconds_until_then(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    fake.faults.append(on("", "manifests", status(429, Retry_After=then)))
    with pytest.raises(RateLimitedError) as caught:
        await client.head(app)
    assert caught.value.retry_after_s == pytest.approx(3600, abs=60)


async def test_429_of_the_base_is_a_rate_limit_too(fake: FakeRegistry, client: RegistryClient, app: Reference) -> None:
    fake.faults.append(on("", "/v2/", status(429)))
    with pytest.raises(RateLimitedError) as caught:
        await client.head(app)
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_5xx_is_a_failure_that_may_pass(
    fake: FakeRegistry, client: RegistryClient, app: Reference, code: int
) -> None:
    fake.faults.append(on("", "manifests", status(code, Retry_After="7")))
    with pytest.raises(RegistryUnavailableError, match="failure of its own") as caught:
        await client.head(app)
    assert (caught.value.status, caught.value.retry_after_s) == (code, 7)


async def test_a_failure_is_not_asked_again_at_once(fake: FakeRegistry, client: RegistryClient, app: Reference) -> None:
    fake.faults.append(on("", "manifests", status(503)))
    with pytest.raises(RegistryUnavailableError):
        await client.head(app)
    assert fake.requests == ["GET /v2/", "HEAD /v2/app/manifests/v1"]


async def test_what_the_registry_says_is_passed_on_in_one_line(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    async def say(_: web.Request) -> web.Response:
        return web.json_response({"errors": [{"message": "on\nfire \x1b[31m"}]}, status=503)

    fake.faults.append(on("GET", "manifests", say))
    with pytest.raises(RegistryUnavailableError, match=r"\(503: on fire \[31m\)"):
        await client.manifest(app)


async def test_what_the_registry_says_may_be_nonsense(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    async def say(_: web.Request) -> web.Response:
        return web.Response(body=b"[" * 100_000, status=503)

    fake.faults.append(on("GET", "manifests", say))
    with pytest.raises(RegistryUnavailableError, match=r"\(503\)"):
        await client.manifest(app)


async def test_an_unexpected_status_is_malformed(fake: FakeRegistry, client: RegistryClient, app: Reference) -> None:
    fake.faults.append(on("", "manifests", status(418)))
    with pytest.raises(MalformedAnswerError, match="answered 418"):
        await client.manifest(app)


@pytest.mark.parametrize("code", [403, 404])
async def test_a_web_server_that_is_no_registry_is_told_so(
    fake: FakeRegistry, client: RegistryClient, app: Reference, code: int
) -> None:
    fake.faults.append(on("", "/v2/", status(code)))
    with pytest.raises(MalformedAnswerError, match="does not look like a registry"):
        await client.head(app)


async def test_a_missing_digest_header_is_made_up_for_by_hashing(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    raw, media_type = fake.manifests["app", "v1"]

    async def bare(_: web.Request) -> web.Response:
        return web.Response(body=raw, headers={"Content-Type": media_type})

    fake.faults.append(on("", "manifests", bare))
    head = await client.head(app)
    assert (head.digest, client.counters.gets) == (digest_of(raw), 1)


async def test_a_registry_without_head_is_asked_with_get(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    fake.faults.append(on("HEAD", "manifests", status(405)))
    assert (await client.head(app)).digest == digest_of(fake.manifests["app", "v1"][0])


async def test_a_digest_that_cannot_be_one_is_refused(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    fake.faults.append(on("HEAD", "manifests", status(200, Docker_Content_Digest="sha256:../../etc")))
    with pytest.raises(MalformedAnswerError, match="digest that cannot be one"):
        await client.head(app)


async def test_another_digest_than_the_one_asked_for_is_refused(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    other = digest_of(b"other")
    fake.faults.append(on("HEAD", "manifests", status(200, Docker_Content_Digest=other)))
    with pytest.raises(MalformedAnswerError, match=f"told {other} when asked for"):
        await client.head(app.with_digest(digest_of(b"this")))


async def test_content_with_a_wrong_digest_is_refused(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    digest = digest_of(fake.manifests["app", "v1"][0])
    fake.manifests["app", digest] = (b'{"evil": true}', fake.manifests["app", digest][1])
    with pytest.raises(MalformedAnswerError, match=f"wrong digest: sha256:.* in place of {digest}"):
        await client.manifest(app.with_digest(digest))


async def test_a_config_with_a_wrong_digest_is_refused(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    fake.blobs = dict.fromkeys(fake.blobs, b"{}")
    with pytest.raises(MalformedAnswerError, match="wrong digest"):
        await client.resolve(app, AMD64)


async def test_a_body_that_breaks_off_is_detected(
    fake: FakeRegistry, client: RegistryClient, app: Reference, hands: Hands
) -> None:
    async def truncated(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"schemaVersion": 2')
        assert request.transport is not None
        request.transport.close()
        return response

    fake.faults.append(on("GET", "manifests", truncated))
    with pytest.raises(MalformedAnswerError, match="broke off before its end"):
        await client.manifest(app)
    assert hands.slept == pytest.approx([0.15, 0.3])


async def test_one_lost_connection_is_not_noticed(fake: FakeRegistry, client: RegistryClient, app: Reference) -> None:
    lost: list[str] = []

    async def lose_first(request: web.Request) -> web.StreamResponse | None:
        if lost or "manifests" not in request.path:
            return None
        lost.append(request.path)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    fake.faults.append(lose_first)
    await client.manifest(app)
    assert len(lost) == 1


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"\xff\xfe", b"", b"[" * 100_000], ids=lambda body: repr(body[:8]))
async def test_a_manifest_that_is_no_json_object_is_refused(
    fake: FakeRegistry, client: RegistryClient, app: Reference, body: bytes
) -> None:
    fake.manifests["app", "v1"] = (body, fake.manifests["app", "v1"][1])
    with pytest.raises(MalformedAnswerError, match=r"not (a )?JSON"):
        await client.manifest(app)


@pytest.mark.parametrize("config", ["{}", '{"config": {}}', '{"config": {"digest": 7}}', '{"config": []}'])
async def test_a_manifest_that_is_no_image_is_refused(
    fake: FakeRegistry, client: RegistryClient, app: Reference, config: str
) -> None:
    fake.manifests["app", "v1"] = (config.encode(), fake.manifests["app", "v1"][1])
    with pytest.raises(MalformedAnswerError, match=r"names no image config|cannot be one"):
        await client.resolve(app, AMD64)


async def test_an_endless_manifest_is_cut_off(fake: FakeRegistry, client: RegistryClient, app: Reference) -> None:
    fake.manifests["app", "v1"] = (b" " * (5 << 20), fake.manifests["app", "v1"][1])
    with pytest.raises(MalformedAnswerError, match="more than 4194304 bytes"):
        await client.manifest(app)


async def test_silence_ends_with_the_time_limit(fake: FakeRegistry, app: Reference) -> None:
    forever = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    fake.faults.append(on("", "manifests", hang))
    client = RegistryClient(timeout_s=0.2)
    try:
        with pytest.raises(RegistryUnavailableError, match=r"did not answer within 0\.2 s"):
            await client.head(app)
    finally:
        forever.set()
        await client.close()


async def test_a_refused_connection_says_where(client: RegistryClient) -> None:
    with pytest.raises(RegistryUnavailableError, match=r"127\.0\.0\.1:1 cannot be reached .*refused"):
        await client.head(parse_reference("127.0.0.1:1/app"))


async def test_after_a_lost_connection_the_registry_is_found_anew(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    fake.faults.append(on("", "manifests", _abort))
    with pytest.raises(RegistryUnavailableError, match="closed the connection"):
        await client.head(app)
    fake.faults.clear()
    assert (await client.head(app)).digest
    assert fake.requests.count("GET /v2/") == 2


async def test_the_same_failure_is_told_of_each_image_that_waited(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    fake.faults.append(on("", "/v2/", status(503)))
    asked = [app, replace(app, tag="v2")]
    results = await asyncio.gather(*(client.head(each) for each in asked), return_exceptions=True)
    assert [str(error).split(": ", 1)[0] for error in results] == [each.familiar for each in asked]


@pytest.mark.parametrize("part", ["/blobs/", "/manifests/"])
async def test_what_is_kept_elsewhere_is_fetched_without_the_credentials(
    fake: FakeRegistry, app: Reference, part: str
) -> None:
    client = RegistryClient(ConfiguredCredentials(USER, PASSWORD))
    async with FakeRegistry(blobs=fake.blobs, manifests=fake.manifests) as store:
        fake.basic = True
        fake.faults.append(on("GET", part, _moved_to(store)))
        await client.resolve(app, AMD64)
        shown = [{name.lower() for name in headers} for headers in store.seen]
    await client.close()
    assert (len(shown), [names for names in shown if "authorization" in names]) == (1, [])


async def test_a_redirect_back_does_not_bring_the_credentials_back(fake: FakeRegistry, app: Reference) -> None:
    client = RegistryClient(ConfiguredCredentials(USER, PASSWORD))
    async with FakeRegistry() as store:
        fake.basic = True
        there = on("GET", "/manifests/v1", _moved_to(store))
        fake.faults.append(there)
        store.faults.append(on("GET", "/manifests/", status(307, Location=f"http://{fake.address}/v2/app/x")))
        with pytest.raises(UnauthorizedError):
            await client.manifest(app)
    await client.close()
    assert "Authorization" not in fake.seen[-1]


async def test_a_redirect_within_the_registry_is_followed(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    async def moved(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "/v2/app/manifests/v1"})

    fake.faults.append(on("HEAD", "manifests/old", moved))
    assert (await client.head(replace(app, tag="old"))).digest == digest_of(fake.manifests["app", "v1"][0])


@pytest.mark.parametrize(
    "where", ["http://example.test/x", "ftp://example.test/x", "http://[x", "https://u:p@example.test/x"]
)
async def test_a_redirect_to_an_unsafe_place_is_refused(
    fake: FakeRegistry, client: RegistryClient, app: Reference, where: str
) -> None:
    fake.faults.append(on("", "manifests", status(307, Location=where)))
    with pytest.raises(RedirectRefusedError, match="redirects to elsewhere, and that was refused"):
        await client.manifest(app)


async def test_a_redirect_of_the_base_is_not_followed_and_hinders_nothing(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    async def elsewhere(request: web.Request) -> web.StreamResponse | None:
        if request.path != "/v2/":
            return None
        return web.Response(status=302, headers={"Location": "https://example.test/v2/"})

    fake.faults.append(elsewhere)
    assert (await client.head(app)).digest


async def test_redirects_in_a_circle_end(fake: FakeRegistry, client: RegistryClient, app: Reference) -> None:
    fake.faults.append(on("", "manifests", status(302, Location="/v2/app/manifests/v1")))
    with pytest.raises(MalformedAnswerError, match="in a circle"):
        await client.manifest(app)


async def test_a_place_elsewhere_that_wants_credentials_gets_none(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    async with FakeRegistry(basic=True) as other:
        fake.faults.append(on("", "manifests", _moved_to(other)))
        with pytest.raises(RedirectRefusedError, match="wants credentials of its own"):
            await client.head(app)


def _moved_to(other: FakeRegistry) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"http://{other.address}{request.path}"})

    return answer


async def _abort(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@pytest.mark.parametrize("image", ["xn--a.example/app:v1", "xn--a.example:5000/app:v1"])
async def test_a_registry_whose_name_cannot_be_one_is_told_with_the_remedy(client: RegistryClient, image: str) -> None:
    with pytest.raises(AddressUnusableError, match=r"cannot be the name of a registry; correct the image"):
        await client.head(parse_reference(image))


async def test_a_proxy_that_is_no_address_is_told_by_its_variable_and_not_shown(
    client: RegistryClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:hidden@proxy:port")
    with pytest.raises(AddressUnusableError, match=r"HTTPS_PROXY is not an address; write it as") as caught:
        await client.head(parse_reference("registry.example/app:v1"))
    assert "hidden" not in str(caught.value)


async def test_a_date_beyond_all_reckoning_says_nothing_about_the_wait(
    fake: FakeRegistry, client: RegistryClient, app: Reference
) -> None:
    fake.faults.append(on("", "manifests", status(429, Retry_After=f"1 Jan {'9' * 20} 00:00:00 GMT")))
    with pytest.raises(RateLimitedError) as caught:
        await client.head(app)
    assert caught.value.retry_after_s is None


async def test_whatever_an_address_makes_the_client_say_is_one_line(
    fake: FakeRegistry, client: RegistryClient, app: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: URL) -> None:
        raise UnicodeError("label too long")

    assert fake
    monkeypatch.setattr(transport, "proxy_for", refuse)
    with pytest.raises(MalformedAnswerError, match=r"cannot be asked \(label too long\)"):
        await client.head(app)
