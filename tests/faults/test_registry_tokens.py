"""Tokens: few, shared, renewed when refused, never sent to the wrong place."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.support.registry_clock import Hands
from tests.support.registry_fake import FakeRegistry, on, status
from tests.support.registry_server import PASSWORD, USER
from tests.support.registry_tokens import REFRESH_TOKEN, TokenService

from tidegate.domain.reference import Reference, parse_reference
from tidegate.registry.client import RegistryClient
from tidegate.registry.credential import Credential, CredentialsUnusableError, basic_header
from tidegate.registry.credentials import ConfiguredCredentials
from tidegate.registry.errors import (
    CredentialsError,
    ForbiddenError,
    MalformedAnswerError,
    RateLimitedError,
    RedirectRefusedError,
    UnauthorizedError,
)
from tidegate.registry.model import OCI_MANIFEST

ROBOT = ConfiguredCredentials(USER, PASSWORD)


class Unusable:
    async def credential(self, registry: str) -> Credential:  # noqa: ARG002  (the port's signature)
        raise CredentialsUnusableError("the safe is locked", "open it")


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signer")


@pytest.fixture
async def tokens(signer: Path) -> AsyncIterator[TokenService]:
    async with TokenService(signer) as service:
        yield service


@pytest.fixture
async def fake(tokens: TokenService) -> AsyncIterator[FakeRegistry]:
    async with FakeRegistry(tokens=tokens) as registry:
        for name in ("app", "team/web"):
            for tag in ("v1", "v2"):
                registry.manifests[name, tag] = (b"{}", OCI_MANIFEST)
        yield registry


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
async def client(hands: Hands) -> AsyncIterator[RegistryClient]:
    made = RegistryClient(ROBOT, clock=hands.clock, sleep=hands.sleep, random=hands.random, timeout_s=5)
    yield made
    await made.close()


@pytest.fixture
def app(fake: FakeRegistry) -> Reference:
    return parse_reference(f"{fake.address}/app:v1")


async def test_many_questions_at_once_share_one_challenge_and_one_token(
    client: RegistryClient, tokens: TokenService, app: Reference
) -> None:
    await asyncio.gather(*(client.head(replace(app, tag=tag)) for tag in ("v1", "v2") * 10))
    counters = client.counters
    assert (counters.tokens, counters.heads, tokens.asked) == (1, 20, {"repository:app:pull": 1})


async def test_each_repository_has_a_token_of_its_own_and_the_challenge_is_shared(
    client: RegistryClient, fake: FakeRegistry, tokens: TokenService, app: Reference
) -> None:
    await client.head(app)
    await client.head(parse_reference(f"{fake.address}/team/web:v1"))
    assert tokens.asked == {"repository:app:pull": 1, "repository:team/web:pull": 1}
    assert fake.requests.count("GET /v2/") == 1


async def test_a_token_is_asked_with_the_password_and_the_manifest_with_the_token(
    client: RegistryClient, fake: FakeRegistry, tokens: TokenService, app: Reference
) -> None:
    await client.head(app)
    assert tokens.headers[0]["Authorization"] == basic_header(USER, PASSWORD)
    assert fake.seen[-1]["Authorization"].startswith("Bearer ")


async def test_nobody_gets_a_token_without_a_password_where_that_is_allowed(
    tokens: TokenService, app: Reference
) -> None:
    tokens.anonymous = True
    client = RegistryClient()
    await client.head(app)
    await client.close()
    assert "Authorization" not in tokens.headers[0]


async def test_a_token_is_renewed_a_little_before_it_ends(
    client: RegistryClient, tokens: TokenService, app: Reference, hands: Hands
) -> None:
    tokens.expires_in = 100
    for seconds in (0, 89, 2):
        hands.now += seconds
        await client.head(app)
    assert client.counters.tokens == 2


async def test_a_token_that_is_refused_early_is_renewed_once_without_a_word(
    client: RegistryClient, tokens: TokenService, app: Reference
) -> None:
    await client.head(app)
    tokens.issued.clear()
    assert (await client.head(app)).digest
    assert client.counters.tokens == 2


async def test_a_registry_that_refuses_every_token_is_told_with_the_source(
    client: RegistryClient, fake: FakeRegistry, app: Reference
) -> None:
    challenge = f'Bearer realm="{fake.tokens.auth.realm}",service="test registry"' if fake.tokens else ""
    fake.faults.append(on("", "manifests", status(401, WWW_Authenticate=challenge)))
    with pytest.raises(UnauthorizedError, match="from REPO_USER and REPO_PASS for app"):
        await client.head(app)
    assert (client.counters.heads, client.counters.tokens) == (2, 2)


async def test_a_registry_that_asks_only_at_the_manifest_is_answered(
    client: RegistryClient, fake: FakeRegistry, app: Reference
) -> None:
    async def open_base(request: web.Request) -> web.Response | None:
        return web.json_response({}) if request.path == "/v2/" else None

    fake.faults.append(open_base)
    assert (await client.head(app)).digest


@pytest.mark.parametrize(
    ("challenge", "why"),
    [
        ("", "no WWW-Authenticate"),
        ('Bearer service="x"', "names no realm"),
        ('Bearer realm="http://127.0.0.1/token"', "names no service"),
        ("Negotiate", "neither Basic nor Bearer"),
    ],
)
async def test_a_challenge_that_says_too_little_is_malformed(
    client: RegistryClient, fake: FakeRegistry, app: Reference, challenge: str, why: str
) -> None:
    headers = {"WWW_Authenticate": challenge} if challenge else {}
    fake.faults.append(on("", "/v2/", status(401, **headers)))
    with pytest.raises(MalformedAnswerError, match=why):
        await client.head(app)


@pytest.mark.parametrize("realm", ["http://example.test/token", "file:///etc/passwd"])
async def test_a_token_service_that_would_see_the_password_in_the_clear_is_not_asked(
    client: RegistryClient, fake: FakeRegistry, app: Reference, realm: str
) -> None:
    challenge = f'Bearer realm="{realm}",service="s"'
    fake.faults.append(on("", "/v2/", status(401, WWW_Authenticate=challenge)))
    with pytest.raises(RedirectRefusedError, match="sends for a token"):
        await client.head(app)


async def test_a_token_service_that_redirects_to_elsewhere_gets_no_further(
    client: RegistryClient, tokens: TokenService, app: Reference
) -> None:
    tokens.answer = web.Response(status=307, headers={"Location": "https://example.test/token"})
    with pytest.raises(RedirectRefusedError, match="would be given credentials meant for"):
        await client.head(app)


@pytest.mark.parametrize(
    "body",
    [
        *("", "[]", "{}", '{"token": 7}', '{"token": "a\\nb"}', '{"token": "x", "expires_in": "soon"}'),
        *('{"token": "x", "expires_in": 1' + "0" * 400 + "}", "[" * 100_000),
    ],
    ids=lambda body: body[:40],
)
async def test_an_answer_without_a_usable_token_is_malformed(
    client: RegistryClient, tokens: TokenService, app: Reference, body: str
) -> None:
    tokens.answer = web.Response(text=body)
    with pytest.raises(MalformedAnswerError, match="without a usable token"):
        await client.head(app)


async def test_the_token_services_limits_are_honoured(
    client: RegistryClient, tokens: TokenService, app: Reference
) -> None:
    tokens.answer = web.Response(status=429, headers={"Retry-After": "30"})
    with pytest.raises(RateLimitedError) as caught:
        await client.head(app)
    assert caught.value.retry_after_s == 30


async def test_a_token_service_that_forbids_is_told_so(
    client: RegistryClient, tokens: TokenService, app: Reference
) -> None:
    tokens.answer = web.Response(status=403)
    with pytest.raises(ForbiddenError):
        await client.head(app)


async def test_a_token_service_that_is_not_there_is_not_taken_for_a_missing_tag(
    client: RegistryClient, tokens: TokenService, app: Reference
) -> None:
    tokens.answer = web.Response(status=404)
    with pytest.raises(MalformedAnswerError, match=r"the token service 127\.0\.0\.1:\d+ is not there \(404\)"):
        await client.head(app)


async def test_a_failed_token_request_is_shared_but_not_kept(
    client: RegistryClient, tokens: TokenService, app: Reference
) -> None:
    tokens.answer = web.Response(status=401)
    await asyncio.gather(*(client.head(app) for _ in range(5)), return_exceptions=True)
    tokens.answer = None
    assert (await client.head(app)).digest
    assert client.counters.tokens == 2


async def test_a_caller_that_gives_up_does_not_stop_the_others(
    client: RegistryClient, fake: FakeRegistry, app: Reference
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> None:
        asked.set()
        await go_on.wait()

    fake.faults.append(on("", "/v2/", slow))  # type: ignore[arg-type]
    first = asyncio.create_task(client.head(app))
    second = asyncio.create_task(client.head(app))
    await asked.wait()
    first.cancel()
    go_on.set()
    assert (await second).digest


async def test_an_identity_token_is_traded_by_post(tokens: TokenService, app: Reference) -> None:
    client = RegistryClient(Given(Credential("", "", REFRESH_TOKEN, "a helper")))
    await client.head(app)
    await client.close()
    assert tokens.forms[0]["grant_type"] == "refresh_token"


async def test_credentials_that_cannot_be_read_do_not_stop_what_needs_none(
    tokens: TokenService, app: Reference
) -> None:
    tokens.anonymous = True
    client = RegistryClient(Unusable())
    assert (await client.head(app)).digest
    await client.close()


@pytest.mark.parametrize("helped", [None, Unusable()])
async def test_a_password_that_one_repository_wants_is_none_of_the_others_business(helped: Any) -> None:
    async def private(request: web.Request) -> web.Response | None:
        if "/secret/" not in request.path:
            return None
        return web.json_response({}, status=401, headers={"WWW-Authenticate": 'Basic realm="test"'})

    client = RegistryClient(helped)
    async with FakeRegistry(faults=[private]) as registry:
        for name in ("open", "secret"):
            registry.manifests[name, "v1"] = (b"{}", OCI_MANIFEST)
        with pytest.raises(CredentialsError if helped else UnauthorizedError):
            await client.head(parse_reference(f"{registry.address}/secret:v1"))
        assert (await client.head(parse_reference(f"{registry.address}/open:v1"))).digest
    await client.close()
    assert client.counters.heads == 2


async def test_the_challenge_may_be_in_any_of_several_headers() -> None:
    async def negotiate_first(request: web.Request) -> web.Response | None:
        if "Authorization" in request.headers:
            return None
        answer = web.json_response({}, status=401)
        answer.headers.add("WWW-Authenticate", "Negotiate")
        answer.headers.add("WWW-Authenticate", 'Basic realm="test"')
        return answer

    client = RegistryClient(ROBOT)
    async with FakeRegistry(faults=[negotiate_first], basic=True) as registry:
        registry.manifests["app", "v1"] = (b"{}", OCI_MANIFEST)
        assert (await client.head(parse_reference(f"{registry.address}/app:v1"))).digest
    await client.close()


async def test_credentials_that_cannot_be_read_stop_the_question_with_the_remedy(app: Reference) -> None:
    client = RegistryClient(Unusable())
    with pytest.raises(CredentialsError, match=f"^{app.familiar}: the safe is locked; open it$"):
        await client.head(app)
    await client.close()


async def test_basic_credentials_are_looked_up_once_for_the_whole_registry() -> None:
    given = Given(Credential(USER, PASSWORD))
    client = RegistryClient(given)
    async with FakeRegistry(basic=True) as registry:
        for name in ("a", "b", "c"):
            registry.manifests[name, "v1"] = (b"{}", OCI_MANIFEST)
            await client.head(parse_reference(f"{registry.address}/{name}:v1"))
    await client.close()
    assert given.asked == 1


class Given:
    def __init__(self, credential: Credential) -> None:
        self.kept = credential
        self.asked = 0

    async def credential(self, registry: str) -> Credential:  # noqa: ARG002  (the port's signature)
        self.asked += 1
        return self.kept
