"""What somebody is told who does not know the command line yet."""

import re
from collections.abc import Callable
from pathlib import Path
from time import tzset

import pytest
from aiohttp import web
from tests.cli.conftest import Run
from tests.support.fleet_fake import FakeManager
from tests.support.fleet_world import World

from tidegate.cli.fleet.complete import complete_action
from tidegate.cli.fleet.model import read_rollout
from tidegate.cli.fleet.rollout import state_text

UNREADABLE = "The image of the release before could not be read: it is gone from the registry."


@pytest.fixture
def nobody(run: Run, manager: FakeManager) -> Run:
    """Runs commands against a manager that knows of no agent and no channel."""
    state = manager.state
    for them in (state.hosts, state.targets, state.channels, state.releases):
        them.clear()
    return run


def _unreadable(manager: FakeManager) -> None:
    async def fault(request: web.Request, _: object) -> web.StreamResponse | None:
        document: dict[str, object] = {"before": None, "after": None, "changes": [], "note": UNREADABLE}
        return web.json_response(document) if request.path.endswith("/changes") else None

    manager.faults.append(fault)


def test_what_could_not_be_read_is_not_told_to_be_the_same(run: Run, manager: FakeManager) -> None:
    _unreadable(manager)
    ended = run("releases", "changes", "2", "--channel", "ghcr.io/acme/web:latest")
    assert ended.out == f"What is different is not known:\n{UNREADABLE}\n"


def test_a_person_is_asked_before_the_own_token_is_revoked(run: Run, as_user: Callable[[str], None]) -> None:
    run("token", "create", "bob", "admin", "--name", "spare")
    as_user("admin")
    mine = re.findall(r"^ *(\d+) +ann +admin", run("token").out, re.MULTILINE)
    refused = [one for one in mine if run("token", "revoke", one).code == 2]
    assert len(refused) == 1
    assert run("token", "revoke", refused[0], "--yes").code == 0


@pytest.mark.usefixtures("manager")
def test_a_person_is_asked_before_no_administrators_token_is_left(run: Run) -> None:
    (mine,) = re.findall(r"^ *(\d+) +ann +admin", run("token").out, re.MULTILINE)
    ended = run("token", "revoke", mine)
    assert ended.code == 2
    assert "no administrator's token is left" in ended.err


def test_another_administrators_token_is_revoked_at_once(run: Run) -> None:
    run("token", "create", "bob", "admin", "--name", "spare")
    assert run("token", "revoke", "spare").code == 0


def test_who_has_no_token_any_more_is_told_how_one_is_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_TOKEN", "tg_9_nobodys")
    ended = run("targets")
    assert ended.code == 4
    assert "`tidegate manager create-token NAME --role admin`, where the manager runs" in ended.err


@pytest.mark.parametrize("command", [("agents", "enrol", "rome1"), ("token", "create", "bob", "viewer")])
def test_the_file_in_which_a_token_is_kept_is_named(run: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "token"
    assert run(*command, "--out", str(file)).out == f"written to {file}\n"


@pytest.mark.parametrize(("out", "variable"), [(True, "TIDEGATE_ENROL_TOKEN_FILE,"), (False, "TIDEGATE_ENROL_TOKEN,")])
def test_the_variable_that_takes_an_agents_token_is_named(
    run: Run, tmp_path: Path, variable: str, *, out: bool
) -> None:
    more = ("--out", str(tmp_path / "token")) if out else ()
    assert f"takes it as {variable}" in run("agents", "enrol", "rome1", *more).err


@pytest.mark.usefixtures("manager")
def test_alerts_are_told_with_how_soon_somebody_should_look(run: Run) -> None:
    out = run("alerts").out
    assert "severity" in out
    assert "warning" in out


def test_what_a_target_runs_is_not_told_as_new_where_its_agent_was_revoked(run: Run) -> None:
    run("agents", "revoke", "berlin1", "--yes")
    lines = run("targets").out.splitlines()
    assert [("agent revoked" in line) for line in lines if "@berlin1" in line] == [True, True]
    assert not any("agent revoked" in line for line in lines if "@paris1" in line)


def test_what_a_target_runs_is_not_told_as_new_where_its_agent_is_away(run: Run, manager: FakeManager) -> None:
    manager.state.hosts["paris1"].online = False
    lines = run("clusters", "show", "shop@paris1").out.splitlines()
    assert all("agent offline" in line for line in lines if "shop@paris1/" in line)


def test_rollouts_are_told_with_when_they_were_asked_for(run: Run, world: World) -> None:
    run("rollout", "start", "ghcr.io/acme/web:latest", "2", "--yes")
    world.settle()
    out = run("rollout", "list").out
    assert "asked at" in out
    assert "begun at" not in out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("targets",), "`tidegate agents enrol`"),
        (("clusters",), "`tidegate agents enrol`"),
        (("rollout", "list"), "`tidegate rollout start CHANNEL RELEASE`"),
        (("targets", "--state", "running"), "There is no such target."),
        (("clusters", "--label", "ring=early"), "There is no such cluster."),
        (("rollout", "list", "--state", "running"), "There is no such rollout."),
    ],
)
def test_a_list_that_is_empty_says_what_to_do_next(nobody: Run, command: tuple[str, ...], said: str) -> None:
    assert said in nobody(*command).out


