"""What lists are narrowed by: the same that the manager's routes take, refused in words where it is no such value."""

import json
from typing import Any

import pytest
import typer
from tests.cli.conftest import Run
from tests.support.fleet_world import NGINX, ORCHESTRATOR, WEB, World

from tidegate.cli.app import app


def listed(run: Run, key: str, *words: str) -> list[Any]:
    """One value of each item that a command lists."""
    ended = run(*words, "--json")
    assert ended.code == 0, ended.err
    return [one[key] for one in json.loads(ended.out)]


def test_clusters_have_all_the_labels_that_are_asked_for(run: Run, world: World) -> None:
    world.host("rome1", {"shop/web": (WEB, "1")}, {"ring": "early", "site": "north"})
    both = ("--label", "ring=early", "--label", "site=north")
    assert listed(run, "name", "clusters", *both) == ["shop@rome1"]
    assert listed(run, "name", "clusters", *both, "--agent", "berlin1") == []
    assert listed(run, "name", "clusters", "--agent", "berlin1") == ["autonomy@berlin1", "shop@berlin1"]


def test_targets_are_found_by_state_and_by_what_runs(run: Run, world: World) -> None:
    digest = world.digest(ORCHESTRATOR, "1")
    for word in (digest, digest[7:15]):
        assert listed(run, "name", "targets", "--digest", word) == ["autonomy@berlin1/orchestrator"]
    assert len(listed(run, "name", "targets", "--digest", "1", "--channel", WEB)) == 2
    assert listed(run, "name", "targets", "--digest", "sha256:" + "0" * 64) == []
    assert len(listed(run, "name", "targets", "--state", "running")) == 4
    assert listed(run, "name", "targets", "--state", "mixed") == []


def test_targets_are_found_by_agent_by_drift_and_by_being_held(run: Run, world: World) -> None:
    world.monitor("shop@berlin1/web")
    assert listed(run, "name", "targets", "--agent", "berlin1", "--not-held") == ["autonomy@berlin1/orchestrator"]
    assert listed(run, "name", "targets", "--held") == ["shop@berlin1/web"]
    assert listed(run, "name", "targets", "--drifted") == []
    assert len(listed(run, "name", "targets", "--not-drifted")) == 4
    assert run("targets", "--drifted").out == "There is no such target.\n"


def test_a_channel_and_releases_are_listed_alone(run: Run, world: World) -> None:
    assert listed(run, "name", "channels", "--name", "nginx:1") == [NGINX]
    digest = world.digest(WEB, "2")
    for word in (digest, digest[7:15]):
        assert listed(run, "version", "releases", "--digest", word) == ["2"]
    assert listed(run, "version", "releases", "--digest", "1", "--channel", WEB) == ["1"]
    assert run("releases", "--digest", "sha256:" + "0" * 64).out == "There is no such release.\n"


def test_rollouts_are_found_by_states_and_by_kind(run: Run, world: World) -> None:
    run("rollout", "start", ORCHESTRATOR, "2")
    world.settle()
    run("rollback", "autonomy/orchestrator", "--to", "1")
    world.policy(WEB, approvals=1)
    run("rollout", "start", WEB, "2", "--yes")
    world.settle()
    kinds = [listed(run, "kind", "rollout", "list", "--kind", one) for one in ("update", "rollback")]
    assert kinds == [["update"] * 2, ["rollback"]]
    both = ("--state", "completed", "--state", "awaiting_approval")
    assert listed(run, "state", "rollout", "list", *both, "--kind", "update") == ["awaiting_approval", "completed"]
    assert listed(run, "state", "rollout", "list", "--channel", WEB) == ["awaiting_approval"]


def test_of_a_rollout_the_targets_of_a_wave_or_with_a_progress_are_shown(run: Run, world: World) -> None:
    world.policy(WEB, waves=["1", "100%"], approvals=1)
    id_ = str(json.loads(run("rollout", "start", WEB, "2", "--yes", "--json").out)["id"])

    def targets(*words: str) -> int:
        return len(json.loads(run("rollout", "show", id_, *words, "--json").out)["targets"])

    assert [targets(), targets("--wave", "2"), targets("--wave", "3")] == [2, 1, 0]
    assert [targets("--progress", "waiting"), targets("--progress", "failed", "--progress", "busy")] == [2, 0]
    assert "It has no such targets." in run("rollout", "show", id_, "--progress", "failed").out


def test_windows_and_freezes_are_found_by_name_and_by_what_they_name(run: Run) -> None:
    run("window", "add", "nights", "0 2 * * * 4h UTC", "--channel", WEB)
    run("window", "add", "noon", "0 12 * * * 1h UTC", "--cluster", "autonomy", "--yes")
    assert listed(run, "name", "window", "--name", "noon") == ["noon"]
    assert listed(run, "name", "window", "--channel", "ghcr.io/acme/web") == ["nights"]
    assert listed(run, "name", "window", "list", "--cluster", "autonomy") == ["noon"]
    assert run("window", "--name", "noon", "--channel", WEB).out == "There is no such window.\n"
    run("freeze", "add", "past", "--from", "2020-12-20", "--to", "2021-01-03")
    run("freeze", "add", "incident", "--for", "2h", "--channel", WEB)
    assert listed(run, "name", "freeze", "--over") == ["past"]
    assert listed(run, "name", "freeze", "--not-over") == ["incident"]
    assert listed(run, "name", "freeze", "--channel", WEB) == ["incident"]
    assert run("freeze", "--over", "--channel", WEB).out == "There is no such freeze.\n"


