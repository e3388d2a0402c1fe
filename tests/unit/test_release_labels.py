"""What an image has to say of its release."""

from datetime import UTC, datetime

import pytest

from tidegate.domain.release_labels import (
    CREATED,
    REQUIRED,
    REVISION,
    SOURCE,
    VERSION,
    ImageSays,
    agreed,
    created_at,
    label_faults,
)

GOOD = {SOURCE: "https://a.test/b", REVISION: "ab" * 20, VERSION: "1.2.3", CREATED: "2026-11-29T12:00:00Z"}
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


def image(platform: str = "linux/amd64", built: datetime | None = None, **labels: str) -> ImageSays:
    """An image with good labels, but for those named by their last word; several values are separated by blanks."""
    said = GOOD | {f"org.opencontainers.image.{key}": value for key, value in labels.items()}
    return ImageSays(platform, {key: frozenset(value.split()) for key, value in said.items() if value}, built)


def test_an_image_that_says_all_has_no_faults() -> None:
    images = [image(), image("linux/arm64")]
    assert label_faults(images, {REVISION: "ab" * 20, SOURCE: GOOD[SOURCE], VERSION: "1.2.3"}) == ()
    assert agreed(images) == GOOD


@pytest.mark.parametrize("key", REQUIRED)
def test_what_one_platform_does_not_say_is_missing(key: str) -> None:
    faults = label_faults([image(), image("linux/arm64", None, **{key.rpartition(".")[2]: ""})], {})
    assert faults == (f"{key} is missing for linux/arm64",)


@pytest.mark.parametrize("key", [SOURCE, VERSION])
def test_what_is_not_as_expected_is_a_fault(key: str) -> None:
    assert label_faults([image()], {key: "other"}) == (f"{key} is {GOOD[key]}, and other was given",)


@pytest.mark.parametrize(
    ("given", "good"), [("abababa", True), ("ab" * 20, True), ("bababab", False), ("ab" * 21, False)]
)
def test_a_revision_may_be_given_by_its_beginning_only(given: str, good: bool) -> None:
    assert bool(label_faults([image()], {REVISION: given})) is not good


def test_a_label_and_an_annotation_that_differ_are_a_fault() -> None:
    assert label_faults([image(version="1 2")], {}) == (f"{VERSION} is said to be 1 and 2",)


def test_platforms_that_differ_are_a_fault() -> None:
    faults = label_faults([image(), image("linux/arm64", revision="cd" * 20)], {})
    assert faults == (f"{REVISION} is said to be {'ab' * 20} and {'cd' * 20}",)


def test_a_time_that_is_none_is_a_fault() -> None:
    assert label_faults([image(created="yesterday")], {})[0].startswith(f"{CREATED} is yesterday")


def test_the_label_says_when_before_the_config_does() -> None:
    built = datetime(2020, 1, 1, tzinfo=UTC)
    assert created_at([image(built=built)]) == NOON
    assert created_at([image(built=built, created="")]) == built
    assert created_at([image(created="")]) is None
    assert created_at([image(), image(created="2026-11-29T14:00:00+01:00")]) == datetime(2026, 11, 29, 13, tzinfo=UTC)
