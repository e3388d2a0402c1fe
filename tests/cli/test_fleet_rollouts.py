"""Rollouts from the command line: begun, approved, stopped, put back."""

import io
import json
import sys
from collections.abc import Callable

import pytest
from tests.cli.conftest import Run
from tests.support.fleet_fake import FakeManager
from tests.support.fleet_world import ORCHESTRATOR, WEB, World

AsUser = Callable[..., None]


class Keyboard(io.StringIO):
    """A terminal at which somebody types this."""

    def isatty(self) -> bool:
        return True


def writes(manager: FakeManager) -> list[str]:
    return [str(one) for one in manager.requests if one.method != "GET"]


def running(run: Run, world: World, channel: str) -> set[str]:
    """The versions that run on a channel's targets once nothing goes on by itself."""
    world.settle()
    return {one["version"] for one in json.loads(run("targets", "--channel", channel, "--json").out)}


def test_a_release_goes_to_the_only_target_without_a_question(run: Run, world: World) -> None:
    ended = run("rollout", "start", ORCHESTRATOR, "2", "--reason", "a fix")
    assert ended.code == 0
    assert "1 target in 1 wave" in ended.out
    assert running(run, world, ORCHESTRATOR) == {"2"}


def test_what_goes_to_several_targets_is_refused_where_nobody_can_be_asked(run: Run, manager: FakeManager) -> None:
    ended = run("rollout", "start", WEB, "2")
    assert ended.code == 2
    assert "2 targets in 2 clusters" in ended.err
    assert "--yes" in ended.err
    assert writes(manager) == []


