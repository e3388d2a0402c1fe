from typing import Any

import pytest

from tidegate.domain.policy import PolicyDefaults
from tidegate.domain.selection import Candidate, Filters, Selection, image_matches, name_matches, select

WATCHTOWER = "com.centurylinklabs.watchtower"
DIGEST = "sha256:" + "a" * 64


def candidate(labels: dict[str, str] | None = None, **given: Any) -> Candidate:
    facts: dict[str, Any] = {"id": "c1", "name": "web", "image": "acme/web:1", "state": "running"}
    return Candidate(labels=labels or {}, **{**facts, **given})


def chosen(one: Candidate, defaults: PolicyDefaults | None = None, **filters: Any) -> Selection:
    (selection,) = select([one], Filters(**filters), defaults)
    return selection


def test_every_running_container_is_selected_when_nothing_is_asked() -> None:
    assert chosen(candidate()).selected


@pytest.mark.parametrize("filters", [{}, {"label_enable": True}, {"names": ("web",)}, {"scope": "x"}])
def test_an_enable_label_of_false_always_excludes(filters: dict[str, Any]) -> None:
    labels = {f"{WATCHTOWER}.enable": "false", f"{WATCHTOWER}.scope": "x"}
    assert chosen(candidate(labels), **filters).reason == "its enable label is false"


@pytest.mark.parametrize(("value", "selected"), [("true", True), ("1", True), ("T", True), (None, False)])
def test_label_enable_asks_for_a_label_that_is_true(value: str | None, selected: bool) -> None:
    labels = {} if value is None else {f"{WATCHTOWER}.enable": value}
    assert chosen(candidate(labels), label_enable=True).selected is selected


@pytest.mark.parametrize(
    ("scope", "label", "selected"),
    [
        (None, None, True),
        (None, "x", True),
        ("x", "x", True),
        ("x", "y", False),
        ("x", None, False),
        ("x", "none", False),
        ("none", None, True),
        ("none", "", True),
        ("none", "none", True),
        ("none", "x", False),
    ],
)
def test_scope_selects_as_watchtower_does(scope: str | None, label: str | None, selected: bool) -> None:
    labels = {} if label is None else {f"{WATCHTOWER}.scope": label}
    assert chosen(candidate(labels), scope=scope).selected is selected


def test_the_original_plans_orchestrator_is_selected() -> None:
    labels = {f"{WATCHTOWER}.enable": "true", f"{WATCHTOWER}.scope": "autonomy-cluster"}
    assert chosen(candidate(labels), label_enable=True, scope="autonomy-cluster").selected


@pytest.mark.parametrize(
    ("name", "pattern", "matches"),
    [
        ("web", "web", True),
        ("/web", "web", True),
        ("web", "/web", True),
        ("balloon", "ba(b|ll)oon", True),
        ("baboon", "ba(b|ll)oon", True),
        ("baboonious", "ba(b|ll)oon", False),
        ("spoon", "ba(b|ll)oon", False),
        ("web-1", "web", False),
        ("web-1", "web.*", True),
        ("a[b", "a[b", True),
        ("ab", "a[b", False),
    ],
)
def test_names_match_exactly_or_as_a_whole_regular_expression(name: str, pattern: str, matches: bool) -> None:
    assert name_matches(name, pattern) is matches
    assert chosen(candidate(name=name), names=(pattern,)).selected is matches


def test_a_disabled_container_is_left_alone_even_when_named() -> None:
    assert chosen(candidate(), disabled=("/web",), names=("web",)).reason == "it is in disable-containers"


@pytest.mark.parametrize(
    ("pattern", "image", "meant"),
    [
        ("registry", "registry:2", True),
        ("localhost:5000/x", "localhost:5000/x:7", True),
        ("localhost:5000/x", "localhost:5000/y:7", False),
        ("localhost", "localhost:5000/x", False),
        ("Not An Image", "localhost:5000/x", False),
        ("registry", "Not An Image", False),
    ],
)
def test_image_filters_ignore_the_tag_and_know_a_registrys_port(pattern: str, image: str, meant: bool) -> None:
    assert image_matches(image, ["another", pattern]) is meant


