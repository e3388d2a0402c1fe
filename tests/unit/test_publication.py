"""Which tags are set, in which order, and when not."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain.publication import PublicationRefusedError, check_labels, check_newer, steps
from tidegate.domain.release_tags import ReleaseTags

MINE, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
TAGS = ReleaseTags(("web-1", "1.2.3"), "web-latest")
NOW = datetime(2026, 11, 29, tzinfo=UTC)
names = st.sampled_from([None, MINE, OTHER])


@given(names, names, names)
def test_the_channel_is_last_and_a_fixed_tag_is_never_moved(
    one: str | None, two: str | None, channel: str | None
) -> None:
    now = dict(zip((*TAGS.fixed, TAGS.channel), (one, two, channel), strict=True))
    if OTHER in (one, two):
        with pytest.raises(PublicationRefusedError, match="never moved"):
            steps(TAGS, MINE, now)
        return
    found = steps(TAGS, MINE, now)
    assert [step.tag for step in found] == ["web-1", "1.2.3", "web-latest"]
    assert [step.is_done(MINE) for step in found] == [name == MINE for name in (one, two, channel)]


@pytest.mark.parametrize(("ago_s", "refused"), [(1, True), (0, False), (-1, False)])
def test_a_channel_does_not_go_back_to_what_was_made_before(ago_s: int, refused: bool) -> None:
    mine = NOW - timedelta(seconds=ago_s)
    if not refused:
        check_newer("web-latest", mine, NOW)
        return
    with pytest.raises(
        PublicationRefusedError, match=r"at 2026-11-28T23:59:59Z.*at 2026-11-29T00:00:00Z.*--allow-older"
    ):
        check_newer("web-latest", mine, NOW)


@pytest.mark.parametrize(("mine", "current"), [(None, NOW), (NOW, None), (None, None)])
def test_what_does_not_say_when_it_was_made_is_not_taken_for_older(
    mine: datetime | None, current: datetime | None
) -> None:
    with pytest.raises(PublicationRefusedError, match="does not say when"):
        check_newer("web-latest", mine, current)


def test_every_fault_of_the_labels_is_told() -> None:
    check_labels(())
    with pytest.raises(PublicationRefusedError, match="\n  one\n  two\n"):
        check_labels(("one", "two"))
