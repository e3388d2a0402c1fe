"""The deployment script takes over a cluster that somebody made: what it says follows, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from tests.support.deployment import Deployment
from tests.support.docker import docker

OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
ENABLE, SCOPE = "com.centurylinklabs.watchtower.enable", "com.centurylinklabs.watchtower.scope"


def override(deployment: Deployment, name: str) -> None:
    text = f"services:\n  consumer:\n    labels:\n      from: {name}\n"
    (deployment.folder / name).write_text(text, encoding="utf-8")


def label(folder: Path) -> str:
    """Which override file `docker compose` has taken there."""
    command = ["docker", "compose", "--project-directory", ".", "config", "--format", "json"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return str(json.loads(done.stdout)["services"]["consumer"]["labels"]["from"])


@pytest.mark.parametrize("present", [*((name,) for name in OVERRIDES), OVERRIDES, OVERRIDES[2:]], ids=",".join)
def test_the_override_file_that_compose_takes_stays_in_force(deployment: Deployment, present: tuple[str, ...]) -> None:
    deployment.adopted(updater=deployment.agent)
    for name in present:
        override(deployment, name)
    taken = label(deployment.folder)
    deployment.run()
    assert deployment.env()["COMPOSE_FILE"].split(":")[1:-1] == [taken]
    assert label(deployment.folder) == taken
    assert deployment.compose.container("consumer")["Config"]["Labels"]["from"] == taken


def test_of_the_plans_own_cluster_the_agent_takes_watchtowers_place(deployment: Deployment) -> None:
    theirs = deployment.adopted(enable="")
    other = deployment.image("stable")
    deployment.run("--agent-image", deployment.agent, "--interval", "60")
    assert deployment.image_of("watchtower") == deployment.agent
    labels = deployment.compose.container("orchestrator")["Config"]["Labels"]
    assert (labels[ENABLE], labels[SCOPE]) == ("true", "autonomy-cluster")
    assert (deployment.image_of("orchestrator"), deployment.env()["ORCHESTRATOR_IMAGE"]) == (deployment.channel,) * 2
    deployment.run("--channel", other)
    assert deployment.image_of("orchestrator") == other
    deployment.run("--engine", "watchtower", "--set", f"WATCHTOWER_IMAGE={deployment.watchtower}", "--interval", "90")
    updater = deployment.compose.container("watchtower")
    assert updater["Config"]["Image"] == deployment.watchtower
    assert "WATCHTOWER_POLL_INTERVAL=90" in updater["Config"]["Env"]
    assert deployment.files()["docker-compose.yml"] == theirs


def test_without_another_word_it_is_the_agents_published_image(deployment: Deployment) -> None:
    deployment.adopted()
    told = deployment.run("--dry-run", code=2)
    assert "the image ghcr.io/tidegate/agent:latest cannot be had" in told


def test_an_agents_image_of_somebodys_own_stays(deployment: Deployment) -> None:
    deployment.adopted(updater=deployment.agent)
    deployment.run()
    assert deployment.image_of("watchtower") == deployment.agent
    assert "TIDEGATE_IMAGE" not in deployment.env()


def test_an_image_without_a_tag_follows_latest(deployment: Deployment) -> None:
    latest = deployment.image("latest")
    deployment.adopted(orchestrator=latest.removesuffix(":latest"), updater=deployment.agent)
    deployment.run()
    assert deployment.image_of("orchestrator") == latest


def test_of_an_updater_that_is_not_there_it_says_what_to_copy(deployment: Deployment) -> None:
    text = deployment.adopted().replace("  watchtower:\n", "  other:\n")
    (deployment.folder / "docker-compose.yml").write_text(text, encoding="utf-8")
    files = deployment.files()
    told = deployment.run("--agent-image", deployment.agent, code=2)
    assert ("has no service 'watchtower'" in told, "not with --from" in told) == (True, True)
    assert (deployment.files(), deployment.compose.ids()) == (files, set())


def test_services_that_go_are_named_and_nothing_else_of_the_project_goes(deployment: Deployment) -> None:
    extra = f"  extra:\n    image: {deployment.consumer}\n\n  # Written as for Watchtower"
    text = deployment.adopted(updater=deployment.agent).replace("  # Written as for Watchtower", extra)
    (deployment.folder / "docker-compose.yml").write_text(text, encoding="utf-8")
    deployment.run()
    name = f"{deployment.compose.project}-theirs"
    labels = {"project": deployment.compose.project, "service": "theirs", "oneoff": "False"}
    words = [word for key, value in labels.items() for word in ("--label", f"com.docker.compose.{key}={value}")]
    docker("run", "-d", "--name", name, *words, deployment.consumer)
    told = deployment.run("--from", str(deployment.template), "--agent-image", deployment.agent)
    assert "will remove the containers of extra, which" in told
    assert (deployment.compose.ids("extra"), len(deployment.compose.ids("theirs"))) == (set(), 1)


USED = """    environment:
      DB: ${DB_PASSWORD:-none}
      BARE:
      ESCAPED: $$SHOUTED
      # ${SAID}
"""


def test_a_variable_of_the_shell_that_env_lacks_is_refused_by_name(deployment: Deployment) -> None:
    command = '    command: ["ask", "orchestrator", "8000"]\n'
    deployment.adopted(updater=deployment.agent, consumer=command + USED)
    exported = dict.fromkeys(("DB_PASSWORD", "BARE", "SHOUTED", "SAID"), "hunter2")
    files = deployment.files()
    told = deployment.run(env=exported, code=2)
    assert [name for name in exported if f"use {name}, " in told] == ["DB_PASSWORD", "BARE"]
    assert (deployment.files(), deployment.compose.ids(), "hunter2" in told) == (files, set(), False)
    with (deployment.folder / ".env").open("a", encoding="utf-8") as file:
        file.write("DB_PASSWORD=theirs\nBARE=too\n")
    deployment.run(env=exported)
    assert {"DB=theirs", "BARE=too"} <= set(deployment.compose.container("consumer")["Config"]["Env"])


def test_a_variable_named_as_one_of_the_scripts_own_does_not_reach_compose(deployment: Deployment) -> None:
    command = '    command: ["ask", "orchestrator", "8000"]\n'
    deployment.adopted(updater=deployment.agent, consumer=command + "    environment:\n      SHOWN: ${TOKEN}\n")
    with (deployment.folder / ".env").open("a", encoding="utf-8") as file:
        file.write("TOKEN=theirs\n")
    deployment.run(env={"TOKEN": "shell"})
    assert "SHOWN=theirs" in deployment.compose.container("consumer")["Config"]["Env"]
