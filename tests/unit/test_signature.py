"""Whether what cosign has verified speaks for the image that is to run."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.reference import parse_reference
from tidegate.domain.signature import fault_of

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
WEB = parse_reference(f"ghcr.io/acme/web@{DIGEST}")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([DIGEST, "ghcr.io/acme/web"]),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["critical", "identity", "image", "docker-reference", "docker-manifest-digest"]), inner
        )
    ),
    max_leaves=20,
)


def payload(repository: Any, digest: Any = DIGEST) -> dict[str, Any]:
    """As cosign prints one."""
    return {
        "critical": {
            "identity": {"docker-reference": repository},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": None,
    }


def fault(*payloads: Any) -> str | None:
    return fault_of(json.dumps(payloads), WEB)


def test_a_signature_for_this_repository_and_digest_is_good() -> None:
    assert fault(payload("ghcr.io/acme/web")) is None
    assert fault(payload("ghcr.io/acme/api", OTHER), payload("ghcr.io/acme/web")) is None


def test_another_spelling_of_the_registry_is_the_same_repository() -> None:
    assert fault(payload("GHCR.io:443/acme/web")) is None


def test_a_tag_in_the_name_that_was_signed_says_nothing() -> None:
    assert fault(payload("ghcr.io/acme/web:1.2")) is None


@pytest.mark.parametrize("image", ["redis", "docker.io/redis", "index.docker.io/library/redis"])
def test_docker_hubs_names_are_one(image: str) -> None:
    wanted = parse_reference("redis").with_digest(DIGEST)
    assert fault_of(json.dumps([payload(image)]), wanted) is None


def test_a_signature_that_was_made_for_another_repository_is_refused_with_both_names() -> None:
    said = "its signature was made for ghcr.io/acme/api, not for ghcr.io/acme/web"
    assert fault(payload("ghcr.io/acme/api")) == said


def test_of_many_repositories_a_few_are_named() -> None:
    said = fault(*(payload(f"ghcr.io/acme/{letter}") for letter in "abcde"))
    assert said == (
        "its signature was made for ghcr.io/acme/a, ghcr.io/acme/b, ghcr.io/acme/c and 2 more, not for ghcr.io/acme/web"
    )


def test_the_repository_of_one_signature_and_the_digest_of_another_do_not_add_up() -> None:
    assert fault(payload("ghcr.io/acme/web", OTHER), payload("ghcr.io/acme/api")) is not None


@pytest.mark.parametrize("answer", ["", "[]", "{}", "null", "[null]", "[[]]", "1", "no", "[" * 100_000])
def test_an_answer_without_a_payload_is_refused(answer: str) -> None:
    assert "use cosign 2" in (fault_of(answer, WEB) or "")


@pytest.mark.parametrize("repository", ["", "Not A Name", None, 1, ["ghcr.io/acme/web"]])
def test_a_payload_without_a_usable_name_is_no_payload(repository: Any) -> None:
    assert fault(payload(repository)) is not None


@given(JSON)
def test_only_an_answer_that_names_both_is_good(document: Any) -> None:
    if fault_of(json.dumps(document), WEB) is None:
        assert any(
            one["critical"]["image"]["docker-manifest-digest"] == DIGEST
            and one["critical"]["identity"]["docker-reference"] == "ghcr.io/acme/web"
            for one in document
            if isinstance(one, dict)
        )