@pytest.mark.parametrize(
    ("image", "selected"),
    [("ghcr.io/acme/web:7", True), ("redis", True), ("acme/web:7", False), ("evil.example/acme/web", False)],
)
def test_only_allowed_repositories_are_looked_after(image: str, selected: bool) -> None:
    allowed = ("ghcr.io/acme/web", "docker.io/library/redis")
    selection = chosen(candidate(image=image), repositories=allowed)
    assert selection.selected is selected
    assert selected or "TIDEGATE_ALLOW_REPOSITORIES" in selection.reason


@pytest.mark.parametrize(
    ("state", "filters", "selected"),
    [
        ("exited", {}, False),
        ("created", {}, False),
        ("exited", {"include_stopped": True}, True),
        ("created", {"include_stopped": True}, True),
        ("restarting", {}, False),
        ("restarting", {"include_stopped": True}, False),
        ("restarting", {"include_restarting": True}, True),
        ("paused", {"include_stopped": True}, False),
        ("dead", {"include_stopped": True}, False),
    ],
)
def test_state_decides_with_include_stopped_and_include_restarting(
    state: str, filters: dict[str, Any], selected: bool
) -> None:
    assert chosen(candidate(state=state), **filters).selected is selected


@pytest.mark.parametrize(
    "one",
    [
        candidate({"com.docker.compose.oneoff": "True"}),
        candidate(auto_remove=True),
        candidate({"com.docker.swarm.task.id": "x7"}),
    ],
    ids=["compose run", "--rm", "a Swarm task"],
)
def test_containers_that_cannot_be_put_back_are_left_alone(one: Candidate) -> None:
    assert not chosen(one).selected


@pytest.mark.parametrize(
    ("mode", "agents", "selected"),
    [
        ("host", "shop_default", False),
        ("host", "host", True),
        ("none", "host", False),
        ("shop_default", "other", True),
    ],
)
def test_a_probe_that_cannot_be_made_is_told_before_anything_is_touched(mode: str, agents: str, selected: bool) -> None:
    probed = candidate({"tidegate.probe.http": ":8000/"}, network_mode=mode)
    found = select([probed, candidate(id="c2", network_mode=agents)], Filters(self_id="c2"))[0]
    assert (found.selected, "to probe it" in found.reason) == (selected, not selected)


def test_a_probe_by_command_needs_no_network() -> None:
    assert chosen(candidate({"tidegate.probe.exec": "true"}, network_mode="none")).selected


def test_what_the_agent_lives_in_the_network_of_is_left_alone() -> None:
    home, agent = candidate(), candidate(id="c2", name="agent", network_mode="container:c1")
    assert [one.selected for one in select([home, agent], Filters(self_id="c2"))] == [False, True]
    assert [one.selected for one in select([home, agent], Filters())] == [True, True]


@pytest.mark.parametrize("marker", [WATCHTOWER, "tidegate.instance"])
def test_an_agent_leaves_other_updaters_alone_and_looks_after_itself(marker: str) -> None:
    scoped, unscoped = candidate({marker: "true", f"{WATCHTOWER}.scope": "theirs"}), candidate({marker: "true"})
    assert chosen(scoped).reason == "it is another updater, of scope theirs"
    assert chosen(scoped, scope="theirs").reason == "it is another updater, of scope theirs"
    assert chosen(unscoped).reason == "it is another updater"
    assert chosen(scoped, scope="theirs", self_id="c1").selected
    assert chosen(unscoped, self_id="c1").selected


def test_a_bad_label_excludes_its_container_only() -> None:
    bad = candidate({"tidegate.enable": "maybe"})
    first, second = select([bad, candidate(id="c2")], Filters())
    assert (first.selected, first.policy, second.selected) == (False, None, True)
    assert "tidegate.enable" in first.reason


def test_a_monitored_container_is_selected_and_says_so() -> None:
    selection = chosen(candidate(), PolicyDefaults(monitor_only=True))
    assert selection.selected
    assert selection.reason.endswith("monitored only")
