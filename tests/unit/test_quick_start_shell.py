"""`tidegate` as the manager's quick start defines it: it has a terminal where somebody has one, and none in a pipe."""

import os
import pty
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.pages import blocks

PAGE = "manager-quick-start.md"


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder with a `docker` that prints what it was asked for, and the token that it was given."""
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\necho "$@" as "$TIDEGATE_TOKEN"\n')
    docker.chmod(0o755)
    return tmp_path


def script(line: str) -> Sequence[str]:
    """What a shell does with a line after the page's definition."""
    ours = (one for block in blocks("sh") if block.page == PAGE for one in block.text.splitlines())
    (definition,) = (one for one in ours if "manager tidegate" in one)
    return ["bash", "--norc", "-c", f"shopt -s expand_aliases\n{definition}\nexport TIDEGATE_TOKEN=\n{line}"]


def in_a_terminal(words: Sequence[str], folder: Path) -> str:
    """What a command says on a terminal, with the programs of the folder."""
    ours, theirs = pty.openpty()
    env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=env):
        os.close(theirs)
        said = b""
        with suppress(OSError):  # the terminal is gone with its last user
            while piece := os.read(ours, 4096):
                said += piece
    os.close(ours)
    return said.decode()


@pytest.mark.parametrize(
    ("line", "without"),
    [
        ("tidegate status", False),
        ("tidegate rollout approve 1 </dev/null", True),
        ("echo $(tidegate status)", True),
        ("tidegate status > out; cat out", True),
    ],
)
def test_it_has_a_terminal_where_somebody_reads_and_can_answer(stand_in: Path, line: str, *, without: bool) -> None:
    said = in_a_terminal(script(line), stand_in)
    assert ("exec -T -e TIDEGATE_TOKEN manager tidegate" in said) is without
    assert ("exec -e TIDEGATE_TOKEN manager tidegate" in said) is not without


def test_another_persons_token_goes_with_one_command(stand_in: Path) -> None:
    said = in_a_terminal(script("TIDEGATE_TOKEN=bobs tidegate status\ntidegate status"), stand_in)
    assert [line.rpartition(" as ")[2] for line in said.splitlines()] == ["bobs", ""]
