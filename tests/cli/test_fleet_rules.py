"""What people set: policies, windows, freezes, quarantine, agents, tokens."""

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Run
from tests.support.fleet_fake import FakeManager, answers, on
from tests.support.fleet_world import ORCHESTRATOR, WEB, World


def test_a_policy_is_changed_where_it_is_named_and_stays_elsewhere(run: Run) -> None:
    ended = run("policy", "set", WEB, "mode=approval", "approvals=2", "waves=1,25%", "windows=0 2 * * 1,2 4h UTC")
    assert ended.code == 0
    document = json.loads(run("policy", "show", WEB, "--json").out)
    assert (document["mode"], document["approvals"], document["waves"]) == ("approval", 2, ["1", "25%"])
    assert document["windows"] == ["0 2 * * 1,2 4h UTC"]
    assert document["soak"] == "0s"


def test_an_empty_value_is_the_default_again(run: Run) -> None:
    assert run("policy", "set", WEB, "soak=").code == 0
    assert json.loads(run("policy", "show", WEB, "--json").out)["soak"] == "5m"


def test_a_policy_is_set_as_a_whole_from_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"mode": "pinned"}')
    assert "pinned" in run("policy", "set", WEB, "--file", str(file)).out
    assert json.loads(run("policy", "show", WEB, "--json").out)["soak"] == "5m"


def test_every_fault_of_a_policy_is_told_with_its_field(run: Run) -> None:
    ended = run("policy", "set", WEB, "mode=automatik", "soak=soon", "sook=1m")
    assert ended.code == 1
    for told in ("mode: 'automatik' is not one of automatic", "soak: 'soon' is not a duration", "Did you mean soak?"):
        assert told in ended.err


@pytest.mark.usefixtures("manager")
def test_how_many_approve_goes_with_the_mode_unless_it_is_named(run: Run) -> None:
    def approvals() -> int:
        return int(json.loads(run("policy", "show", WEB, "--json").out)["approvals"])

    assert run("policy", "set", WEB, "mode=approval").code == 0
    assert approvals() == 1
    run("policy", "set", WEB, "approvals=3")
    run("policy", "set", WEB, "mode=approval", "soak=1m")
    assert approvals() == 3
    assert run("policy", "set", WEB, "mode=automatic", "--yes").code == 0
    assert approvals() == 0


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize("words", [(), ("mode",), ("waves=[1",), ("mode=pinned", "--file", "x.json")])
def test_what_is_no_setting_is_refused_before_anything_is_changed(run: Run, words: tuple[str, ...]) -> None:
    assert run("policy", "set", WEB, *words).code == 2


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize("again", ["soak=2m", "soak=1m", "soak="])
def test_a_setting_that_is_given_twice_is_refused(run: Run, again: str) -> None:
    ended = run("policy", "set", WEB, "soak=1m", again)
    assert (ended.code, "soak is given twice" in ended.err) == (2, True), ended.err


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize("lasts", [("--for", "1h"), ("--to", "2027-01-01")])
def test_a_time_zone_that_nobody_knows_is_named(run: Run, lasts: tuple[str, str]) -> None:
    ended = run("freeze", "add", "z4", *lasts, "--zone", "Mars/X")
    assert ended.code == 2
    assert "--zone Mars/X is not known: use a name such as Europe/Berlin or UTC." in ended.err


def test_a_window_is_added_for_a_channel_listed_and_removed(run: Run) -> None:
    assert run("window", "add", "nights", "0 2 * * 1-5 4h Europe/Berlin", "--channel", WEB).code == 0
    out = run("window", "list").out
    assert "0 2 * * 1-5 4h Europe/Berlin" in out
    assert "ghcr.io/acme/web:latest" in out
    assert run("window", "remove", "nights", "--yes").out == "Window nights is gone.\n"
    assert "No window is set" in run("window").out


