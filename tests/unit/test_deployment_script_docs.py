"""What the page of the deployment script says of its flags is what its help says, and every flag has a variable."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.deployment import SCRIPT
from tests.support.pages import ROOT, blocks

PAGE = ROOT / "docs" / "deployment-script.md"
_HELP = re.compile(r"^  (--\S+(?: \S+)?)\n      (.+)\. Variable ([A-Z_]+); default: (.+)\.$", re.MULTILINE)
_ROW = re.compile(r"^\| `(--[^`]+)` \| `([A-Z_]+)` \| (.+?) \| (.+) \|$", re.MULTILINE)


def run(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", **env}
    return subprocess.run([str(SCRIPT), *words], env=environ, capture_output=True, text=True, check=False)


def test_what_a_command_does_not_heed_may_be_in_a_variable() -> None:
    done = run("status", "--dir", "/nowhere", WATCHTOWER_INTERVAL="60", TIDEGATE_CLUSTER_DIR="")
    assert "no cluster of this script in /nowhere" in done.stderr


def test_cdpath_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    lines = 'source "$0" help >/dev/null; find_places; echo "$from"'
    env = {"PATH": "/usr/bin:/bin", "CDPATH": str(tmp_path)}
    words = ["bash", "-c", lines, str(SCRIPT.relative_to(ROOT))]
    done = subprocess.run(words, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{ROOT / 'examples' / 'autonomy'}\n"


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
        (("--deadline", "soon"), {}, "--deadline is 'soon'"),
        (("--settle", "0"), {}, "--settle is '0'"),
        (("--from", "/nowhere"), {}, "which is no folder"),
        (("remove", "--volumes", "--dir", ""), {}, "--dir is empty"),
        (("remove", "--volumes", "--dir="), {}, "--dir is empty"),
        (("remove", "--dir", "--volumes"), {}, "--dir needs a value"),
        (("restore", ""), {}, "a word is empty"),
        (("restore", "--interval", "60"), {}, "restore does nothing with --interval"),
        (("--engine=watchtower", "status"), {}, "status does nothing with --engine"),
        (("list", "--set", "A=1"), {}, "list does nothing with --set"),
        (("--volumes",), {}, "apply does nothing with --volumes"),
        (("status", "--dir", "/nowhere"), {}, "no cluster of this script"),
    ],
)
def test_words_that_mean_nothing_are_refused(words: tuple[str, ...], env: dict[str, str], said: str) -> None:
    done = run(*words, **env)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
