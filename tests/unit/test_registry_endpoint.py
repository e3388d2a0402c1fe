import pytest
from yarl import URL

from tidegate.domain.reference import parse_reference
from tidegate.registry.conversation import _question
from tidegate.registry.endpoint import AddressError, base_urls, follow, same_origin
from tidegate.registry.proxy import proxy_for


@pytest.mark.parametrize(
    ("registry", "insecure", "expected"),
    [
        ("ghcr.io", [], ["https://ghcr.io"]),
        ("docker.io", [], ["https://registry-1.docker.io"]),
        ("host:5000", [], ["https://host:5000"]),
        ("host:5000", ["host:5000"], ["https://host:5000", "http://host:5000"]),
        ("host:5000", ["host"], ["https://host:5000", "http://host:5000"]),
        ("host:5000", ["host:5001"], ["https://host:5000"]),
        ("localhost", [], ["https://localhost", "http://localhost"]),
        ("localhost:5000", [], ["https://localhost:5000", "http://localhost:5000"]),
        ("127.9.9.9:5000", [], ["https://127.9.9.9:5000", "http://127.9.9.9:5000"]),
        ("[::1]:5000", [], ["https://[::1]:5000", "http://[::1]:5000"]),
        ("10.0.0.1:5000", [], ["https://10.0.0.1:5000"]),
        ("localhost.example", [], ["https://localhost.example"]),
    ],
)
def test_plain_http_is_only_for_loopback_and_what_is_listed(
    registry: str, insecure: list[str], expected: list[str]
) -> None:
    assert [str(url) for url in base_urls(registry, insecure)] == expected


@pytest.mark.parametrize(
    ("source", "location", "expected"),
    [
        ("https://r.example/v2/", "/x", "https://r.example/x"),
        ("https://r.example/v2/", "https://cdn.example/x", "https://cdn.example/x"),
        ("http://127.0.0.1:1/", "http://localhost:2/x", "http://localhost:2/x"),
        ("http://listed:5000/", "http://listed:6000/x", "http://listed:6000/x"),
        ("http://127.0.0.1:1/", "https://cdn.example/x", "https://cdn.example/x"),
    ],
)
def test_a_safe_redirect_is_followed(source: str, location: str, expected: str) -> None:
    assert str(follow(URL(source), location, ["listed"])) == expected


@pytest.mark.parametrize(
    ("source", "location"),
    [
        ("https://r.example/", "http://r.example/x"),
        ("https://listed/", "http://listed/x"),
        ("http://listed/", "http://other.example/x"),
        ("https://r.example/", "https://127.0.0.1/x"),
        ("https://r.example/", "https://localhost/x"),
        ("https://r.example/", "https://[::1]/x"),
        ("https://r.example/", "https://user@cdn.example/x"),
        ("https://r.example/", "file:///etc/passwd"),
        ("https://r.example/", "https://[x"),
    ],
)
def test_an_unsafe_redirect_is_refused(source: str, location: str) -> None:
    with pytest.raises(AddressError):
        follow(URL(source), location, ["listed"])


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ("https://r.example:443/b", True),
        ("http://r.example/a", False),
        ("https://r.example:444/a", False),
        ("https://x.r.example/a", False),
    ],
)
def test_credentials_belong_to_scheme_host_and_port(other: str, expected: bool) -> None:
    assert same_origin(URL("https://r.example/a"), URL(other)) is expected


@pytest.fixture
def _proxied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://bob:pw@proxy.example:3128")
    monkeypatch.setenv("no_proxy", "internal.example")


@pytest.mark.usefixtures("_proxied")
def test_the_environments_proxy_is_used_with_its_account_in_a_header() -> None:
    assert proxy_for(URL("https://ghcr.io/v2/")) == (
        URL("http://proxy.example:3128"),
        {"Proxy-Authorization": "Basic Ym9iOnB3"},
    )


@pytest.mark.usefixtures("_proxied")
@pytest.mark.parametrize("url", ["https://127.0.0.1:5000/", "https://r.internal.example/", "http://plain.example/"])
def test_no_proxy_for_this_machine_nor_where_it_is_excluded(url: str) -> None:
    assert proxy_for(URL(url)) == (None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx:1.25", "https://registry-1.docker.io/v2/library/nginx/manifests/1.25"),
        ("acme/web", "https://registry-1.docker.io/v2/acme/web/manifests/latest"),
        ("ghcr.io/web:v1", "https://ghcr.io/v2/web/manifests/v1"),
        (f"ghcr.io/a/b@sha256:{'0' * 64}", f"https://ghcr.io/v2/a/b/manifests/sha256:{'0' * 64}"),
    ],
)
def test_library_is_added_on_docker_hub_only(text: str, expected: str) -> None:
    reference = parse_reference(text)
    base = base_urls(reference.registry, [])[0]
    assert str(_question(reference, base, "HEAD", f"manifests/{reference.version}", 1).url) == expected