def test_what_was_taken_away_is_printed_as_json_when_that_is_asked_for(run: Run) -> None:
    run("window", "add", "nights", NIGHT)
    run("freeze", "add", "incident", "--for", "2h")
    run("agents", "enrol", "rome1")
    for words, name in (
        (("window", "remove", "nights"), "nights"),
        (("freeze", "remove", "incident"), "incident"),
        (("agents", "withdraw", "rome1"), "rome1"),
    ):
        yes = () if words[0] == "agents" else ("--yes",)
        ended = run(*words, *yes, "--json")
        assert (ended.code, json.loads(ended.out)["name"]) == (0, name)


@pytest.mark.usefixtures("manager")
def test_a_window_that_cannot_be_read_is_refused_with_what_it_takes(run: Run) -> None:
    ended = run("window", "add", "nights", "at night")
    assert ended.code == 2
    assert "CRON DURATION [ZONE]" in ended.err


def test_a_freeze_lasts_to_the_end_of_its_last_day_in_its_zone(run: Run) -> None:
    dates = ("--from", "2026-12-20", "--to", "2027-01-03", "--zone", "Europe/Berlin")
    assert run("freeze", "add", "year end", *dates, "--reason", "holidays", "--label", "ring=early").code == 0
    (one,) = json.loads(run("freeze", "list", "--json").out)
    assert (one["starts_at"], one["ends_at"]) == ("2026-12-19T23:00:00Z", "2027-01-03T23:00:00Z")
    assert one["scope"] == {"channels": [], "clusters": [], "labels": {"ring": "early"}}


@pytest.mark.parametrize("length", [("--to", "2026-12-20T06:00"), ("--for", "6h")])
def test_a_freeze_is_of_the_zone_that_is_named_whatever_that_is_called(run: Run, length: tuple[str, str]) -> None:
    assert run("freeze", "add", "sale", "--from", "2026-12-20T00:00", *length, "--zone", "Japan").code == 0
    (one,) = json.loads(run("freeze", "list", "--json").out)
    assert (one["starts_at"], one["ends_at"]) == ("2026-12-19T15:00:00Z", "2026-12-19T21:00:00Z")
    ended = run("freeze", "add", "typo", "--from", "2026-12-20T00:00", *length, "--zone", "Nope")
    assert ended.code == 2
    assert "Nope" in ended.err


def test_what_is_the_id_of_one_and_the_name_of_another_is_taken_for_neither(run: Run) -> None:
    def add(name: str) -> str:
        return str(json.loads(run("window", "add", name, "0 2 * * * 4h UTC", "--yes", "--json").out)["id"])

    nights = add("nights")
    other = add(nights)
    ended = run("window", "remove", nights)
    assert ended.code == 2
    assert f"{nights} (nights)" in ended.err
    assert f"{other} ({nights})" in ended.err
    assert run("window", "remove", "nights", "--yes").code == 0
    assert run("window", "remove", nights, "--yes").code == 0


@pytest.mark.parametrize(
    ("start", "span"),
    [
        ("2026-03-29T01:30", ("2026-03-29T00:30:00Z", "2026-03-29T02:30:00Z")),
        ("2026-10-25T01:30", ("2026-10-24T23:30:00Z", "2026-10-25T01:30:00Z")),
    ],
)
def test_a_freeze_lasts_as_long_as_it_says_where_clocks_change(run: Run, start: str, span: tuple[str, str]) -> None:
    """In spring the hour from 2 to 3 is left out, in autumn it comes twice."""
    length = ("--from", start, "--zone", "Europe/Berlin", "--for", "2h")
    assert run("freeze", "add", "night", *length).code == 0
    (one,) = json.loads(run("freeze", "list", "--json").out)
    assert (one["starts_at"], one["ends_at"]) == span


def test_a_freeze_that_is_over_already_is_told(run: Run) -> None:
    ended = run("freeze", "add", "typo", "--from", "2020-12-20", "--to", "2021-01-03", "--reason", "holidays")
    assert ended.code == 0
    assert "over" in ended.out
    assert "over" not in run("freeze", "add", "incident", "--for", "2h").out


def test_a_freeze_begins_now_where_only_its_length_is_told(run: Run) -> None:
    assert run("freeze", "add", "incident", "--for", "2h", "--reason", "database").code == 0
    assert "database" in run("freeze").out
    assert run("freeze", "remove", "incident", "--yes").code == 0


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize("words", [(), ("--to", "2027-01-01", "--for", "2h"), ("--for", "a while")])
def test_a_freeze_without_an_end_is_refused(run: Run, words: tuple[str, ...]) -> None:
    assert run("freeze", "add", "x", *words).code == 2


