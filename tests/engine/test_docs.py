"""The commands and Compose files of the README and docs/ do what they are there for."""

from __future__ import annotations

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import environment, tidegate
from tests.support.compose import Compose
from tests.support.pages import ROOT, Block, blocks, commands

COMPOSE = [block for block in blocks("yaml") if "services:" in block.text or "image:" in block.text]
FILES = [
    ROOT / "deploy" / "docker-compose.yml",
    ROOT / "deploy" / "manager" / "docker-compose.yml",
    ROOT / "examples" / "autonomy" / "docker-compose.yml",
]
AGENTS = sorted(
    {shlex.join(_) for _ in (shlex.split(line)[2:] for line in commands() if line.startswith("tidegate agent "))}
    - {"..."}
)
PLAYED = {
    "ORCHESTRATOR_AUTOUPDATE.md",
    "api.md",
    "cli.md",
    "deployment-script.md",
    "manager.md",
    "manager-operations.md",
    "manager-quick-start.md",
    "pipeline.md",
    "releases.md",
}  # each by a test of its own
GUIDE = {
    line for block in blocks("sh") if block.page == "ORCHESTRATOR_AUTOUPDATE.md" for line in block.text.split("\n")
}
EXECUTED = re.findall(
    r"^(?:docker .* |\.venv/bin/)tidegate agent (.+)$", "\n".join(set(commands()) - GUIDE), re.MULTILINE
)


