"""What the fleet's demo shows of commands fits the terminal that it is shown on."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import demo_fleet
import demo_kept
import demo_programs
import demo_relay
from tidegate.cli.tables import print_table

REASON = "tidegate-demo-rome@rome/orchestrator: its health check fails: HTTP/1.1 503; on its serving networks too"


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_what_a_command_said_is_told_in_lines_that_fit(capsys: pytest.CaptureFixture[str]) -> None:
    demo_fleet._print(f"rollout 2: rolled back: {REASON}\n\n  1  waiting")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines).split()) == f"rollout 2: rolled back: {REASON} 1 waiting"
    assert lines[-1] == "            1  waiting"


def test_commands_are_told_how_wide_the_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    environ = demo_programs.Person("ann", "http://127.0.0.1:1", tmp_path / "token")._login
    assert environ["COLUMNS"] == "70"
    monkeypatch.setenv("COLUMNS", environ["COLUMNS"])
    row = ["1", "0a3567debedc", "192.0.2.1:5000/fleet/orchestrator:stable", "2026-11-29 03:02:26", REASON]
    print_table(("id", "digest", "channel", "since", "reason"), [row], no_color=True, empty="")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 70


def test_what_is_left_running_is_told_with_its_address_and_its_tokens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(demo_relay, "on_the_machine", lambda port: contextlib.nullcontext(port + 1))
    monkeypatch.setattr(threading.Event, "wait", lambda _: True)
    monkeypatch.setattr(demo_kept, "READY", tmp_path / "ready")
    people = list[demo_programs.Person]()
    for name in ("ann", "bob"):
        (tmp_path / name).write_text(f"tg_{name}", encoding="utf-8")
        people.append(demo_programs.Person(name, "http://127.0.0.1:1", tmp_path / name))
    manager = SimpleNamespace(url="http://192.0.2.1:4710")
    demo_fleet._keep(cast("demo_programs.ManagerProgram", manager), *people)
    told = capsys.readouterr().out
    assert told.count("http://127.0.0.1:4711") == 2
    assert "ann (admin): tg_ann" in told
    assert "bob (approver): tg_bob" in told
    assert (tmp_path / "ready").exists()


def test_without_a_terminal_or_a_width_a_table_is_as_wide_as_it_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS")
    assert "COLUMNS" not in os.environ
    print_table(("id", "reason"), [["1", REASON]], no_color=True, empty="")
    assert REASON in capsys.readouterr().out