def test_a_window_or_freeze_that_is_not_there_is_told_with_the_one_that_was_meant(run: Run) -> None:
    run("freeze", "add", "year-end", "--for", "2h")
    ended = run("freeze", "remove", "yearend")
    assert ended.code == 1
    assert "Did you mean year-end?" in ended.err


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize(
    "words",
    [
        ("agents", "enrol", "rome1", "--label", "ring=late", "--label", "ring=early"),
        ("window", "add", "nights", "0 2 * * * 4h", "--label", "ring=late", "--label", "ring=early"),
        ("clusters", "label", "shop@berlin1", "ring=late", "ring=early"),
    ],
)
def test_a_label_with_two_values_is_refused(run: Run, words: tuple[str, ...]) -> None:
    ended = run(*words)
    assert (ended.code, ended.out) == (2, "")
    assert "ring is given two values, 'late' and 'early'" in ended.err


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize("words", [("token", "create", "bob", "viewer"), ("agents", "enrol", "rome1")])
def test_what_expires_at_once_is_not_made(run: Run, words: tuple[str, ...]) -> None:
    ended = run(*words, "--expires", "0s")
    assert (ended.code, ended.out) == (2, "")
    assert "longer than 0" in ended.err


def asked(run: Run, *words: str) -> bool:
    """Whether it is done only where it is meant; then it is."""
    ended = run(*words)
    if ended.code == 0:
        return False
    assert (ended.code, "write --yes if that is meant" in ended.err) == (2, True), ended.err
    again = run(*words, "--yes")
    assert again.code == 0, again.err
    return True


def test_what_lets_updates_begin_is_asked_for(run: Run) -> None:
    run("window", "add", "nights", "0 2 * * * 4h UTC")
    run("freeze", "add", "incident", "--for", "2h")
    run("freeze", "add", "past", "--from", "2020-12-20", "--to", "2021-01-03")
    for kind, name in (("window", "nights"), ("freeze", "incident")):
        ended = run(kind, "remove", name)
        assert (ended.code, name in ended.err, "--yes" in ended.err) == (2, True, True)
    assert run("freeze", "remove", "past").code == 0  # it holds nothing back
    assert run("policy", "set", WEB, "mode=pinned").code == 0
    ended = run("policy", "set", WEB, "mode=automatic")
    assert (ended.code, "go out by themselves" in ended.err) == (2, True)
    assert run("policy", "set", WEB, "mode=automatic", "--yes").code == 0
    assert run("policy", "set", WEB, "mode=automatic", "soak=1m").code == 0  # as it was
    for kind, name in (("window", "nights"), ("freeze", "incident")):
        assert run(kind, "remove", name, "--yes").code == 0


NIGHT, NOON = "0 2 * * * 4h UTC", "0 12 * * * 1h UTC"
YEAR_END, LONGER, SHORTER = "2090-12-20/2091-01-03", "2090-12-20/2091-01-04", "2090-12-21/2091-01-03"


@pytest.mark.parametrize(
    ("before", "after", "wide"),
    [
        ("windows=", f"windows={NIGHT}", False),
        (f"windows={NIGHT}", f"windows={NIGHT}", False),
        (f"windows={NIGHT}", f"windows={NIGHT};{NOON}", True),
        (f"windows={NIGHT}", "windows=", True),
        ("freezes=", f"freezes={YEAR_END}", False),
        (f"freezes={YEAR_END}", f"freezes={LONGER}", False),
        (f"freezes={YEAR_END}", f"freezes={SHORTER}", True),
        (f"freezes={YEAR_END}", "freezes=", True),
        ("freezes=2020-12-20/2021-01-03", "freezes=", False),
    ],
)
def test_a_policys_windows_and_freezes_that_let_updates_begin_are_asked_for(
    run: Run, before: str, after: str, *, wide: bool
) -> None:
    assert run("policy", "set", WEB, before).code == 0
    assert asked(run, "policy", "set", WEB, after) is wide


