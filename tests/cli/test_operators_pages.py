"""The pages for operators: every command to the manager in their sentences does what it is named for."""

import json
import re
import shlex
from collections.abc import Callable

import pytest
from tests.cli.conftest import Run
from tests.support.fleet_world import ORCHESTRATOR, WEB, World
from tests.support.pages import ROOT, spans_of

PAGES = ("ORCHESTRATOR_AUTOUPDATE", "operations", "manager-operations")
OTHERS_PLAY = ("agent ", "manager ")
"""What is said on the host of an agent, or of the manager, is played there."""
SAID = {
    found[1].split(" #")[0]
    for page in PAGES
    for span in spans_of(ROOT / "docs" / f"{page}.md")
    if (found := re.fullmatch(r"tidegate ([a-z].*)", span)) and not found[1].startswith(OTHERS_PLAY)
}
LOOKS = ("status", "alerts", "agents", "targets", "rollout list", "audit verify")
ON_ONE_UNDER_WAY = {  # in this order; the second is what a person writes who reads the first
    "rollout pause N": "rollout pause N",
    "rollout resume N": "rollout resume N",
    "rollout show": "rollout show N",
    "rollout abort": "rollout abort N --yes",
}
SENT_OUT = {
    "rollout start": "rollout start CHANNEL 2 --yes",
    "rollout start CHANNEL RELEASE": "rollout start CHANNEL 2 --yes",
}
GONE_BACK = {
    "rollback": "rollback autonomy@berlin1 --yes",
    "rollback autonomy@berlin1": "rollback autonomy@berlin1",
    "rollback CHANNEL --to DIGEST": "rollback CHANNEL --to DIGEST --yes",
}
KEPT_FROM = {
    "quarantine add": "quarantine add NEW --reason 'it leaks' --yes",
    'quarantine add DIGEST --reason "..."': "quarantine add NEW --reason 'it leaks' --yes",
    'freeze add NAME --for 2h --reason "..."': "freeze add 'on hold' --for 2h --reason lunch",
    'freeze remove "on hold"': "freeze remove 'on hold' --yes",
    "channels poll CHANNEL": "channels poll CHANNEL",
}
WHO_MAY = {
    "agents enrol": "agents enrol oslo1",
    "agents enrol NAME": "agents enrol oslo1",
    "agents enrol berlin1": "agents enrol berlin1",
    "agents revoke": "agents revoke paris1 --yes",
    "token create": "token create eve viewer",
    "token revoke": "token revoke TOKEN --yes",
}
ALSO = {"rollout watch N"}
Do = Callable[[str], str]


@pytest.fixture
def do(run: Run, world: World) -> Do:
    """Has a command done that has to succeed; what it printed. Capitals stand for what they say."""
    known = {"CHANNEL": ORCHESTRATOR, "DIGEST": world.digest(ORCHESTRATOR, "1"), "NEW": world.digest(WEB, "2")}

    def done(line: str) -> str:
        ended = run(*[known.get(word, word) for word in shlex.split(line)])
        assert ended.code == 0, f"{line}: {ended.err}"
        return ended.out

    return done


def test_every_command_that_is_said_is_done_here() -> None:
    assert {*LOOKS, *ON_ONE_UNDER_WAY, *SENT_OUT, *GONE_BACK, *KEPT_FROM, *WHO_MAY, *ALSO} == SAID


def test_each_look_shows_something(do: Do) -> None:
    assert all(do(line) for line in LOOKS)


def test_what_is_under_way_is_held_let_go_on_and_ended(do: Do, world: World) -> None:
    world.policy(ORCHESTRATOR, soak="1h")
    world.silence()
    started = json.loads(do("rollout start CHANNEL 2 --yes --json"))
    states = []
    for line in ON_ONE_UNDER_WAY.values():
        do(line.replace(" N", f" {started['id']}"))
        states.append(json.loads(do(f"rollout show {started['id']} --json"))["state"])
    assert states == ["paused", "running", "running", "cancelled"]
    world.answer()


@pytest.mark.parametrize("line", {*SENT_OUT.values()})
def test_a_release_is_sent_out_and_watched_to_its_end(do: Do, line: str) -> None:
    started = json.loads(do(f"{line} --json"))
    assert "completed" in do(f"rollout watch {started['id']}")


@pytest.mark.parametrize("line", GONE_BACK.values())
def test_what_was_sent_out_goes_back(do: Do, run: Run, world: World, line: str) -> None:
    do("rollout start CHANNEL 2 --yes")
    world.settle()
    do(line)
    world.settle()
    shown = json.loads(run("targets", "--json").out)
    assert {one["digest"] for one in shown if one["name"] == "autonomy@berlin1/orchestrator"} == {
        world.digest(ORCHESTRATOR, "1")
    }


def test_releases_and_times_are_kept_from_going_out(do: Do, run: Run, world: World) -> None:
    done = list(dict.fromkeys(KEPT_FROM.values()))
    do(done[0])
    assert world.digest(WEB, "2") in {one["digest"] for one in json.loads(do("quarantine list --json"))}
    do(done[1])
    assert "on hold" in do("freeze list")
    do(done[2])
    assert "on hold" not in run("freeze", "list").out
    do(done[3])


def test_who_may_what_is_given_and_taken(do: Do) -> None:
    for line in dict.fromkeys(WHO_MAY.values()):
        if "TOKEN" not in line:
            do(line)
    made = json.loads(do("token create max viewer --json"))
    do(WHO_MAY["token revoke"].replace("TOKEN", str(made["id"])))
    revoked = {one["id"]: bool(one.get("revoked_at")) for one in json.loads(do("token list --json"))}
    assert revoked[made["id"]]
