from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.registry_push import digest_of

from tidegate.domain.reference import parse_reference
from tidegate.registry.errors import RateLimitedError, RegistryError
from tidegate.registry.model import OCI_INDEX, OCI_MANIFEST, Manifest, parse_time, release_of, with_config

PREFIX = "org.opencontainers.image."
APP = parse_reference("ghcr.io/acme/app:latest")


def manifest(media_type: str, **document: Any) -> Manifest:
    return Manifest(digest_of(repr(document).encode()), media_type, b"", document)


def annotated(*versions: str | None) -> tuple[Manifest, dict[str, Any], Manifest]:
    index, entry, image = ({f"{PREFIX}version": version} if version else None for version in versions)
    top = manifest(OCI_INDEX, annotations=index)
    own = manifest(OCI_MANIFEST, annotations=image, config={"digest": "sha256:c"})
    return top, {"annotations": entry}, own


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        (("index", "entry", "image"), "image"),
        (("index", "entry", None), "entry"),
        (("index", None, None), "index"),
        ((None, None, None), None),
    ],
)
def test_the_annotation_nearest_to_the_image_counts(versions: tuple[str | None, ...], expected: str | None) -> None:
    top, entry, image = annotated(*versions)
    assert release_of(APP, top, image, entry).version == expected


def test_a_release_has_the_digests_of_index_manifest_and_config() -> None:
    top, entry, image = annotated(None, None, None)
    release = release_of(APP, top, image, entry)
    assert (release.digest, release.platform_digest, release.config_digest) == (top.digest, image.digest, "sha256:c")


@pytest.mark.parametrize("config", [{}, {"config": None}, {"config": {"Labels": None}}, {"config": {"Labels": [1]}}])
def test_an_image_without_labels_adds_nothing(config: dict[str, Any]) -> None:
    top, entry, image = annotated("1", None, None)
    release = release_of(APP, top, image, entry)
    assert with_config(release, config) == release


def test_the_annotated_time_is_stronger_than_the_image_configs() -> None:
    image = manifest(OCI_MANIFEST, annotations={f"{PREFIX}created": "2026-01-01T00:00:00Z"}, config={"digest": "d"})
    release = with_config(release_of(APP, image, image, {}), {"created": "2025-01-01T00:00:00Z"})
    assert release.created == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("text", [None, 7, "", "yesterday", "0001-01-01T00:00:00Z"])
def test_what_is_no_time_is_none(text: object) -> None:
    assert parse_time(text) is None


def test_an_error_is_told_of_another_image_with_all_its_facts() -> None:
    error = RateLimitedError(APP, "too much", "wait", 429, 7.0)
    told = error.about(replace(APP, tag="v2"))
    assert (str(told), told.retry_after_s, str(error)) == (
        "ghcr.io/acme/app:v2: too much; wait",
        7.0,
        "ghcr.io/acme/app:latest: too much; wait",
    )


def test_an_error_is_one_line_of_image_fact_and_remedy() -> None:
    assert str(RegistryError(parse_reference("nginx"), "it broke", "mend it")) == "nginx: it broke; mend it"
