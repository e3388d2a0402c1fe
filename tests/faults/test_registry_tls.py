"""TLS is verified on every request; plain http only where it may be."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.registry_push import Pusher
from tests.support.registry_server import registry_server
from tests.support.registry_tls import Certificates, make_certificates

from tidegate.domain.reference import Reference, parse_reference
from tidegate.registry.client import RegistryClient
from tidegate.registry.errors import UntrustedCertificateError
from tidegate.registry.transport import CaFileError


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[str]:
    with registry_server(tmp_path_factory.mktemp("registry"), tls=certificates) as address:
        yield address


@pytest.fixture
async def app(address: str, certificates: Certificates) -> Reference:
    await Pusher(f"https://{address}", ca_file=certificates.authority).image("app", "v1")
    return parse_reference(f"{address}/app:v1")


async def test_a_registry_with_a_certificate_of_ones_own_is_trusted_by_its_authority(
    app: Reference, certificates: Certificates
) -> None:
    client = RegistryClient(ca_file=certificates.authority)
    assert (await client.head(app)).digest
    await client.close()


async def test_an_unknown_authority_is_refused_on_head_and_says_what_to_set(app: Reference) -> None:
    client = RegistryClient()
    with pytest.raises(UntrustedCertificateError, match=r"is not trusted \(.+TIDEGATE_REGISTRY_CA"):
        await client.head(app)
    await client.close()


async def test_a_bad_certificate_is_no_reason_to_do_without_tls(app: Reference) -> None:
    client = RegistryClient(insecure=[app.registry])
    with pytest.raises(UntrustedCertificateError):
        await client.head(app)
    assert client.counters.pings == 1
    await client.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_file_that_is_none_is_refused_by_name(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CaFileError, match=r"ca\.pem is not a file of PEM certificates"):
        RegistryClient(ca_file=path)
