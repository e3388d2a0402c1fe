"""Where the ground cannot be had, one sentence says what to install or to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import ground
from groundwork import existing, packages, run

RUN = ["run", "--", "true"]
PRIVATE = ["run", "--engine", "bookworm", "--", "true"]
GROUND_ERROR = 125


@pytest.fixture(autouse=True)
def _nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine answers, and nothing is fetched or started."""
    monkeypatch.setattr(existing, "answering_host", lambda: None)
    monkeypatch.setattr(packages, "install", lambda _: pytest.fail("it began to install"))
    monkeypatch.setattr(run, "_run_private", lambda *_, **_more: pytest.fail("it began to start an engine"))


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What `ground.py WORDS...` says: one line on the error output."""
    assert ground.main(words) == GROUND_ERROR
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


@pytest.mark.parametrize("words", [RUN, PRIVATE])
def test_anywhere_but_on_debian_it_says_what_to_install(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    said = refusal(words, capsys)
    assert "install Docker Engine with its Compose plugin (v2), docker-registry, a static busybox and gcc" in said


def test_an_ordinary_user_without_an_engine_is_told_to_start_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "require_debian", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = refusal(RUN, capsys)
    assert "start Docker (and join its group), or run this as root on Debian" in said


def test_an_ordinary_user_cannot_ask_for_a_private_engine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packages, "require_debian", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "Only root can start a private engine" in refusal(PRIVATE, capsys)


def test_an_engine_without_its_command_line_is_not_enough(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(existing, "answering_host", lambda: "tcp://engine.test:2375")
    monkeypatch.setattr(packages, "unpacked", lambda release: tmp_path / release)
    monkeypatch.setattr(packages, "HOME", tmp_path)
    monkeypatch.setattr(packages, "_install_tools", lambda _: None)
    monkeypatch.setattr(packages, "find", lambda program: tmp_path / program)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install Docker Engine with its Compose plugin (v2)" in refusal(RUN, capsys)
