"""The demo's exit code tells whether everything was as it said."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.images import Pushed
from tests.support.registry import Registry

import demo
import demo_things
from groundwork import agent_image, existing

ROWS = [
    demo.Row("v2", "committed", 3.0, 0),
    demo.Row("v3", "rolled-back", None, 0),
    demo.Row("v4", "committed", 2.0, 0),
]
DIGEST = "sha256:aa"
WELL = demo.Counts(10, 0, ("1",))


class Told(demo.Cluster):
    """A cluster that tells what a test wants: the counts one after the other, the last one for ever."""

    def __init__(self, *counts: demo.Counts, outcome: str | None = "committed", held: str = DIGEST) -> None:
        self._counts = list(counts)
        self._outcome = outcome
        self._held = held
        self.ids = [{"a", "b"}]

    def push(self, version: str, **options: Any) -> Pushed:
        del options
        return Pushed(f"registry.test/app:{version}", DIGEST, "sha256:bb")

    def counts(self) -> demo.Counts:
        return self._counts.pop(0) if len(self._counts) > 1 else self._counts[0]

    def outcome(self, digest: str) -> str | None:
        assert digest == DIGEST
        return self._outcome

    def agent(self, *words: str) -> Any:
        assert words == ("quarantine", "list")
        return [{"digest": self._held}]

    def containers(self) -> set[str]:
        return self.ids.pop(0) if len(self.ids) > 1 else self.ids[0]

    def compose(self, *words: str, check: bool = True) -> str:
        del words, check
        return "what the agent said"


@pytest.fixture(autouse=True)
def _without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUND_REGISTRY", "127.0.0.1:1")
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    monkeypatch.setattr(demo, "STEP_LIMIT_S", 0.0)
    monkeypatch.setattr(demo_things, "remove", lambda **_: None)
    monkeypatch.setattr(demo_things, "has_base", lambda: True)
    monkeypatch.setattr(demo.Cluster, "compose", lambda *_, **_more: "what the agent said")


def story(cluster: demo.Cluster) -> demo.Story:
    return demo.Story(cluster, time.monotonic())


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (1, 1)])
def test_a_request_that_failed_at_any_time_fails_the_demo(
    failed: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "play", lambda _: demo.Played(ROWS, demo.Counts(900, failed, ("4",))))
    assert demo.main() == code


def test_what_was_not_as_said_fails_the_demo_with_a_sentence_and_the_agents_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def play(_: demo.Cluster) -> demo.Played:
        raise demo.DemoError("v3 has answered requests")

    monkeypatch.setattr(demo, "play", play)
    assert demo.main() == 1
    said = capsys.readouterr().err
    assert "The demo failed: v3 has answered requests" in said
    assert "what the agent said" in said


def test_a_good_release_is_told_with_the_requests_that_failed_meanwhile() -> None:
    cluster = Told(WELL, WELL, demo.Counts(20, 2, ("1", "2")))
    row = demo.good(cluster, story(cluster), "2")
    assert (row.release, row.verdict, row.failed) == ("v2", "committed", 2)


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (Told(WELL), "this did not happen within .* v2 serves"),
        (Told(demo.Counts(10, 0, ("1", "2")), outcome=None), "the update to v2 ends"),
        (Told(demo.Counts(10, 0, ("1", "2")), outcome="rolled-back"), "v2 was to be kept, but it was rolled-back"),
    ],
)
def test_a_good_release_that_was_not_as_said_fails_the_demo(cluster: Told, says: str) -> None:
    with pytest.raises(demo.DemoError, match=says):
        demo.good(cluster, story(cluster), "2")


def test_a_broken_release_has_never_served() -> None:
    cluster = Told(WELL, outcome="rolled-back")
    assert demo.bad(cluster, story(cluster), "3") == demo.Row("v3", "rolled-back", None, 0)


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (Told(WELL, outcome=None), "the update to v3 ends"),
        (Told(WELL, outcome="committed"), "v3 was to be rolled back, but it was committed"),
        (Told(WELL, outcome="rolled-back", held="sha256:cc"), "v3 is not in quarantine"),
        (
            Told(WELL, demo.Counts(99, 0, ("1", "3", "1")), outcome="rolled-back"),
            "v1 was to serve all along, but 3 and 1 answered too",
        ),
    ],
)
def test_a_broken_release_that_was_not_as_said_fails_the_demo(cluster: Told, says: str) -> None:
    with pytest.raises(demo.DemoError, match=says):
        demo.bad(cluster, story(cluster), "3")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every release is as it was said to be."""
    step: Callable[..., demo.Row] = lambda *_: ROWS[0]  # noqa: E731 - as an attribute it takes any argument
    for name in ("good", "bad"):
        monkeypatch.setattr(demo, name, step)
    monkeypatch.setattr(agent_image, "build", lambda *_, **_more: None)
    monkeypatch.setattr(demo, "build", lambda *_, **_more: None)