@pytest.mark.parametrize(("revoked", "warned"), [(False, True), (True, False)])
def test_a_name_that_an_agent_has_is_warned_of(run: Run, *, revoked: bool, warned: bool) -> None:
    if revoked:
        run("agents", "revoke", "berlin1", "--yes")
    ended = run("agents", "enrol", "berlin1")
    assert ended.code == 0
    assert ("berlin1 is let in already; revoke it first" in ended.err) is warned


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("rollout", "show", "x"), "it takes a whole number"),
        (("rollout", "show", "0"), "the least that it takes is 1"),
        (("rollout", "list", "--limit", "0"), "the least that it takes is 1"),
        (("rollout", "list", "--limit", "501"), "the most that it takes is 500"),
        (("targets", "--timeout", "x"), "it takes a number"),
        (("rollout", "list", "--state", "runing"), "Did you mean running?"),
        (("token", "create", "bob", "aprover"), "Did you mean approver?"),
        (("alerts", "acknowledge", "0"), "the least that it takes is 1"),
    ],
)
def test_what_is_not_taken_is_refused_in_plain_words(run: Run, command: tuple[str, ...], said: str) -> None:
    ended = run(*command)
    words = " ".join(ended.err.replace("│", " ").split())
    assert (ended.code, ended.out) == (2, "")
    assert said in words
    assert "Input should" not in words
    assert "Value error" not in words


def test_a_channel_has_no_id_0(run: Run) -> None:
    assert "There is no channel '0'" in run("channels", "show", "0").err


@pytest.mark.parametrize(
    ("command", "near"),
    [
        (("channels", "show", "acme/orchestrator"), "ghcr.io/acme/orchestrator:autonomy-latest"),
        (("rollback", "proxy"), "shop@paris1/proxy"),
        (("rollback", "web"), "shop@paris1/web or shop@berlin1/web"),
        (("targets", "show", "paris/proxy"), "shop@paris1/proxy"),
    ],
)
def test_a_part_of_a_name_is_told_with_the_whole_one(run: Run, command: tuple[str, ...], near: str) -> None:
    assert near in run(*command).err


def test_a_freeze_that_would_be_over_when_it_begins_is_refused_as_that(run: Run) -> None:
    ended = run("freeze", "add", "late", "--to", "2020-01-01")
    assert ended.code == 2
    assert "--to 2020-01-01 is over already; a freeze without --from begins now." in ended.err
    assert "cannot be read" in run("freeze", "add", "late", "--to", "soon").err


def test_a_policy_is_shown_as_it_is_set(run: Run) -> None:
    run("policy", "set", "ghcr.io/acme/web:latest", "waves=1,50%")
    shown = re.search(r"^waves +(\S+)$", run("policy", "show", "ghcr.io/acme/web:latest").out, re.MULTILINE)
    assert shown
    assert shown[1] == "1,50%"


@pytest.mark.parametrize("time", ["2036-12-01T22:00", "2036-12-01T23:00+01:00"])
def test_a_time_without_a_zone_is_in_utc(
    run: Run, manager: FakeManager, monkeypatch: pytest.MonkeyPatch, time: str
) -> None:
    bodies: list[str] = []

    async def fault(request: web.Request, _: object) -> web.StreamResponse | None:
        if request.method == "POST":
            bodies.append(await request.text())
        return None

    manager.faults.append(fault)
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        tzset()
        run("rollout", "start", "ghcr.io/acme/web:latest", "2", "--not-before", time, "--yes")
    tzset()
    assert "2036-12-01T22:00:00Z" in bodies[0]


@pytest.mark.usefixtures("manager")
@pytest.mark.parametrize("group", ["targets", "rollout", "agents"])
def test_the_help_of_a_group_says_that_it_lists_without_a_command(run: Run, group: str) -> None:
    assert "Without a command it lists." in " ".join(run(group, "--help").out.split())


@pytest.mark.usefixtures("manager", "as_user")
def test_an_action_that_was_logged_is_completed() -> None:
    assert complete_action("rollout.s") == ["rollout.start"]


@pytest.mark.parametrize(
    ("state", "reason", "told"),
    [
        ("paused", "paused by ann", "paused by ann"),
        ("paused", "too many failed", "paused: too many failed"),
        ("rolling_back", "", "rolling back"),
    ],
)
def test_a_state_is_not_told_twice(state: str, reason: str, told: str) -> None:
    assert state_text(read_rollout({"state": state, "reason": reason})) == told


def test_a_flag_is_told_without_a_type(run: Run) -> None:
    line = next(line for line in run("rollout", "start", "--help").out.splitlines() if "--yes" in line)
    assert "bool" not in line


def test_where_a_release_to_be_held_is_looked_up_is_no_limit_to_the_hold(run: Run) -> None:
    assert "held on every channel" in " ".join(run("quarantine", "add", "--help").out.replace("│", " ").split())
