"""Reading commands: tables for people, the manager's documents for programs."""

import json
import re

import pytest
from tests.cli.conftest import Run
from tests.support.fleet_fake import FakeManager
from tests.support.fleet_world import ORCHESTRATOR, WEB, World
from tests.support.waiting import wait_for


def test_the_targets_are_a_table_without_colours_where_there_is_no_terminal(run: Run) -> None:
    ended = run("targets")
    assert ended.code == 0
    assert "shop@paris1/web" in ended.out
    assert "ghcr.io/acme/orchestrator:autonomy-latest" in ended.out
    assert "\x1b" not in ended.out


def test_the_targets_of_one_channel_are_found_by_its_name(run: Run) -> None:
    items = json.loads(run("targets", "--channel", "ghcr.io/acme/web", "--json").out)
    assert [one["name"] for one in items] == ["shop@berlin1/web", "shop@paris1/web"]


def test_a_short_cluster_name_is_enough_where_one_agent_has_it(run: Run) -> None:
    items = json.loads(run("targets", "--cluster", "autonomy", "--json").out)
    assert [one["name"] for one in items] == ["autonomy@berlin1/orchestrator"]


def test_a_short_target_name_is_enough_where_one_agent_has_it(run: Run) -> None:
    assert "autonomy@berlin1/orchestrator" in run("targets", "show", "autonomy/orchestrator").out


def test_a_target_is_shown_with_what_ran_on_it(run: Run) -> None:
    out = run("targets", "show", "autonomy/orchestrator").out
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +by hand +sha256:", out)


def test_a_short_name_of_several_is_refused_with_the_names_that_it_may_be(run: Run) -> None:
    ended = run("targets", "show", "shop/web")
    assert ended.code == 2
    assert "shop@berlin1/web" in ended.err
    assert "shop@paris1/web" in ended.err


@pytest.mark.parametrize(
    ("command", "near"),
    [
        (("targets", "show", "autonomy@berlin1/orchestra"), "autonomy@berlin1/orchestrator"),
        (("targets", "show", "autonomi/orchestrator"), "autonomy/orchestrator"),
        (("clusters", "show", "shop@pari1"), "shop@paris1"),
        (("channels", "show", "ghcr.io/acme/wep:latest"), "ghcr.io/acme/web:latest"),
        (("channels", "show", "ngin:1"), "nginx:1"),
        (("agents", "revoke", "berlin", "--yes"), "berlin1"),
    ],
)
def test_a_misspelt_name_is_told_with_the_one_that_was_meant(run: Run, command: tuple[str, ...], near: str) -> None:
    ended = run(*command)
    assert ended.code == 1
    assert f"Did you mean {near}" in ended.err


def test_a_misspelt_command_is_told_with_the_one_that_was_meant(run: Run) -> None:
    ended = run("rollout", "wach", "1")
    assert ended.code == 2
    assert "watch" in ended.err


def test_a_cluster_is_shown_with_its_targets(run: Run) -> None:
    out = run("clusters", "show", "shop@berlin1").out
    assert "ring=early" in out
    assert "shop@berlin1/web" in out


def test_what_a_watchtower_counts_stands_with_its_cluster_and_its_agent(run: Run, world: World) -> None:
    counts = {"scanned": 5, "updated": 1, "failed": 2, "scans": 7}
    world.watchtower("berlin1", counts)
    said = "Watchtower, last scan: 5 scanned, 1 updated, 2 failed"
    for name, shown in (("shop@berlin1", 1), ("shop@paris1", 0)):
        assert run("clusters", "show", name).out.count(said) == shown
    assert json.loads(run("clusters", "show", "shop@berlin1", "--json").out)["updater"] == counts
    (line,) = [line for line in run("agents").out.splitlines() if said in line]
    assert line.split()[0] == "berlin1"
    world.watchtower("paris1", counts | {"scans": 0})
    assert "Watchtower, no scan yet" in run("clusters", "show", "shop@paris1").out


def test_clusters_are_found_by_a_label(run: Run) -> None:
    items = json.loads(run("clusters", "--label", "ring=early", "--json").out)
    assert [one["name"] for one in items] == ["autonomy@berlin1", "shop@berlin1"]


def test_labels_are_added_and_taken_away_one_by_one(run: Run) -> None:
    assert run("clusters", "label", "shop@berlin1", "site=north", "ring-").out == "shop@berlin1: site=north\n"
    assert json.loads(run("clusters", "show", "shop@berlin1", "--json").out)["labels"] == {"site": "north"}


