"""The demo's exit code tells whether everything was as it said."""

import sys

import pytest

import demo
import demo_things

GOOD = [
    demo.Row("v2", "committed", 3.0, 0),
    demo.Row("v3", "rolled-back", None, 0),
    demo.Row("v4", "committed", 2.0, 0),
]
FAILED = [*GOOD, demo.Row("v5", "committed", 2.0, 1)]


@pytest.fixture(autouse=True)
def _without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUND_REGISTRY", "127.0.0.1:1")
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    monkeypatch.setattr(demo, "clean", lambda *_, **_more: None)
    monkeypatch.setattr(demo_things, "has_base", lambda: True)
    monkeypatch.setattr(demo.Cluster, "compose", lambda *_, **_more: "what the agent said")


@pytest.mark.parametrize(("rows", "code"), [(GOOD, 0), (FAILED, 1)])
def test_a_request_that_failed_fails_the_demo(rows: list[demo.Row], code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "play", lambda _: rows)
    assert demo.main() == code


def test_what_was_not_as_said_fails_the_demo_with_a_sentence_and_the_agents_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def play(_: demo.Cluster) -> list[demo.Row]:
        raise demo.DemoError("v3 has answered requests")

    monkeypatch.setattr(demo, "play", play)
    assert demo.main() == 1
    said = capsys.readouterr().err
    assert "The demo failed: v3 has answered requests" in said
    assert "what the agent said" in said


def test_the_table_has_release_verdict_time_and_failed_requests_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    demo.table(GOOD)
    lines = [[cell.strip() for cell in line.strip("┃│").split("│" if "│" in line else "┃")] for line in _rows(capsys)]
    assert lines == [
        ["release", "verdict", "push to serving", "failed requests"],
        ["v2", "committed", "3.0 s", "0"],
        ["v3", "rolled-back", "never served", "0"],
        ["v4", "committed", "2.0 s", "0"],
    ]


def _rows(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line[:1] in "┃│" and line]
