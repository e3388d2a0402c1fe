"""Where the ground cannot be had, one sentence says what to install or to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ground
from groundwork import agent_image, base, existing, packages, run
from groundwork.paths import GroundError

ROOT = Path(__file__).resolve().parents[2]
ANSWERING_HOST = existing.answering_host
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
    monkeypatch.setattr(existing, "answering_host", lambda: "unix:///engine.sock")
    monkeypatch.setattr(packages, "unpacked", lambda release: tmp_path / release)
    monkeypatch.setattr(packages, "HOME", tmp_path)
    monkeypatch.setattr(packages, "_install_tools", lambda _: None)
    monkeypatch.setattr(packages, "find", lambda program: tmp_path / program)
    monkeypatch.setattr(packages, "busybox", lambda: tmp_path / "busybox")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install Docker Engine with its Compose plugin (v2)" in refusal(RUN, capsys)


def test_an_engine_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(existing, "answering_host", ANSWERING_HOST)
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine.test:2375")
    said = refusal(RUN, capsys)
    assert "DOCKER_HOST is tcp://engine.test:2375, and only an engine of this machine will do" in said


def test_a_system_without_private_namespaces_is_told_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuses(command: list[str], cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        del cwd
        return subprocess.CompletedProcess(command, 32, "", "permission denied")

    monkeypatch.setattr(packages, "_run", refuses)
    monkeypatch.setattr(run, "run", lambda *_, **_more: run._keep_a_way_out(tmp_path))
    assert ground.main(RUN) == GROUND_ERROR
    assert "`mount --make-rprivate /` failed with 32:\npermission denied" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "env"),
    [(["--engine=bookworm"], {"PATH": ""}), ([], {"DOCKER_HOST": "ssh://engine.test"})],
    ids=["no apt", "an engine elsewhere"],
)
def test_the_tests_say_it_in_one_sentence_too(words: list[str], env: dict[str, str]) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "test.py"), *words]
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (GROUND_ERROR, "")
    assert [line[:8] for line in done.stderr.splitlines()] == ["ground: "]


def test_the_parts_of_the_agents_image_say_it_in_one_sentence_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fetch() -> Path:
        raise GroundError("no index answers")

    monkeypatch.setattr(agent_image, "HOME", tmp_path)
    monkeypatch.setattr(agent_image, "wheels", fetch)
    assert agent_image.main() == GROUND_ERROR
    assert capsys.readouterr().err == "ground: no index answers\n"


def test_without_apt_the_agents_base_is_a_question_only_when_it_is_built(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(agent_image, "HOME", tmp_path)
    monkeypatch.setattr(base, "HOME", tmp_path)
    monkeypatch.setattr(agent_image, "wheels", lambda *_: tmp_path)
    monkeypatch.setattr(shutil, "which", lambda *_, **_more: None)
    assert agent_image.main() == 0
    monkeypatch.setattr(base, "_is_there", lambda _: False)
    monkeypatch.setattr(base, "_pull", lambda _: False)
    with pytest.raises(GroundError, match="has no apt"):
        base.ensure()
