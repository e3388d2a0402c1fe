"""An OpenID provider that is slow, endless, elsewhere, or not who it says."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.support.registry_tls import make_certificates

from tidegate.manager.oidc.errors import ProviderError
from tidegate.manager.oidc.fetch import MOST_BYTES, fetch
from tidegate.manager.telling.sinks.sink import trusting

TLS = ssl.create_default_context()


async def _slow(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await asyncio.Event().wait()
    return answer


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    answer.enable_compression()
    await answer.prepare(request)
    while True:
        await answer.write(b" " * 65536)


async def _elsewhere(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("https://elsewhere.example/")


async def _plain(_: web.Request) -> web.StreamResponse:
    return web.Response(text="[" * 100_000, status=500)


def _app() -> web.Application:
    app = web.Application()
    app.add_routes([web.get(f"/{one.__name__.strip('_')}", one) for one in (_slow, _endless, _elsewhere, _plain)])
    return app


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    made = TestServer(_app())
    async with made:
        yield made


@pytest.mark.parametrize(
    ("path", "word"), [("/slow", "did not answer within 0.3 s"), ("/endless", f"more than {MOST_BYTES} bytes")]
)
async def test_what_takes_too_long_or_is_too_large_is_given_up(server: TestServer, path: str, word: str) -> None:
    with pytest.raises(ProviderError, match=word):
        await fetch(str(server.make_url(path)), TLS, timeout_s=0.3 if path == "/slow" else 10)


@pytest.mark.parametrize(("path", "status"), [("/elsewhere", 302), ("/plain", 500)])
async def test_what_leads_elsewhere_or_is_no_object_says_nothing(server: TestServer, path: str, status: int) -> None:
    assert await fetch(str(server.make_url(path)), TLS) == (status, {})


async def test_a_certificate_that_nobody_vouches_for_is_refused_until_its_authority_is_named(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.load_cert_chain(made.certificate, made.key)
    server = TestServer(_app(), scheme="https")
    await server.start_server(ssl=theirs)
    async with server:
        address = str(server.make_url("/plain"))
        with pytest.raises(ProviderError, match=r"is not trusted .*TIDEGATE_OIDC_CA takes its authority's"):
            await fetch(address, TLS)
        assert (await fetch(address, trusting(made.authority)))[0] == 500
