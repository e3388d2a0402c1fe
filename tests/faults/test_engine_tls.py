"""An engine behind TLS: both sides show a certificate, and each has to be of the authority that the other knows."""

import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from tests.support.registry_tls import Certificates, make_certificates

from tidegate.engine.docker import DockerEngine
from tidegate.engine.errors import EngineUnavailableError

VERSION = {"Version": "26.1.5", "ApiVersion": "1.45", "MinAPIVersion": "1.24", "Os": "linux", "Arch": "amd64"}
NAMED, UNNAMED = "127.0.0.1", "127.0.0.2"
"""Addresses of the engine: the one in its certificate, and one that is not."""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("strangers"))


@pytest.fixture
async def hosts(ours: Certificates) -> AsyncIterator[dict[str, str]]:
    """By address, where an engine answers whoever shows a certificate of our authority."""

    async def answer(_: web.BaseRequest) -> web.Response:
        return web.json_response(VERSION)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ours.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(ours.certificate, ours.key)
    runner = web.ServerRunner(web.Server(answer), shutdown_timeout=0)
    await runner.setup()
    for address in (NAMED, UNNAMED):
        await web.TCPSite(runner, address, 0, ssl_context=context).start()
    yield {address: f"tcp://{address}:{port}" for address, port in runner.addresses}
    await runner.cleanup()


def told(monkeypatch: pytest.MonkeyPatch, folder: Path, authority: Path, shown: Certificates) -> None:
    """Set what asks for TLS to the engine, and the folder with the three files."""
    for source, name in ((authority, "ca.pem"), (shown.certificate, "cert.pem"), (shown.key, "key.pem")):
        shutil.copy(source, folder / name)
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(folder))


async def refusal(host: str) -> str:
    with pytest.raises(EngineUnavailableError) as raised:
        await DockerEngine.open(host)
    return str(raised.value)


async def test_an_engine_of_our_authority_is_spoken_to_and_shown_our_certificate(
    hosts: dict[str, str], ours: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, tmp_path, ours.authority, ours)
    engine = await DockerEngine.open(hosts[NAMED])
    version = await engine.version()
    await engine.close()
    assert version.engine == VERSION["Version"]


async def test_an_engine_of_another_authority_is_refused(
    hosts: dict[str, str], ours: Certificates, strangers: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, tmp_path, strangers.authority, ours)
    said = await refusal(hosts[NAMED])
    assert "certificate verify failed" in said
    assert said.endswith("and the certificates in DOCKER_CERT_PATH")


async def test_an_engine_whose_certificate_is_for_another_address_is_refused(
    hosts: dict[str, str], ours: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, tmp_path, ours.authority, ours)
    assert f"certificate is not valid for '{UNNAMED}'" in await refusal(hosts[UNNAMED])


async def test_an_engine_that_does_not_know_our_certificates_authority_is_told_with_where_they_are(
    hosts: dict[str, str], ours: Certificates, strangers: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, tmp_path, ours.authority, strangers)
    assert (await refusal(hosts[NAMED])).endswith("and the certificates in DOCKER_CERT_PATH")