@pytest.mark.usefixtures("steps")
def test_what_failed_outside_of_the_releases_counts_too() -> None:
    cluster = Told(WELL, demo.Counts(50, 3, ("1",)))
    cluster.registry = Registry("127.0.0.1:1")
    assert demo.play(cluster).total.failed == 3


@pytest.mark.usefixtures("steps")
def test_a_container_that_compose_makes_anew_fails_the_demo() -> None:
    cluster = Told(WELL)
    cluster.registry = Registry("127.0.0.1:1")
    cluster.ids = [{"a", "b"}, {"a", "c"}]
    with pytest.raises(demo.DemoError, match="made a container anew"):
        demo.play(cluster)


class Consumer:
    """A cluster whose consumer has printed some lines."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        self.cluster = demo.Cluster(tmp_path, Registry("127.0.0.1:1"))
        self.lines: list[tuple[int, int, str]] = []
        monkeypatch.setattr(demo, "run", lambda *_, **_more: "".join(map(self._line, self.lines)))

    def _line(self, told: tuple[int, int, str]) -> str:
        return json.dumps(dict(zip(("sent", "failed", "version"), told, strict=True))) + "\n"

    def counts(self, *lines: tuple[int, int, str]) -> demo.Counts:
        self.lines = list(lines)
        return self.cluster.counts()


@pytest.fixture
def consumer(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Consumer:
    return Consumer(monkeypatch, tmp_path)


def test_every_version_that_the_consumer_was_answered_by_counts(consumer: Consumer) -> None:
    assert consumer.counts() == demo.Counts(0, 0, ())
    lines = (1, 1, ""), (5, 1, "1"), (9, 1, "1"), (12, 1, "3"), (13, 2, "1")
    assert consumer.counts(*lines) == demo.Counts(13, 2, ("1", "3", "1"))


@pytest.mark.parametrize("later", [[(9, 0, "1"), (1, 0, "1")], [(3, 0, "1")], []])
def test_a_consumer_that_begins_anew_fails_the_demo(consumer: Consumer, later: list[tuple[int, int, str]]) -> None:
    consumer.counts((9, 0, "1"))
    with pytest.raises(demo.DemoError, match="begun to count anew"):
        consumer.counts(*later)


def test_a_command_that_fails_fails_the_demo() -> None:
    with pytest.raises(demo.DemoError, match="`sh -c echo no >&2; exit 3` failed with 3: no"):
        demo.run(["sh", "-c", "echo no >&2; exit 3"])


def test_the_table_has_release_verdict_time_and_failed_requests_of_each_and_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    demo.table(demo.Played(ROWS, demo.Counts(1234, 5, ("4",))))
    said = capsys.readouterr().out.splitlines()
    lines = [[cell.strip() for cell in line.strip("┃│").split("│" if "│" in line else "┃")] for line in _rows(said)]
    assert lines == [
        ["release", "verdict", "push to serving", "failed requests"],
        ["v2", "committed", "3.0 s", "0"],
        ["v3", "rolled-back", "never served", "0"],
        ["v4", "committed", "2.0 s", "0"],
    ]
    assert said[-1].strip() == "5 of 1234 requests failed, from the first to the last"


def _rows(lines: list[str]) -> list[str]:
    return [line for line in lines if line[:1] in "┃│" and line]


@pytest.mark.parametrize(
    ("host", "program", "code", "says"),
    [
        (None, "docker", 0, "nothing to remove"),
        ("unix:///x.sock", None, 1, "install Docker's command line"),
        ("unix:///x.sock", "docker", 0, ""),
    ],
)
def test_cleaning_up_needs_an_engine_that_answers_and_fetches_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    host: str | None,
    program: str | None,
    code: int,
    says: str,
) -> None:
    removed: list[str | None] = []
    monkeypatch.setattr(sys, "argv", ["demo.py", "--clean"])
    monkeypatch.setenv("DOCKER_HOST", "unix:///other.sock")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(existing, "answering_host", lambda: host)
    monkeypatch.setattr(shutil, "which", lambda _: program)
    monkeypatch.setattr(demo_things, "remove", lambda **_: removed.append(os.environ.get("DOCKER_HOST")))
    assert demo.main() == code
    said = capsys.readouterr()
    assert says in said.out + said.err
    assert removed == ([host] if host and program else [])