def test_what_was_let_out_of_quarantine_is_listed_when_it_is_asked_for(run: Run, world: World) -> None:
    digest = world.digest(WEB, "2")
    run("quarantine", "add", "2", "--channel", WEB)
    assert run("quarantine", "--released").out == "Nothing was let out of quarantine.\n"
    run("quarantine", "release", digest, "--yes")
    assert listed(run, "digest", "quarantine", "--released") == [digest]
    assert listed(run, "digest", "quarantine") == []


def test_agents_and_their_tokens_are_those_that_are_good_or_the_others(run: Run) -> None:
    assert run("agents", "--revoked").out == "There is no such agent.\n"
    run("agents", "revoke", "paris1", "--yes")
    assert listed(run, "name", "agents", "--revoked") == ["paris1"]
    assert listed(run, "name", "agents", "--not-revoked") == ["berlin1"]
    for name in ("rome1", "oslo1"):
        run("agents", "enrol", name)
    run("agents", "withdraw", "rome1")
    assert "rome1" in listed(run, "name", "agents", "enrolments", "--spent")
    assert "oslo1" not in listed(run, "name", "agents", "enrolments", "--spent")
    assert listed(run, "name", "agents", "enrolments") == ["oslo1"]


def test_tokens_are_found_by_user_by_role_and_by_whether_they_are_good(run: Run) -> None:
    for role in ("viewer", "operator"):
        run("token", "create", "bob", role, "--name", f"of-{role}")
    run("token", "revoke", "of-viewer")
    assert listed(run, "name", "token", "list", "--user", "bob") == ["of-viewer", "of-operator"]
    assert listed(run, "name", "token", "--user", "bob", "--role", "operator") == ["of-operator"]
    assert listed(run, "name", "token", "--user", "bob", "--not-valid") == ["of-viewer"]
    assert listed(run, "name", "token", "--user", "bob", "--valid") == ["of-operator"]
    assert run("token", "--user", "eve").out == "There is no such token.\n"


def test_alerts_that_are_over_and_entries_of_nobody_are_told_as_what_they_are(run: Run, world: World) -> None:
    world.alert()
    assert 1 not in listed(run, "id", "alerts", "--over")
    assert 1 in listed(run, "id", "alerts", "--all")
    assert run("audit", "--actor", "nobody").out == "There is no such entry.\n"


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (("targets", "--state", "runing"), 2, "'running'"),
        (("targets", "--digest", "sha256:12"), 1, "six or more digits"),
        (("targets", "--digest", "2"), 2, "more than one release"),
        (("rollout", "list", "--state", "done"), 2, "'completed'"),
        (("rollout", "list", "--kind", "back"), 2, "'rollback'"),
        (("rollout", "show", "1", "--progress", "fine"), 2, "'healthy'"),
        (("rollout", "show", "1", "--wave", "0"), 2, "--wave"),
        (("token", "list", "--role", "boss"), 2, "'approver'"),
        (("clusters", "--label", "ring"), 2, "'ring' is not NAME=VALUE"),
        (("clusters", "--agent", "berlin"), 1, "Did you mean berlin1?"),
        (("channels", "--name", "ngin:1"), 1, "Did you mean nginx:1?"),
        (("window", "--name", "night"), 1, "There is no window 'night'"),
        (("freeze", "--channel", "ghcr.io/acme/wep"), 1, "Did you mean ghcr.io/acme/web:latest"),
        (("alerts", "--all", "--over"), 2, "write one of the two"),
        (("agents", "enrolments", "--all", "--spent"), 2, "write one of the two"),
    ],
)
def test_what_is_no_such_value_is_refused_with_what_is(
    run: Run, command: tuple[str, ...], code: int, told: str
) -> None:
    ended = run(*command)
    assert (ended.code, ended.out, told in ended.err) == (code, "", True), ended.err


@pytest.mark.usefixtures("as_user", "manager")
@pytest.mark.parametrize(
    ("words", "option", "begun", "whole"),
    [
        ("clusters", "agent", "ber", ["berlin1"]),
        ("targets", "state", "st", ["stopped"]),
        ("channels", "name", "ngi", ["nginx:1"]),
        ("rollout", "state", "roll", ["rolling_back", "rolled_back"]),
        ("rollout", "kind", "u", ["update"]),
        ("token", "role", "ap", ["approver"]),
        ("window", "cluster", "shop@b", ["shop@berlin1"]),
        ("freeze", "channel", "ghcr.io/acme/w", ["ghcr.io/acme/web:latest"]),
    ],
)
def test_values_are_completed(words: str, option: str, begun: str, whole: list[str]) -> None:
    group: Any = typer.main.get_command(app)
    command = group.commands[words].commands["list"]
    (param,) = [one for one in command.params if f"--{option}" in one.opts]
    context = command.make_context("list", [], resilient_parsing=True)
    assert [one.value for one in param.shell_complete(context, begun)] == whole