def checked(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    file = folder / "compose.yaml"
    file.write_text(text, encoding="utf-8")
    command = ["docker", "compose", "-p", "docs", "-f", str(file), "config", "--quiet"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def completed(text: str) -> str:
    """A page shows a service without its project, or only what is new in it."""
    if "services:" not in text:
        text = f"services:\n{text}\nvolumes:\n  tidegate-state:\n"
    return (
        text
        if "image:" in text
        else text.replace("  tidegate:\n", "  tidegate:\n    image: ghcr.io/tidegate/agent:latest\n")
    )


@pytest.mark.usefixtures("engine_url")
@pytest.mark.parametrize("block", COMPOSE, ids=str)
def test_every_compose_file_on_a_page_is_one(tmp_path: Path, block: Block) -> None:
    done = checked(tmp_path, completed(block.text))
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("engine_url")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_every_compose_file_in_the_repository_is_one(tmp_path: Path, file: Path) -> None:
    done = checked(tmp_path, file.read_text(encoding="utf-8"))
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("engine_url")
@pytest.mark.parametrize(
    ("files", "given"),
    [
        (["manager/docker-compose.yml", "manager/postgres.yml"], ["POSTGRES_PASSWORD"]),
        (["docker-compose.managed.yml"], ["TIDEGATE_MANAGER", "TIDEGATE_AGENT_NAME"]),
        (["docker-compose.managed.yml", "beside-manager.yml"], ["TIDEGATE_MANAGER", "TIDEGATE_AGENT_NAME"]),
    ],
    ids=str,
)
def test_the_compose_files_of_a_fleet_fit_together_and_say_what_has_to_be_given(
    files: list[str], given: list[str]
) -> None:
    words = [word for file in files for word in ("-f", str(ROOT / "deploy" / file))]
    command = ["docker", "compose", "-p", "docs", *words, "config", "--quiet"]
    for missing in ["", *given]:
        env = {**os.environ, **{name: "x" for name in given if name != missing}}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (missing == ""), done.stderr
        assert missing in done.stderr


@pytest.mark.usefixtures("engine_url")
def test_the_example_behind_a_proxy_says_of_the_orchestrator_what_the_page_does(tmp_path: Path) -> None:
    (block,) = [block for block in COMPOSE if block.page == "zero-downtime.md"]
    (tmp_path / "page.yaml").write_text(block.text, encoding="utf-8")
    folder = ROOT / "examples" / "autonomy"
    shown = _orchestrator(tmp_path / "page.yaml")
    whole = _orchestrator(folder / "docker-compose.yml", folder / "docker-compose.edge.yml")
    assert shown["labels"].items() <= whole["labels"].items()
    assert [shown[key] for key in ("image", "stop_grace_period")] == [
        whole[key] for key in ("image", "stop_grace_period")
    ]


def _orchestrator(*files: Path) -> Any:
    """What Compose makes of that service."""
    words = [word for file in files for word in ("-f", str(file))]
    command = ["docker", "compose", "-p", "docs", *words, "config", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["services"]["orchestrator"]


@pytest.mark.usefixtures("engine_url")
@pytest.mark.parametrize("page", ["README.md", "quick-start.md"])
def test_the_agents_compose_file_on_a_page_is_the_one_in_the_repository(tmp_path: Path, page: str) -> None:
    (block,) = [block for block in COMPOSE if block.page == page and "command: --label-enable" in block.text]
    assert resolved(tmp_path, block.text) == resolved(tmp_path, FILES[0].read_text(encoding="utf-8"))


def resolved(folder: Path, text: str) -> str:
    """What Compose makes of a file."""
    file = folder / "compose.yaml"
    file.write_text(text, encoding="utf-8")
    command = ["docker", "compose", "-p", "docs", "-f", str(file), "config"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_one_image_name_is_used_everywhere() -> None:
    named = {
        name
        for text in [*(file.read_text(encoding="utf-8") for file in FILES), *(block.text for block in COMPOSE)]
        for name in re.findall(r"(?:\w[\w./-]*/)?tidegate/agent:\w+", text)
    }
    assert named == {"ghcr.io/tidegate/agent:latest"}


def test_the_commands_of_the_pages_work_one_after_another(compose: Compose, push: Push, tmp_path: Path) -> None:
    compose.write({"services": {"web": {"image": push("1").reference, "labels": {"tidegate.enable": "true"}}}})
    compose.up()
    second, state, target = push("2").digest[7:19], tmp_path / "state", f"{compose.project}/web"
    real = {"shop/web": target, "b90e58975ae2": second, "/tmp/tidegate-state": str(state)}
    lines = {re.sub("|".join(real), lambda found: real[found[0]], line) for line in EXECUTED}
    assert set(IN_ORDER) <= {re.sub(second, "DIGEST", line.replace(target, "TARGET")) for line in lines}
    for line in sorted(lines, key=lambda line: place(line.replace(target, "TARGET").replace(second, "DIGEST"))):
        done = tidegate(state, "agent", *shlex.split(line), check=False)
        none_left = line == "quarantine release all"
        assert done.returncode == int(none_left), (line, done.stderr)


IN_ORDER = (
    "rollback TARGET",
    "quarantine release DIGEST",
    "rollback TARGET --to DIGEST",
    "quarantine release TARGET",
    "quarantine release all",
)


def place(line: str) -> int:
    """An update first, then the ways back from it; what only looks comes in between."""
    if line.startswith("run"):
        return -2
    return IN_ORDER.index(line) if line in IN_ORDER else -1


@pytest.mark.parametrize("line", AGENTS)
def test_every_command_that_is_mentioned_is_one(tmp_path: Path, line: str) -> None:
    path = list(itertools.takewhile(re.compile("[a-z]+").fullmatch, shlex.split(line)))
    command = [sys.executable, "-m", "tidegate", "agent", *path, "--help"]
    env = {"PATH": os.environ["PATH"], **environment(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, path != []) == (0, True), done.stderr
    assert f"tidegate agent {' '.join(path)}" in done.stdout, line  # not the help of what is above it


def test_a_shell_block_has_only_commands_that_are_checked() -> None:
    known = (
        r"make [a-z-]+",
        r"python3 scripts/ground\.py run --engine \w+ -- \.venv/bin/python bench/(agent|compare|downtime)\.py .*",
        r"cd examples/autonomy",
        r"docker compose -f docker-compose\.yml( -f docker-compose\.[a-z-]+\.yml)+ up -d( --scale orchestrator=2)?",
        r"docker build -f deploy/Dockerfile -t ghcr\.io/tidegate/agent:latest \.",
        r"docker build -f deploy/manager/Dockerfile -t ghcr\.io/tidegate/manager:latest \.",
        r"docker compose -f deploy/manager/docker-compose\.yml (up -d --wait|exec manager .*)",
        r"docker compose (up -d|down --volumes|logs .*tidegate)",
        r"cosign (generate-key-pair|sign --key cosign\.key .*)",
        r"docker compose exec tidegate (tidegate agent .*|cat /var/lib/tidegate/history.jsonl)",
        r"\.venv/bin/tidegate agent .*",
        r"\.venv/bin/python bench/manager\.py .*",
        r"curl .*/(api/v1/|feed\.json).*",  # of the API, whose document a test holds to what it does
        r"docker network prune --force --filter label=tidegate\.private-for",
        r"docker image ls --filter reference=tidegate\.local/keep",
    )
    lines = [line for block in blocks("sh") if block.page not in PLAYED for line in block.text.splitlines() if line]
    assert [line for line in lines if not any(re.fullmatch(form, line) for form in known)] == []
