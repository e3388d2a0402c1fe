import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.reference import (
    InvalidReferenceError,
    Reference,
    is_image_id,
    match_image,
    parse_reference,
)

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nginx", Reference("docker.io", "library/nginx")),
        ("nginx:1.25", Reference("docker.io", "library/nginx", "1.25")),
        ("acme/web", Reference("docker.io", "acme/web")),
        ("docker.io/nginx", Reference("docker.io", "library/nginx")),
        ("index.docker.io/acme/web", Reference("docker.io", "acme/web")),
        ("localhost/web", Reference("localhost", "web")),
        ("localhost:5000/web:v1", Reference("localhost:5000", "web", "v1")),
        ("host:5000/team/web", Reference("host:5000", "team/web")),
        ("host:5000", Reference("docker.io", "library/host", "5000")),
        ("ghcr.io/acme/web:a_b.c-d", Reference("ghcr.io", "acme/web", "a_b.c-d")),
        ("[::1]:5000/web", Reference("[::1]:5000", "web")),
        ("[fe80::1]/web", Reference("[fe80::1]", "web")),
        ("Host/web", Reference("Host", "web")),
        ("acme/a__b--c.d", Reference("docker.io", "acme/a__b--c.d")),
        (f"nginx@{DIGEST}", Reference("docker.io", "library/nginx", None, DIGEST)),
        (f"nginx:1@{DIGEST}", Reference("docker.io", "library/nginx", "1", DIGEST)),
        (f"host:5000/x@{DIGEST}", Reference("host:5000", "x", None, DIGEST)),
    ],
)
def test_a_reference_is_taken_apart_as_docker_does(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        (HEX, "image id"),
        (DIGEST, "image id"),
        ("Nginx", "lower case"),
        ("host:5000/Web", "lower case"),
        ("nginx:", "the tag ''"),
        ("nginx:-x", "the tag '-x'"),
        ("nginx:" + "a" * 129, "the tag"),
        ("nginx@sha256:abc", "the digest 'sha256:abc'"),
        ("nginx@", "the digest ''"),
        (f"nginx@md5:{HEX}", "the digest"),
        (f"nginx@sha256:{HEX.upper()}", "the digest"),
        ("a//b", "the repository"),
        ("/web", "the repository"),
        ("host:5000/", "the repository is missing"),
        (":tag", "the repository is missing"),
        ("acme/web_", "the repository"),
        ("acme/a___b", "the repository"),
        ("-host.example/web", "host name"),
        ("host:port/web", "host name"),
        ("https://host/web", "host name"),
        ("web with space", "the repository"),
        ("web\n", "the repository"),
        ("a" * 300, "longer than 255"),
        ("localhost:99999/web", "beyond 65535"),
        (f"localhost:{'9' * 5000}/web", "beyond 65535"),
        (f"{'a' * 64}.example/web", "longer than 63"),
    ],
)
def test_what_is_not_a_reference_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(InvalidReferenceError, match="is not an image reference") as caught:
        parse_reference(text)
    assert why in caught.value.why


@pytest.mark.parametrize(
    ("text", "familiar"),
    [
        ("docker.io/library/nginx:1", "nginx:1"),
        ("docker.io/acme/web", "acme/web"),
        ("ghcr.io/library/nginx", "ghcr.io/library/nginx"),
        ("docker.io/library/a/b", "library/a/b"),
        (f"docker.io/library/{HEX}", f"library/{HEX}"),
        (f"docker.io/library/sha256:{HEX}", f"library/sha256:{HEX}"),
        ("docker.io/localhost/x", "docker.io/localhost/x"),
        (f"docker.io/library/nginx:1@{DIGEST}", f"nginx:1@{DIGEST}"),
    ],
)
def test_the_familiar_form_drops_what_people_do_not_write(text: str, familiar: str) -> None:
    assert parse_reference(text).familiar == familiar


def test_the_version_is_the_digest_then_the_tag_then_latest() -> None:
    versions = [parse_reference(text).version for text in (f"x:1@{DIGEST}", "x:1", "x")]
    assert versions == [DIGEST, "1", "latest"]


def test_only_a_digest_pins() -> None:
    assert [parse_reference(text).pinned for text in ("x:1", f"x:1@{DIGEST}")] == [False, True]


def test_with_digest_names_the_content_and_drops_the_tag() -> None:
    assert str(parse_reference("x:1").with_digest(DIGEST)) == f"docker.io/library/x@{DIGEST}"


def test_with_digest_refuses_what_is_no_digest() -> None:
    with pytest.raises(InvalidReferenceError, match="digest"):
        parse_reference("x").with_digest("v2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [(DIGEST, True), (HEX, True), ("sha256:abc", False), ("nginx", False), (HEX + "0", False)],
)
def test_an_image_id_is_told_from_a_name(text: str, expected: bool) -> None:
    assert is_image_id(text) is expected


@pytest.mark.parametrize(
    ("pattern", "image", "expected"),
    [
        ("registry", "registry:2", True),
        ("registry", "docker.io/library/registry:2", True),
        ("host:5000/x", "host:5000/x:v1", True),
        ("host:5000/x", "host:5000/x", True),
        ("host", "host:5000/x", False),
        ("host:5000/x", "host:5001/x", False),
        ("acme/registry", "registry:2", False),
        ("registry:2", "registry:2", True),
        ("registry:2", "registry:3", False),
        ("registry:latest", "registry", True),
        ("registry", f"registry@{DIGEST}", True),
        (f"registry@{DIGEST}", "registry:2", False),
    ],
)
def test_an_image_filter_ignores_the_tag_and_knows_a_port(pattern: str, image: str, expected: bool) -> None:
    assert match_image(pattern, parse_reference(image)) is expected


COMPONENT = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,2})[a-z0-9]{1,6}){0,2}", fullmatch=True)
REGISTRY = st.sampled_from(["docker.io", "localhost", "host:5000", "ghcr.io", "[::1]:5000", "Host", "10.0.0.1"])
REFERENCES = st.builds(
    Reference,
    REGISTRY,
    st.lists(COMPONENT, min_size=2, max_size=4).map("/".join),
    st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True),
    st.none() | st.from_regex(r"sha256:[a-f0-9]{64}", fullmatch=True),
)


@given(REFERENCES)
def test_what_is_written_out_is_read_back(reference: Reference) -> None:
    assert parse_reference(str(reference)) == reference


@given(REFERENCES)
def test_the_familiar_form_is_read_back_to_the_same(reference: Reference) -> None:
    assert parse_reference(reference.familiar) == reference


@given(st.text() | st.text(alphabet="aZ09.:/@-_[]", max_size=40))
def test_any_text_is_a_reference_or_refused(text: str) -> None:
    try:
        reference = parse_reference(text)
    except InvalidReferenceError as error:
        assert error.why  # noqa: PT017  (either outcome is right; any other exception is not)
    else:
        assert parse_reference(str(reference)) == reference
        assert parse_reference(reference.familiar) == reference