@pytest.mark.parametrize(("scope", "wide"), [((), True), (("--channel", ORCHESTRATOR), False)])
def test_a_policys_first_window_is_asked_for_where_others_hold_beside_it(
    run: Run, scope: tuple[str, ...], *, wide: bool
) -> None:
    assert run("window", "add", "nights", NIGHT, *scope).code == 0
    assert asked(run, "policy", "set", WEB, f"windows={NOON}") is wide


@pytest.mark.parametrize(
    ("first", "second", "wide"),
    [
        ((), ("--channel", WEB), True),
        (("--channel", WEB), ("--channel", WEB), True),
        (("--channel", WEB), ("--channel", ORCHESTRATOR), False),
        (("--cluster", "shop@berlin1"), ("--cluster", "shop@paris1"), False),
        (("--label", "ring=early"), ("--label", "ring=late"), False),
        (("--label", "ring=early"), ("--label", "site=north"), True),
    ],
)
def test_a_window_beside_others_for_the_same_is_asked_for(
    run: Run, first: tuple[str, ...], second: tuple[str, ...], *, wide: bool
) -> None:
    assert run("window", "add", "nights", NIGHT, *first).code == 0
    assert asked(run, "window", "add", "noon", NOON, *second) is wide


@pytest.mark.parametrize(("channel", "wide"), [(WEB, True), (ORCHESTRATOR, False)])
def test_a_window_beside_those_of_a_policy_is_asked_for(run: Run, channel: str, *, wide: bool) -> None:
    assert run("policy", "set", WEB, f"windows={NIGHT}").code == 0
    assert asked(run, "window", "add", "noon", NOON, "--channel", channel) is wide


@pytest.mark.parametrize(("mode", "wide"), [("automatic", True), ("pinned", False)])
def test_letting_a_release_out_of_quarantine_is_asked_for_where_it_may_go_out_by_itself(
    run: Run, world: World, mode: str, *, wide: bool
) -> None:
    world.policy(WEB, mode=mode)
    assert run("quarantine", "add", "2", "--channel", WEB, "--yes").code == 0
    assert asked(run, "quarantine", "release", world.digest(WEB, "2")) is wide


def test_a_file_that_says_nothing_of_the_mode_makes_a_policy_automatic_and_is_asked_for(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"soak": "1m"}')
    assert run("policy", "set", WEB, "mode=pinned").code == 0
    assert asked(run, "policy", "set", WEB, "--file", str(file))


def test_nobody_is_asked_about_a_policy_that_cannot_be_used(run: Run, tmp_path: Path) -> None:
    assert run("policy", "set", WEB, "mode=pinned", f"windows={NIGHT}").code == 0
    for words, told in ((("mode=automatic", "soak=soon"), "soak: 'soon' is not"), (("windows=at night",), "windows: ")):
        ended = run("policy", "set", WEB, *words)
        assert (ended.code, told in ended.err, "--yes" in ended.err) == (1, True, False), ended.err
    file = tmp_path / "policy.json"
    file.write_text("[]")
    assert "a policy is a JSON object" in run("policy", "set", WEB, "--file", str(file)).err


@pytest.mark.usefixtures("as_user")
def test_a_setting_of_a_newer_manager_is_no_fault_where_it_stays(run: Run, manager: FakeManager) -> None:
    newer = {"mode": "pinned", "colour": "green"}
    manager.faults.append(on("GET", "/policies/", answers(200, json.dumps(newer), "application/json")))
    ended = run("policy", "set", WEB, "mode=automatic")
    assert "go out by themselves" in ended.err


def test_quarantine_that_has_many_go_back_is_asked_for(run: Run, world: World) -> None:
    world.silence()
    run("rollout", "start", WEB, "2", "--yes")
    ended = run("quarantine", "add", "2", "--channel", WEB)
    assert (ended.code, "goes back where it is on its way" in ended.err) == (2, True)
    assert world.digest(WEB, "2")[7:19] not in run("quarantine").out