def test_a_channel_is_found_by_what_people_call_it(run: Run) -> None:
    assert json.loads(run("channels", "show", "nginx:1", "--json").out)["name"] == "docker.io/library/nginx:1"


def test_a_channel_that_targets_follow_is_not_deleted(run: Run) -> None:
    ended = run("channels", "delete", WEB, "--yes")
    assert ended.code != 0
    assert re.search(r"stays: \d+ targets follow it", ended.err)
    assert run("channels", "show", WEB).code == 0


def test_a_channel_is_deleted_after_somebody_has_said_so(run: Run, manager: FakeManager) -> None:
    manager.tell(lambda: manager.state.channel("ghcr.io/acme/old:live"))
    refused = run("channels", "delete", "ghcr.io/acme/old:live")
    assert (refused.code, "write --yes if that is meant" in refused.err) == (2, True)
    assert run("channels", "delete", "ghcr.io/acme/old:live", "--yes").out == "ghcr.io/acme/old:live is gone.\n"
    assert run("channels", "show", "ghcr.io/acme/old:live").code != 0
    manager.tell(lambda: manager.state.channel("ghcr.io/acme/older:live"))
    gone = run("channels", "delete", "ghcr.io/acme/older:live", "--yes", "--json")
    assert json.loads(gone.out)["name"] == "ghcr.io/acme/older:live"


def test_a_release_is_found_by_its_version_its_digest_and_the_digests_beginning(run: Run, world: World) -> None:
    digest = world.digest(WEB, "2")
    for word in ("2", digest, digest[7:13], digest[:15]):
        document = json.loads(run("releases", "show", word, "--channel", WEB, "--json").out)
        assert document["digest"] == digest


def test_a_version_of_several_channels_is_refused_with_what_it_may_be(run: Run) -> None:
    ended = run("releases", "show", "2")
    assert ended.code == 2
    assert "ghcr.io/acme/web:latest 2 sha256:" in ended.err
    assert "ghcr.io/acme/orchestrator:autonomy-latest 2 sha256:" in ended.err


def test_fewer_than_six_digits_of_a_digest_name_no_release(run: Run, world: World) -> None:
    assert run("releases", "show", world.digest(WEB, "2")[7:12], "--channel", WEB).code == 1


@pytest.mark.usefixtures("manager")
def test_what_is_different_in_a_release_is_shown_before_and_after(run: Run) -> None:
    out = run("releases", "changes", "2", "--channel", WEB).out
    assert re.search(r"env MODE +slow +fast", out)
    assert re.search(r"! +user +nobody +root +it runs as root", out)


def test_a_list_is_read_to_its_end_page_by_page(run: Run, world: World, manager: FakeManager) -> None:
    for number in range(3, 1100):
        world.release(WEB, str(number))
    items = json.loads(run("releases", "--channel", WEB, "--json").out)
    assert len(items) == 1099
    assert sum(str(one).startswith("GET /releases") for one in manager.requests) == 3


def test_the_status_tells_agents_and_rollouts_in_words(run: Run) -> None:
    out = run("status").out
    assert "agents online" in out
    all_heard = {"online": 2, "offline": 0}
    wait_for(lambda: json.loads(run("status", "--json").out)["agents"] == all_heard, "both agents heard")


def test_what_an_images_label_says_moves_no_cursor(run: Run, world: World) -> None:
    world.release(WEB, "2\x1b[2J\u202e")
    ended = run("releases", "--channel", WEB)
    assert "2 [2J" in ended.out
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out


@pytest.mark.usefixtures("manager")
def test_alerts_are_the_open_ones_unless_all_are_asked_for(run: Run) -> None:
    assert "not heard of" in run("alerts").out
    assert [len(json.loads(run("alerts", *more, "--json").out)) for more in ((), ("--all",))] == [1, 2]


def test_the_audit_log_is_shown_and_holds(run: Run) -> None:
    run("rollout", "start", ORCHESTRATOR, "2")
    assert "rollout." in run("audit", "list", "--actor", "ann").out
    assert "The audit log holds" in run("audit", "verify").out


def test_an_audit_log_that_was_changed_is_exit_code_1(run: Run, manager: FakeManager) -> None:
    manager.state.rows["audit"] = {1: {}}
    broken = run("audit", "verify")
    assert broken.code == 1
    assert "entry 3 was changed" in broken.err
