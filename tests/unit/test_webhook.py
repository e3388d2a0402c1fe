"""What registries send, what is understood of it, and that nothing else comes of anything."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.webhooks import DIGEST, DISTRIBUTION, DOCKER_HUB, GITHUB, HARBOR, REGISTRY_PACKAGE

from tidegate.domain.webhook import Kind, Pushed, WebhookError, is_signed, read_webhook


@pytest.mark.parametrize(
    ("kind", "document", "pushed"),
    [
        (Kind.GITHUB, GITHUB, Pushed("ghcr.io/acme/orchestrator", "autonomy-latest", DIGEST)),
        (Kind.GITHUB, REGISTRY_PACKAGE, Pushed("ghcr.io/acme/orchestrator", "autonomy-latest", DIGEST)),
        (Kind.DISTRIBUTION, DISTRIBUTION, Pushed("reg.test:5000/acme/web", "live", DIGEST)),
        (Kind.DOCKER_HUB, DOCKER_HUB, Pushed("docker.io/acme/web", "live")),
        (Kind.HARBOR, HARBOR, Pushed("harbor.test:8443/acme/web", "live", DIGEST)),
        (Kind.GENERIC, {"image": "redis:7", "digest": DIGEST}, Pushed("docker.io/library/redis", "7", DIGEST)),
        (Kind.GENERIC, {"image": f"reg.test:5000/web:live@{DIGEST}"}, Pushed("reg.test:5000/web", "live", DIGEST)),
    ],
)
def test_a_push_is_told_by_repository_tag_and_digest(kind: Kind, document: Any, pushed: Pushed) -> None:
    assert read_webhook(kind, document) == (pushed,)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        (Kind.GITHUB, {"zen": "Keep it logically awesome.", "hook_id": 1}),
        (Kind.GITHUB, GITHUB | {"action": "deleted"}),
        (Kind.HARBOR, HARBOR | {"type": "DELETE_ARTIFACT"}),
        (Kind.DISTRIBUTION, {"events": []}),
        (Kind.GITHUB, GITHUB | {"action": []}),
        (Kind.GITHUB, {"action": "published", "package": {**GITHUB["package"], "owner": {}, "namespace": None}}),
        (Kind.DOCKER_HUB, {"push_data": {"pushed_at": 1}, "repository": {"repo_name": "acme/web"}}),
        (Kind.DOCKER_HUB, {"push_data": {"tag": True}, "repository": {"repo_name": "acme/web"}}),
    ],
)
def test_what_is_no_push_is_none(kind: Kind, document: Any) -> None:
    assert read_webhook(kind, document) == ()


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("document", [{}, [], "text", None, {"else": 1}])
def test_a_request_of_another_kind_is_refused_with_what_such_a_one_has(kind: Kind, document: Any) -> None:
    with pytest.raises(WebhookError, match=r"it has no|it has neither|it takes|not a JSON object"):
        read_webhook(kind, document)


def test_a_digest_that_is_none_is_left_out_and_one_push_is_told_once() -> None:
    event = DISTRIBUTION["events"][2]
    bad = event | {"target": event["target"] | {"digest": "latest"}}
    assert read_webhook(Kind.DISTRIBUTION, {"events": [bad, bad]}) == (Pushed("reg.test:5000/acme/web", "live"),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just(DIGEST),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            ["package", "owner", "login", "package_version", "container_metadata", "tag", "name", "events", "target",
             "request", "host", "repository", "push_data", "repo_name", "event_data", "resources", "resource_url",
             "image", "digest", "action", "type"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.sampled_from(Kind), JSON)
def test_whatever_is_sent_is_understood_or_refused(kind: Kind, document: Any) -> None:
    try:
        pushed = read_webhook(kind, document)
    except WebhookError:
        return
    assert all(one.tag and "/" in one.repository for one in pushed)


def test_githubs_signature_is_that_of_the_whole_body() -> None:
    body, secret = b'{"action": "published"}', "tide"
    header = "sha256=" + hmac.new(b"tide", body, hashlib.sha256).hexdigest()
    assert is_signed(body, header, secret)
    for other in (is_signed(body + b" ", header, secret), is_signed(body, header, "ebb"), is_signed(body, "", secret)):
        assert not other
    assert not is_signed(body, header.removeprefix("sha256="), secret)
    assert not is_signed(body, "sha256=" + hmac.new(b"", body, hashlib.sha256).hexdigest(), "")
    assert not is_signed(body, "sha256=é", secret)


@pytest.mark.parametrize("document", [{}, {"image": None}, {"image": 7}])
def test_an_image_that_is_missing_is_called_missing(document: dict[str, object]) -> None:
    with pytest.raises(WebhookError, match=r'image is missing.*it takes \{"image": "REPOSITORY:TAG"'):
        read_webhook(Kind.GENERIC, document)