@pytest.mark.parametrize(("typed", "goes"), [("y\n", {"2"}), ("n\n", {"1"}), ("", {"1"})])
def test_what_goes_to_several_targets_is_asked_for_at_a_terminal(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch, typed: str, goes: set[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    ended = run("rollout", "start", WEB, "2")
    assert ended.code == (0 if goes == {"2"} else 1)
    assert "2 targets in 2 clusters. Go on?" in ended.err
    assert running(run, world, WEB) == goes


def test_yes_asks_nobody(run: Run, world: World) -> None:
    assert run("rollout", "start", WEB, "2", "--yes").code == 0
    assert running(run, world, WEB) == {"2"}


def test_a_rollout_may_go_to_some_of_the_targets_only(run: Run, world: World) -> None:
    ended = run("rollout", "start", WEB, "2", "--cluster", "shop@paris1")
    assert "1 target in 1 wave" in ended.out
    assert running(run, world, WEB) == {"1", "2"}


def test_a_target_that_does_not_follow_the_channel_is_refused(run: Run) -> None:
    ended = run("rollout", "start", WEB, "2", "--target", "autonomy/orchestrator")
    assert ended.code == 1
    assert "autonomy@berlin1/orchestrator does not follow ghcr.io/acme/web:latest" in ended.err


def test_who_is_monitored_only_is_refused_by_name_and_else_left_out(run: Run, world: World) -> None:
    world.monitor("shop@berlin1/web")
    ended = run("rollout", "start", WEB, "2", "--target", "shop@berlin1/web", "--target", "shop@paris1/web")
    assert ended.code == 1
    assert "shop@berlin1/web is monitored only, as it is set where it runs: leave it out" in ended.err
    assert "1 target in 1 wave" in run("rollout", "start", WEB, "2").out
    assert running(run, world, WEB) == {"1", "2"}


def test_a_time_without_a_zone_is_the_persons_own(
    run: Run, manager: FakeManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "UTC")
    assert run("rollout", "start", ORCHESTRATOR, "2", "--not-before", "tomorrow").code == 2
    assert writes(manager) == []


def test_a_rollout_waits_for_somebody_else_to_approve_it(run: Run, world: World, as_user: AsUser) -> None:
    world.policy(ORCHESTRATOR, approvals=1)
    as_user("operator", "ann")
    begun = json.loads(run("rollout", "start", ORCHESTRATOR, "2", "--json").out)
    assert begun["state"] == "awaiting_approval"
    as_user("approver", "ann")
    own = run("rollout", "approve", str(begun["id"]))
    assert own.code == 1
    assert "somebody else has to approve it" in own.err
    as_user("approver", "bob")
    assert "ghcr.io/acme/orchestrator" in run("rollout", "approve", str(begun["id"])).out
    assert running(run, world, ORCHESTRATOR) == {"2"}


def test_who_may_not_do_something_is_told_who_may(run: Run, as_user: AsUser) -> None:
    as_user("viewer", "eve")
    ended = run("rollout", "start", ORCHESTRATOR, "2")
    assert ended.code == 4
    assert "accepted: operator, admin" in ended.err


def test_a_rollout_is_paused_resumed_and_aborted(run: Run, world: World) -> None:
    world.silence()
    number = str(json.loads(run("rollout", "start", WEB, "2", "--yes", "--json").out)["id"])
    assert "paused by ann: lunch" in run("rollout", "pause", number, "--reason", "lunch").out
    assert run("rollout", "resume", number, "--yes").code == 0
    assert "cancelled" in run("rollout", "abort", number, "--yes").out
    again = run("rollout", "pause", number)
    assert again.code == 1
    assert "it has ended; start a new one" in again.err


def completed(run: Run, world: World, channel: str, version: str = "2") -> str:
    """The number of a rollout that has brought a release to all of a channel."""
    number = str(json.loads(run("rollout", "start", channel, version, "--yes", "--json").out)["id"])
    assert running(run, world, channel) == {version}
    return number


def test_a_rollout_that_has_completed_is_rolled_back_too(run: Run, world: World) -> None:
    number = completed(run, world, WEB)
    asked = run("rollout", "rollback", number)
    assert (asked.code, f"Rollout {number} goes back: 2 targets in 2 clusters to" in asked.err) == (2, True)
    assert running(run, world, WEB) == {"2"}
    ended = run("rollout", "rollback", number, "--yes")
    assert (ended.code, "Nothing has to go back" in ended.out) == (0, False), ended.err
    assert running(run, world, WEB) == {"1"}
    again = run("rollout", "rollback", number, "--yes")
    assert again.code == 1
    assert f"rollout {number} is completed, and nothing that it has updated runs its release now" in again.err


def test_the_targets_of_a_rollout_go_to_an_earlier_release_that_is_named(run: Run, world: World) -> None:
    world.release(WEB, "3")
    completed(run, world, WEB)
    number = completed(run, world, WEB, "3")
    assert run("rollout", "rollback", number, "--to", "1", "--yes").code == 0
    assert running(run, world, WEB) == {"1"}


def test_a_rollout_under_way_is_stopped_where_its_targets_go_further_back(run: Run, world: World) -> None:
    world.release(WEB, "3")
    completed(run, world, WEB)
    world.policy(WEB, soak="1h")
    number = str(json.loads(run("rollout", "start", WEB, "3", "--yes", "--json").out)["id"])
    assert running(run, world, WEB) == {"2", "3"}
    assert run("rollout", "rollback", number, "--to", "1", "--yes").code == 0
    assert running(run, world, WEB) == {"1"}
    assert "cancelled" in run("rollout", "show", number).out


def test_the_next_wave_is_opened_by_hand(run: Run, world: World) -> None:
    world.policy(WEB, soak="1h")
    number = str(json.loads(run("rollout", "start", WEB, "2", "--yes", "--json").out)["id"])
    assert running(run, world, WEB) == {"1", "2"}
    assert run("rollout", "advance", number).code == 0
    assert running(run, world, WEB) == {"2"}


def test_a_release_that_fails_is_shown_with_the_reason_of_the_target(run: Run, world: World) -> None:
    world.bad(world.digest(WEB, "2"), "never healthy")
    number = str(json.loads(run("rollout", "start", WEB, "2", "--yes", "--json").out)["id"])
    world.settle()
    assert "never healthy" in run("rollout", "show", number, "--changes").out
    assert running(run, world, WEB) == {"1"}


def test_rollouts_are_listed_by_their_state(run: Run, world: World) -> None:
    run("rollout", "start", ORCHESTRATOR, "2")
    world.settle()
    assert "completed" in run("rollout", "list").out
    assert run("rollout", "list", "--state", "paused").out == "There is no such rollout.\n"


def test_a_running_rollout_is_rolled_back_as_a_whole(run: Run, world: World) -> None:
    world.policy(WEB, soak="1h", waves=[])
    number = str(json.loads(run("rollout", "start", WEB, "2", "--yes", "--json").out)["id"])
    world.settle()
    asked = run("rollout", "rollback", number)
    assert (asked.code, "2 targets in 2 clusters" in asked.err) == (2, True)
    ended = run("rollout", "rollback", number, "--yes")
    assert (ended.code, f"Rollout {number}: " in ended.out, "Nothing has" in ended.out) == (0, True, False)
    assert running(run, world, WEB) == {"1"}


@pytest.mark.parametrize(
    ("what", "back", "code"),
    [("shop@paris1/web", {"1", "2"}, 0), ("shop@paris1", {"1", "2"}, 1), (WEB, {"1"}, 0)],
)
def test_one_command_puts_a_target_a_cluster_or_a_channel_back(
    run: Run, world: World, what: str, back: set[str], code: int
) -> None:
    """The cluster has a proxy of which nothing is known to have run before."""
    run("rollout", "start", WEB, "2", "--yes")
    world.settle()
    assert run("rollback", what, "--reason", "slow", "--yes").code == code
    assert running(run, world, WEB) == back


def test_a_cluster_goes_back_and_what_stays_behind_is_named(run: Run, world: World) -> None:
    run("rollout", "start", WEB, "2", "--yes")
    world.settle()
    ended = run("rollback", "shop@paris1", "--yes")
    assert ended.code == 1
    assert "shop@paris1/proxy does not go back: nothing is known to have run there before" in ended.err
    assert running(run, world, WEB) == {"1", "2"}


def test_an_earlier_release_than_the_one_before_is_named(run: Run, world: World) -> None:
    world.release(WEB, "3")
    for version in ("2", "3"):
        run("rollout", "start", WEB, version, "--yes")
        world.settle()
    assert run("rollback", WEB, "--to", "1", "--yes").code == 0
    assert running(run, world, WEB) == {"1"}


def test_a_whole_digest_need_not_be_of_a_release_to_go_back_to(run: Run, manager: FakeManager) -> None:
    """As where somebody has put something there by hand that is to stay."""
    target = json.loads(run("targets", "--channel", WEB, "--json").out)[0]["name"]
    run("rollback", target, "--to", f"sha256:{'e' * 64}")
    assert len(writes(manager)) == 1


def test_a_rollback_of_several_targets_is_refused_where_nobody_can_be_asked(run: Run, world: World) -> None:
    run("rollout", "start", WEB, "2", "--yes")
    world.settle()
    ended = run("rollback", WEB)
    assert ended.code == 2
    assert "2 targets in 2 clusters" in ended.err
    assert running(run, world, WEB) == {"2"}


def test_who_is_asked_is_shown_where_targets_would_go(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = json.loads(run("targets", "--channel", WEB, "--json").out)[0]["digest"]
    run("rollout", "start", WEB, "2", "--yes")
    world.settle()
    monkeypatch.setattr(sys, "stdin", Keyboard("y\n"))
    asked = run("rollback", WEB)
    assert (asked.code, first[7:19] in asked.err) == (0, True), asked.err
    assert running(run, world, WEB) == {"1"}


def test_a_number_alone_is_not_put_back(run: Run) -> None:
    ended = run("rollback", "3")
    assert ended.code == 2
    assert "tidegate rollout rollback 3" in ended.err
