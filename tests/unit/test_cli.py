import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from tidegate.__main__ import main
from tidegate.agent.command_rows import (
    CommandError,
    CommandOutcome,
    CommandRefusedError,
    HistoryRow,
    StatusRow,
    UpdaterRow,
)
from tidegate.agent.plan_row import Action, PlanRow
from tidegate.agent.settings import Settings
from tidegate.agent.store.lock import StateLock
from tidegate.agent.store.quarantine import QuarantineEntry
from tidegate.engine.errors import EngineError, EngineUnavailableError

DIGEST = "sha256:" + "ab" * 32
PLAN = PlanRow(
    "web [1]", "shop", "web", "acme/web:1", True, "it is running", DIGEST, None, Action.UPDATE, "swap", "port 80"
)
STATUS = StatusRow("web", "shop", "web", "acme/web:1", "running", "healthy", DIGEST, None, None, (DIGEST,), None)
HISTORY = HistoryRow("2026-01-01", "shop", "web", "web", "acme/web:1", None, DIGEST, "swap", "committed", 2.34, "")
ENTRY = QuarantineEntry("acme/web", DIGEST, "shop", "web", "never healthy", "2026-01-01T00:00:00Z")

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands in for `tidegate.agent.commands`; a test gives it what it needs."""
    module = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "tidegate.agent.commands", module)
    return module


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    """Runs `tidegate` with these arguments: exit code, output and error output."""
    monkeypatch.delenv("COLUMNS", raising=False)  # tests that are run side by side have it

    def run(*arguments: str) -> tuple[int, str, str]:
        structlog.reset_defaults()
        monkeypatch.setenv("DOCKER_TLS_VERIFY", os.environ.get("DOCKER_TLS_VERIFY", ""))
        monkeypatch.setattr(sys, "argv", ["tidegate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    yield run
    structlog.reset_defaults()


def answers(value: Any) -> Callable[..., Any]:
    """An async function that returns the value, or raises it."""

    async def command(*_: Any, **__: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    return command


def test_plan_as_json_has_the_documented_fields_in_their_order(cli: Cli, commands: SimpleNamespace) -> None:
    commands.plan = answers([PLAN])
    code, out, _ = cli("agent", "plan", "--json")
    (row,) = json.loads(out)
    assert code == 0
    assert list(row) == [
        "container",
        "cluster",
        "service",
        "image",
        "selected",
        "reason",
        "running_digest",
        "latest_digest",
        "action",
        "strategy",
        "strategy_reason",
        "lost",
    ]
    assert (row["container"], row["action"], row["latest_digest"]) == ("web [1]", "update", None)


def test_plan_is_a_table_for_people_without_colour_where_there_is_no_terminal(
    cli: Cli, commands: SimpleNamespace
) -> None:
    commands.plan = answers([PLAN])
    code, out, _ = cli("agent", "plan")
    assert code == 0
    assert "web [1]" in out
    assert " abababababab " in out
    assert "it is running; port 80" in out
    assert "\x1b" not in out


@pytest.mark.parametrize(("action", "said"), [(Action.UPDATE, True), (Action.MONITOR, True), (Action.NONE, False)])
def test_plan_tells_what_goes_with_the_old_container_where_there_is_an_update(
    cli: Cli, commands: SimpleNamespace, action: Action, *, said: bool
) -> None:
    commands.plan = answers([replace(PLAN, action=action, lost=("/fast", "/quick"))])
    _, out, _ = cli("agent", "plan")
    assert ("what is in tmpfs /fast, /quick does not outlast the update" in " ".join(out.split())) is said


@pytest.mark.parametrize(("columns", "whole"), [("72", False), ("160", True)])
def test_a_row_of_a_table_is_one_line_where_there_is_room_and_a_list_where_there_is_not(
    cli: Cli, commands: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, columns: str, whole: bool
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    commands.plan = answers([PLAN])
    lines = re.sub(r"\x1b\[[0-9;]*m", "", cli("agent", "plan")[1]).splitlines()
    assert any("web [1]" in line and "port 80" in line for line in lines) is whole
    assert all(len(line) <= int(columns) for line in lines)


@pytest.mark.parametrize("columns", ["0", "1", "-5", "abc"])
def test_something_is_shown_however_narrow_the_terminal_says_it_is(
    cli: Cli, commands: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    commands.plan = answers([PLAN])
    assert "web [1]" in " ".join(cli("agent", "plan")[1].split())


@pytest.mark.parametrize(
    ("flags", "variable", "coloured"),
    [([], "", True), (["--no-color"], "", False), ([], "1", False), ([], "false", True)],
)
@pytest.mark.parametrize("command", ["plan", "status", "history"])
def test_tables_have_colours_on_a_terminal_unless_none_are_wanted(
    cli: Cli,
    commands: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    *,
    command: str,
    flags: list[str],
    variable: str,
    coloured: bool,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", variable)
    commands.plan, commands.status, commands.history = answers([PLAN]), answers([STATUS]), answers([HISTORY])
    green = re.search(r"\x1b\[[0-9;]*32m", cli("agent", command, *flags)[1])
    assert bool(green) is coloured


@pytest.mark.parametrize("place", ["before", "after"])
def test_every_command_takes_the_agents_flags_and_names(cli: Cli, commands: SimpleNamespace, place: str) -> None:
    seen: list[Settings] = []

    async def plan(settings: Settings) -> list[PlanRow]:
        seen.append(settings)
        return []

    commands.plan = plan
    flags = ["--label-enable", "--scope", "autonomy-cluster", "-i", "30"]
    arguments = [*flags, "web"] if place == "before" else ["web", *flags]
    assert cli("agent", "plan", *arguments, "--json")[0] == 0
    assert (seen[0].label_enable, seen[0].scope, seen[0].names) == (True, "autonomy-cluster", ("web",))
    assert seen[0].interval_s == 30.0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineUnavailableError("Nothing answers at unix:///x: start the engine."), 3),
        (CommandRefusedError("An update runs: try again when it is done."), 3),
        (EngineError("The engine said no."), 1),
        (CommandError("No such target."), 1),
    ],
)
def test_what_goes_wrong_is_one_clear_line_and_an_exit_code(
    cli: Cli, commands: SimpleNamespace, error: Exception, code: int
) -> None:
    commands.plan = commands.run = answers(error)
    for command in ("plan", "run"):
        assert cli("agent", command) == (code, "", f"tidegate: {error}\n")


@pytest.mark.parametrize("command", [["run"], ["plan"], ["status"], ["history"], ["quarantine", "list"]])
def test_a_bad_setting_is_told_in_a_sentence_with_exit_code_2(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("WATCHTOWER_CLEANUP", "yes")
    code, out, err = cli("agent", *command)
    assert (code, out) == (2, "")
    assert err == "tidegate: WATCHTOWER_CLEANUP is 'yes'; it takes true or false.\n"


def test_run_answers_with_the_agents_exit_code(cli: Cli, commands: SimpleNamespace) -> None:
    async def run(settings: Settings, *, pulls: object) -> int:
        assert settings.run_once
        assert pulls is None
        return 1

    commands.run = run
    assert cli("agent", "run", "--once")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "terminal", "bars"),
    [
        (["run", "--once"], True, True),
        (["run", "--once"], False, False),
        (["run"], True, False),
        (["rollback", "shop/web"], True, True),
        (["rollback", "shop/web"], False, False),
    ],
)
def test_a_person_who_waits_at_a_terminal_sees_how_a_pull_goes_on(
    cli: Cli,
    commands: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
    *,
    arguments: list[str],
    terminal: bool,
    bars: bool,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)

    def pull(pulls: Any) -> None:
        assert bool(pulls) is bars
        if pulls:
            pulls.started("acme/web")
            pulls.ended("acme/web", None)

    async def run(_: Settings, *, pulls: Any) -> int:
        pull(pulls)
        return 0

    async def rollback(*_: Any, to: str | None, pulls: Any) -> CommandOutcome:
        pull(pulls)
        return CommandOutcome(ok=True, message=f"went back to {to}")

    commands.run, commands.rollback = run, rollback
    code, out, err = cli("agent", *arguments)
    assert (code, out) == (0, "went back to None\n" if "rollback" in arguments else "")
    assert ("pulled acme/web" in err) is bars


def test_the_flag_for_tls_reaches_the_engines_client(cli: Cli, commands: SimpleNamespace) -> None:
    commands.plan = answers([])
    cli("agent", "plan", "--tlsverify")
    assert os.environ["DOCKER_TLS_VERIFY"] == "1"


@pytest.mark.parametrize("flag", ["-ch", "--help=true"])
def test_run_help_is_shown_however_it_is_asked_for(cli: Cli, flag: str) -> None:
    code, out, _ = cli("agent", "run", flag)
    assert (code, out.startswith("Usage: tidegate agent run")) == (0, True)


def test_run_help_is_shown_even_where_settings_are_wrong(cli: Cli) -> None:
    code, out, _ = cli("agent", "run", "--help", "--no-such-flag")
    assert code == 0
    assert "--label-enable" in out


@pytest.mark.parametrize("arguments", [["--version"], ["agent", "run", "--version"]])
def test_version_is_shown(cli: Cli, arguments: list[str]) -> None:
    code, out, _ = cli(*arguments)
    assert code == 0
    assert out.startswith("tidegate ")


def test_health_check_succeeds_only_while_an_agent_holds_the_state(cli: Cli, tmp_path: Path) -> None:
    check = ("agent", "run", "--health-check", "--state", str(tmp_path))
    assert cli(*check)[0] == 1
    lock = StateLock(tmp_path)
    assert lock.try_acquire()
    assert cli(*check)[0] == 0
    lock.release()
    assert cli(*check)[0] == 1


def test_rollback_takes_a_target_and_a_digest(cli: Cli, commands: SimpleNamespace) -> None:
    seen: list[tuple[str, str, str | None]] = []

    async def rollback(
        settings: Settings, cluster: str, service: str, *, to: str | None, pulls: object
    ) -> CommandOutcome:
        assert pulls is None
        assert settings.names == ()  # they would narrow the look to containers of that name
        seen.append((cluster, service, to))
        return CommandOutcome(ok=to is not None, message="done")

    commands.rollback = rollback
    assert cli("agent", "rollback", "shop/web", "--to", DIGEST) == (0, "done\n", "")
    assert cli("agent", "rollback", "--host", "tcp://h:1", "shop/web") == (1, "", "tidegate: done\n")
    assert seen == [("shop", "web", DIGEST), ("shop", "web", None)]


@pytest.mark.parametrize("arguments", [["web"], ["shop/"], ["a/b", "c/d"], []])
def test_rollback_refuses_what_is_not_one_target(cli: Cli, arguments: list[str]) -> None:
    code, _, err = cli("agent", "rollback", *arguments)
    assert code == 2
    assert "CLUSTER/SERVICE" in err


def test_quarantine_is_listed_and_released_by_name(cli: Cli, commands: SimpleNamespace) -> None:
    commands.quarantine_list = answers([ENTRY])
    assert "never healthy" in cli("agent", "quarantine", "list")[1]
    assert json.loads(cli("agent", "quarantine", "list", "--json")[1])[0]["digest"] == DIGEST
    commands.quarantine_release = answers([ENTRY])
    assert cli("agent", "quarantine", "release", "shop/web")[1] == f"released {DIGEST} of acme/web for shop/web\n"
    commands.quarantine_release = answers([])
    code, _, err = cli("agent", "quarantine", "release", "shop/db")
    assert (code, "shop/db" in err) == (1, True)


def test_status_and_history_are_tables_and_json(cli: Cli, commands: SimpleNamespace) -> None:
    commands.status, commands.history = answers([STATUS]), answers([HISTORY])
    assert "healthy" in cli("agent", "status")[1]
    assert json.loads(cli("agent", "status", "--json")[1])[0]["quarantined"] == [DIGEST]
    assert "shop/web" in cli("agent", "history")[1]
    assert json.loads(cli("agent", "history", "--json")[1])[0]["seconds"] == 2.34


def test_status_says_who_decides_where_that_is_a_manager(cli: Cli, commands: SimpleNamespace) -> None:
    commands.status = answers([STATUS])
    assert "for the manager to say" not in cli("agent", "status")[1]
    commands.status = answers([replace(STATUS, decided_by="manager")])
    assert "it is for the manager to say" in cli("agent", "status")[1]
    assert json.loads(cli("agent", "status", "--json")[1])[0]["decided_by"] == "manager"


def test_status_says_what_a_watchtower_counts_that_updates_in_the_agents_place(
    cli: Cli, commands: SimpleNamespace
) -> None:
    counts = UpdaterRow(scanned=5, updated=1, failed=2, scans=7)
    commands.status = answers([replace(STATUS, updater=counts), replace(STATUS, container="b", updater=counts)])
    lines = [line for line in cli("agent", "status")[1].splitlines() if "Updater" in line]
    assert lines == ["Updater: Watchtower, last scan: 5 scanned, 1 updated, 2 failed."]
    assert json.loads(cli("agent", "status", "--json")[1])[0]["updater"]["failed"] == 2
    away = UpdaterRow(None, None, None, None, "Watchtower at http://w:8080 cannot be reached")
    commands.status = answers([replace(STATUS, updater=away)])
    assert "Updater: Watchtower at http://w:8080 cannot be reached.\n" in cli("agent", "status")[1]


def test_the_agent_starts_without_the_libraries_of_the_command_line() -> None:
    script = """
import sys, types
from tidegate.__main__ import main
async def run(settings, *, pulls):
    heavy = {"typer", "rich", "click", "prometheus_client", "aiohttp.web"} & set(sys.modules)
    print(sorted(heavy))
    return 0
sys.modules["tidegate.agent.commands"] = types.SimpleNamespace(run=run)
sys.argv = ["tidegate", "agent", "run", "--label-enable", "--scope", "autonomy-cluster"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
