"""What people are told of two images before they approve one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.manager.releases.changes import Change, all_changes, changes, readable_size
from tidegate.manager.releases.compare_link import commit_link, compare_link, source_link
from tidegate.manager.releases.image_config import config_document
from tidegate.manager.releases.sealed import Seal

OCI = "org.opencontainers.image."
OLD, NEW = "0123456789ab", "ba9876543210"
GITHUB = "https://github.com/acme/web"


def config(size: int | None = None, created: str = "", **settings: Any) -> dict[str, Any]:
    """As the reader keeps it."""
    return config_document({"config": settings, "created": created}, size=size, seal=Seal("x"))


def only(before: dict[str, Any], after: dict[str, Any]) -> Change:
    (change,) = changes(before, after, "linux/amd64")
    return change


def told(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, str, str]:
    change = only(before, after)
    return change.field, change.before, change.after


def test_the_same_image_changes_nothing() -> None:
    one = config(7, "2026-01-01T00:00:00Z", Env=["A=1"], User="app", Volumes={"/data": {}})
    assert changes(one, one, "linux/amd64") == ()


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"Env": ["A=1"]}, {"Env": ["A=2"]}, ("env A", "1", "2")),
        ({}, {"Env": ["A=1"]}, ("env A", "", "1")),
        ({"Env": ["A=1"]}, {}, ("env A", "1", "")),
        ({"Entrypoint": ["a"]}, {"Entrypoint": ["b", "c d"]}, ("entrypoint", "a", "b 'c d'")),
        ({"Cmd": ["a"]}, {}, ("cmd", "a", "")),
        ({"StopSignal": "SIGTERM"}, {"StopSignal": "SIGINT"}, ("stop signal", "SIGTERM", "SIGINT")),
        ({}, {"WorkingDir": "/app"}, ("working directory", "", "/app")),
        ({"Labels": {"team": "a"}}, {"Labels": {"team": "b"}}, ("label team", "a", "b")),
        ({"Labels": {OCI + "version": "1"}}, {"Labels": {OCI + "version": "2"}}, ("version", "1", "2")),
    ],
)
def test_what_differs_is_told_as_people_write_it(before: Any, after: Any, expected: tuple[str, str, str]) -> None:
    assert told(config(**before), config(**after)) == expected


def test_another_value_of_a_secret_is_told_and_not_shown() -> None:
    change = only(config(Env=["API_TOKEN=one"]), config(Env=["API_TOKEN=two"]))
    assert (change.field, change.before, change.after) == ("env API_TOKEN", "***", "***")
    assert "not shown" in change.note


@pytest.mark.parametrize(
    ("before", "after", "dangerous"),
    [
        ("app", "", True),
        ("app", "root", True),
        ("1000:1000", "0:0", True),
        ("app", "root:root", True),
        ("app", "rooted", False),
        ("", "app", False),
        ("root", "", False),
        ("app", "other", False),
        ("1000", "100", False),
    ],
)
def test_who_becomes_root_is_dangerous(before: str, after: str, dangerous: bool) -> None:
    change = only(config(User=before), config(User=after))
    assert (change.dangerous, "runs as root" in change.note) == (dangerous, dangerous)


def test_who_is_not_root_any_more_is_told_of_files_on_volumes() -> None:
    assert "not root any more" in only(config(), config(User="app")).note


CHECK = {"Test": ["CMD", "true"], "Interval": 30_000_000_000}


@pytest.mark.parametrize(
    ("after", "dangerous"), [({}, True), ({"Test": ["NONE"]}, True), ({"Test": ["CMD", "x"]}, False)]
)
def test_a_health_check_that_goes_is_dangerous(after: Any, dangerous: bool) -> None:
    change = only(config(Healthcheck=CHECK), config(Healthcheck=after))
    assert (change.field, change.dangerous) == ("health check", dangerous)


def test_a_health_check_that_comes_is_not() -> None:
    assert not only(config(), config(Healthcheck=CHECK)).dangerous


def test_a_port_that_goes_is_dangerous_and_named() -> None:
    change = only(config(ExposedPorts={"80/tcp": {}, "81/tcp": {}}), config(ExposedPorts={"80/tcp": {}, "82/tcp": {}}))
    assert (change.before, change.after, change.dangerous) == ("80/tcp 81/tcp", "80/tcp 82/tcp", True)
    assert change.note.startswith("81/tcp is not exposed")
    assert not only(config(), config(ExposedPorts={"80/tcp": {}})).dangerous


def test_a_volume_that_comes_or_goes_is_dangerous_and_named() -> None:
    change = only(config(Volumes={"/old": {}}), config(Volumes={"/new": {}}))
    assert change.dangerous
    assert change.note.startswith("/new is a new volume")
    assert "/old is no volume any more" in change.note


@pytest.mark.parametrize(
    ("before", "after", "note"),
    [
        (100 << 20, 110 << 20, "+10.0 MiB (+10%)"),
        (100 << 20, 50 << 20, "-50.0 MiB (-50%)"),
        (None, 1000, ""),
    ],
)
def test_a_size_is_told_with_what_it_grew_by(before: int | None, after: int, note: str) -> None:
    change = only(config(before), config(after))
    assert (change.after, change.note) == (readable_size(after), note)


@pytest.mark.parametrize(
    ("after", "note"),
    [
        ("2026-01-13T00:00:00Z", "12 days newer"),
        ("2025-12-31T22:30:10Z", "1h29m older"),
        ("2026-01-01T00:00:30Z", "30s newer"),
        ("9999-12-31T23:59:59-12:00", "2912443 days newer"),
    ],
)
def test_an_age_is_told_in_words(after: str, note: str) -> None:
    assert only(config(created="2026-01-01T00:00:00Z"), config(created=after)).note == note


def test_a_revision_links_to_the_commits_between() -> None:
    one, other = (config(Labels={OCI + "revision": revision, OCI + "source": GITHUB}) for revision in (OLD, NEW))
    assert only(one, other).link == f"{GITHUB}/compare/{OLD}...{NEW}"


@pytest.mark.parametrize(
    ("source", "link"),
    [
        (GITHUB, f"{GITHUB}/compare/{OLD}...{NEW}"),
        (f"{GITHUB}.git", f"{GITHUB}/compare/{OLD}...{NEW}"),
        ("git+https://github.com/acme/web/", f"{GITHUB}/compare/{OLD}...{NEW}"),
        ("https://gitlab.com/a/b/c", f"https://gitlab.com/a/b/c/-/compare/{OLD}...{NEW}"),
        ("https://gitlab.acme.test/a/b.git", f"https://gitlab.acme.test/a/b/-/compare/{OLD}...{NEW}"),
        ("https://github.com/acme/web/tree/main", ""),
        ("https://github.com.evil.test/acme/web", ""),
        ("http://github.com/acme/web", ""),
        ("javascript:alert(1)//github.com/acme/web", ""),
        ("https://me:pw@github.com/acme/web", ""),
        ("https://github.com/../web", ""),
        ("https://github.com/acme/web\n", ""),
        ("https://bitbucket.org/acme/web", ""),
        ("", ""),
    ],
)
def test_a_link_is_made_only_for_places_that_have_such_a_page(source: str, link: str) -> None:
    assert compare_link(source, OLD, NEW) == link


@pytest.mark.parametrize("revision", ["", "main", "abc", f"{NEW}/..", f"{NEW}?x=", f"{NEW}\n"])
def test_a_link_is_made_only_between_commits(revision: str) -> None:
    assert compare_link(GITHUB, OLD, revision) == ""
    assert commit_link(GITHUB, revision) == ""


def test_one_commit_has_a_page_at_the_same_places() -> None:
    assert commit_link(f"git+{GITHUB}.git", NEW) == f"{GITHUB}/commit/{NEW}"
    assert commit_link("https://gitlab.com/a/b/c", NEW) == f"https://gitlab.com/a/b/c/-/commit/{NEW}"
    assert commit_link("https://bitbucket.org/acme/web", NEW) == ""


@pytest.mark.parametrize(
    ("source", "link"),
    [
        (GITHUB, GITHUB),
        ("https://git.acme.test:8443/a?b=c", "https://git.acme.test:8443/a?b=c"),
        ("http://github.com/acme/web", ""),
        ("javascript:alert(1)", ""),
        ("https://me:pw@github.com/acme/web", ""),
        ("https://github.com/a b", ""),
        ("https://github.com/acme/web\n", ""),
        ("", ""),
    ],
)
def test_only_an_https_address_is_a_link_to_a_source(source: str, link: str) -> None:
    assert source_link(source) == link


def test_what_differs_in_the_same_way_everywhere_is_told_once_and_the_rest_by_platform() -> None:
    before = {"linux/amd64": config(100, User="app"), "linux/arm64": config(100, User="app")}
    after = {"linux/amd64": config(200, User="app2"), "linux/arm64": config(300, User="app2"), "linux/386": config(1)}
    rows = [(one.field, one.platform) for one in all_changes(before, after)]
    assert rows == [("user", ""), ("size", "linux/amd64"), ("size", "linux/arm64")]


def test_the_dangerous_come_first() -> None:
    before, after = config(5, Env=["A=1"], User="app"), config(6, Env=["A=2"], ExposedPorts={"80/tcp": {}})
    fields = [one.field for one in all_changes({"linux/amd64": before}, {"linux/amd64": after})]
    assert fields[0] == "user"
    assert set(fields[1:]) == {"size", "env A", "ports"}


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "Env": st.lists(st.sampled_from(["A=1", "A=2", "B_KEY=1", "B_KEY=2", "C"]), max_size=3),
        "User": st.sampled_from(["", "root", "app", "0"]),
        "Volumes": st.dictionaries(st.sampled_from(["/a", "/b"]), st.just({}), max_size=2),
        "ExposedPorts": st.dictionaries(st.sampled_from(["1/tcp", "2/udp"]), st.just({}), max_size=2),
        "Healthcheck": st.sampled_from([{}, CHECK, {"Test": ["NONE"]}]),
        "Labels": st.dictionaries(st.sampled_from(["x", OCI + "revision"]), st.text(max_size=3), max_size=2),
    },
)


@given(SETTINGS, SETTINGS)
def test_every_change_has_two_sides_that_differ_or_says_why_not_and_goes_both_ways(before: Any, after: Any) -> None:
    there = changes(config(**before), config(**after), "linux/amd64")
    back = changes(config(**after), config(**before), "linux/amd64")
    assert all(one.before != one.after or one.note for one in there)
    assert {(one.field, one.before, one.after) for one in there} == {(one.field, one.after, one.before) for one in back}
