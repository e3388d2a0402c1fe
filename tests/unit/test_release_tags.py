"""Which tags a release has."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate.domain.reference import parse_reference
from tidegate.domain.release_tags import TagsError, fixed_tag, release_tags

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("channel", "fixed"),
    [
        ("autonomy-latest", "autonomy-0123456"),
        ("latest", "sha-0123456"),
        ("live", "live-0123456"),
        ("my-latest-latest", "my-latest-0123456"),
    ],
)
def test_the_fixed_tag_is_made_of_the_channel_and_the_commit(channel: str, fixed: str) -> None:
    assert fixed_tag(channel, "0123456") == fixed


def test_others_come_after_it_once_each() -> None:
    tags = release_tags("latest", COMMIT, ("1.2.3", f"sha-{COMMIT}", "1.2.3"))
    assert (tags.fixed, tags.channel) == ((f"sha-{COMMIT}", "1.2.3"), "latest")


@pytest.mark.parametrize("revision", ["", "012345", "HEAD", "0123456X", "0123456 ", COMMIT.upper(), "0" * 65])
def test_what_is_no_commit_is_refused(revision: str) -> None:
    with pytest.raises(TagsError, match="is no commit"):
        release_tags("latest", revision)


@pytest.mark.parametrize("channel", ["", ".x", "a b", "a/b", "a:b", "a@b", "x" * 129, "x" * 100 + "-latest" * 3])
def test_what_is_no_tag_is_refused(channel: str) -> None:
    with pytest.raises(TagsError, match="is no tag"):
        release_tags(channel, COMMIT)


def test_the_channel_cannot_be_fixed_too() -> None:
    with pytest.raises(TagsError, match="live cannot be a fixed tag"):
        release_tags("live", COMMIT, ("live",))


@pytest.mark.parametrize("channel", [f"autonomy-{COMMIT}", "sha-0123456", "web-latest-abcdef0"])
def test_what_looks_like_a_fixed_tag_is_no_channel(channel: str) -> None:
    with pytest.raises(TagsError, match="looks like a release's fixed tag"):
        release_tags(channel, "f" * 40)


@pytest.mark.parametrize("channel", ["1.0", "autonomy-012345", "web-abcdefg", "0123456"])
def test_what_only_resembles_one_is_a_channel(channel: str) -> None:
    assert release_tags(channel, COMMIT).channel == channel


@given(
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,80}", fullmatch=True), st.from_regex(r"[0-9a-f]{7,40}", fullmatch=True)
)
def test_every_tag_is_one_and_no_two_commits_share_a_fixed_one(channel: str, revision: str) -> None:
    assume(not re.search(r"-[0-9a-f]{7,64}$", channel))
    tags = release_tags(channel, revision)
    assert all(parse_reference(f"reg.test/web:{tag}").tag == tag for tag in (*tags.fixed, tags.channel))
    assert tags.fixed != release_tags(channel, f"{revision}0").fixed
