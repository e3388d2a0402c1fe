"""What the page of the deployment script says of its flags is what its help says, and every flag has a variable."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

import pytest
from tests.support.deployment import SCRIPT
from tests.support.pages import ROOT, blocks

PAGE = ROOT / "docs" / "deployment-script.md"
_HELP = re.compile(r"^  (--\S+(?: \S+)?)\n      (.+)\. Variable ([A-Z_]+); default: (.+)\.$", re.MULTILINE)
_ROW = re.compile(r"^\| `(--[^`]+)` \| `([A-Z_]+)` \| (.+?) \| (.+) \|$", re.MULTILINE)


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", **env}
    return subprocess.run([str(SCRIPT), *words], env=environ, capture_output=True, text=True, check=False)


def bare(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(cell.replace("`", "") for cell in cells)


def test_the_table_of_flags_is_that_of_the_help() -> None:
    told = [(flag, variable, default, text) for flag, text, variable, default in _HELP.findall(run("--help").stdout)]
    assert len(told) > 15
    assert [bare(row) for row in _ROW.findall(PAGE.read_text(encoding="utf-8"))] == told


def test_every_flag_in_the_help_has_a_variable() -> None:
    flags = re.findall(r"^  (--\S+)", run("--help").stdout, re.MULTILINE)
    assert [flag for flag in flags if flag not in {one[0].split()[0] for one in _HELP.findall(run("help").stdout)}] == [
        "--help"
    ]


def test_the_commands_of_the_page_are_those_of_the_help() -> None:
    listed = run("--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
    commands = set(re.findall(r"^  ([a-z]+)", listed, re.MULTILINE)) - {"help"}
    assert set(re.findall(r"^\| `([a-z]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == commands


def test_every_command_that_the_page_shows_has_flags_that_there_are() -> None:
    known = {one[0].split()[0] for one in _HELP.findall(run("--help").stdout)}
    lines = [line for block in blocks("sh") if block.page == PAGE.name for line in block.text.splitlines()]
    assert len(lines) > 3
    assert {flag for line in lines for flag in re.findall(r"--[a-z-]+", line)} <= known


@pytest.mark.parametrize(
    ("words", "env", "said"),
    [
        (("--nowhere",), {}, "--nowhere needs a value"),
        (("--nowhere=1",), {}, "no flag --nowhere"),
        (("--dry-run=1",), {}, "takes no value"),
        (("destroy",), {}, "no command destroy"),
        (("status", "now"), {}, "now is one word too many"),
        (("list",), {"TIDEGATE_DRY_RUN": "perhaps"}, "true or false"),
        (("list", "--deadline", "soon"), {}, "--deadline is 'soon'"),
        (("list", "--from", "/nowhere"), {}, "which is no folder"),
        (("status", "--dir", "/nowhere"), {}, "no cluster of this script"),
    ],
)
def test_words_that_mean_nothing_are_refused(words: tuple[str, ...], env: dict[str, str], said: str) -> None:
    done = run(*words, **env)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