def test_a_release_goes_into_quarantine_and_out_of_it(run: Run, world: World) -> None:
    digest = world.digest(WEB, "2")
    assert run("quarantine", "add", "2", "--channel", WEB, "--reason", "leaks").code == 0
    assert digest[7:19] in run("quarantine").out
    refused = run("rollout", "start", WEB, "2", "--yes")
    assert (refused.code, "quarantine" in refused.err) == (1, True)
    assert run("quarantine", "release", digest[7:15], "--yes").code == 0
    assert run("quarantine").out == "Nothing is in quarantine.\n"


def test_tokens_of_one_name_are_told_apart_where_one_is_revoked_by_it(run: Run) -> None:
    for role in ("viewer", "approver"):
        assert run("token", "create", "bob", role).code == 0
    ended = run("token", "revoke", "bob")
    assert ended.code == 2
    for role in ("viewer", "approver"):
        assert re.search(rf" \d+ \(bob of bob, {role}, never used\)\n", ended.err), ended.err


def test_a_freeze_lasts_some_time(run: Run) -> None:
    ended = run("freeze", "add", "now", "--for", "0s")
    assert (ended.code, ended.out) == (2, "")
    assert "--for 0s is no time at all; it takes a duration such as 2h or 1d." in ended.err


def test_a_token_for_an_agent_is_the_only_line_of_the_output(run: Run) -> None:
    ended = run("agents", "enrol", "rome1", "--label", "ring=late", "--expires", "1h")
    assert re.fullmatch(r"t\w_\S+\n", ended.out)
    assert "for rome1" in ended.err
    assert "TIDEGATE_ENROL_TOKEN" in ended.err


def test_a_new_token_is_written_to_a_file_that_only_its_owner_can_read(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "token"
    ended = run("token", "create", "bob", "approver", "--name", "phone", "--expires", "30d", "--out", str(file))
    assert ended.code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() not in ended.out + ended.err
    again = run("token", "create", "bob", "approver", "--out", str(file))
    assert again.code == 2


def test_no_token_is_made_where_it_cannot_be_kept(run: Run, tmp_path: Path) -> None:
    before = json.loads(run("token", "list", "--json").out)
    ended = run("token", "create", "bob", "approver", "--out", str(tmp_path / "nowhere/token"))
    assert ended.code == 2
    assert "no token was made" in ended.err
    assert json.loads(run("token", "list", "--json").out) == before


def test_a_file_for_a_token_is_gone_where_none_was_made(
    run: Run, as_user: Callable[[str], None], tmp_path: Path
) -> None:
    as_user("viewer")
    assert run("token", "create", "bob", "approver", "--out", str(tmp_path / "token")).code == 4
    assert not (tmp_path / "token").exists()


def test_a_token_for_an_agent_is_listed_until_it_is_withdrawn(run: Run) -> None:
    run("agents", "enrol", "rome1", "--label", "ring=late")
    listed = run("agents", "enrolments").out
    assert "rome1" in listed
    assert "ring=late" in listed
    assert "for rome1, is withdrawn" in run("agents", "withdraw", "rome1").out
    assert "no token with which an agent can join" in run("agents", "enrolments").out
    assert "withdrawn at" in run("agents", "enrolments", "--all").out
    assert run("agents", "withdraw", "rome1").code == 1


def test_a_token_for_any_agent_is_withdrawn_by_its_id(run: Run) -> None:
    run("agents", "enrol")
    (one,) = json.loads(run("agents", "enrolments", "--json").out)
    assert "token" not in one or "secret" not in str(one["token"])
    assert f"Enrolment {one['id']}, for any agent" in run("agents", "withdraw", str(one["id"])).out


def test_a_token_is_revoked_by_its_name(run: Run) -> None:
    run("token", "create", "bob", "approver", "--name", "phone")
    assert "of bob is revoked" in run("token", "revoke", "phone").out
    assert "revoked at" in run("token").out
    assert run("token", "revoke", "phone").code == 1


def test_an_agent_is_cut_off_only_when_that_is_meant(run: Run) -> None:
    ended = run("agents", "revoke", "berlin1")
    assert ended.code == 2
    assert "2 targets in 2 clusters" in ended.err
    assert run("agents", "revoke", "berlin1", "--yes").code == 0
    assert "cut off at" in run("agents").out
