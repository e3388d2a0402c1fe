"""The deployment script takes over a cluster that somebody made: what it says follows, and nothing is lost."""

from __future__ import annotations

import json
import re
import shlex
import shutil
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


def test_a_linked_file_that_would_change_is_refused_by_name_and_stays_a_link(deployment: Deployment) -> None:
    deployment.adopted(updater=deployment.agent)
    shared = {name: deployment.aside / name for name in (".env", "docker-compose.yml")}
    for name, real in shared.items():
        (deployment.folder / name).rename(real)
        (deployment.folder / name).symlink_to(real)
    texts = deployment.files()
    told = deployment.run(code=2)
    assert (deployment.files(), deployment.compose.ids(), (deployment.folder / ".env").is_symlink()) == (
        texts,
        set(),
        True,
    )
    command = re.search(r"'(cp [^']+)'", told)
    assert command
    subprocess.run(shlex.split(command[1]), check=True)
    deployment.run()
    assert shared[".env"].read_text(encoding="utf-8") == texts[".env"]
    assert (deployment.folder / "docker-compose.yml").is_symlink()  # nothing in it changes
    told = deployment.run("--from", str(deployment.template), "--agent-image", deployment.agent, code=2)
    assert f"{deployment.folder}/docker-compose.yml is a link" in told
    assert shared["docker-compose.yml"].read_text(encoding="utf-8") == texts["docker-compose.yml"]


@pytest.mark.parametrize("separator", [":", ","])
def test_other_files_may_be_anywhere_and_be_parted_by_what_compose_is_told(
    deployment: Deployment, separator: str
) -> None:
    deployment.adopted(updater=deployment.agent)
    override(deployment, "more.yml")
    (deployment.folder / "more.yml").rename(deployment.aside / "more.yml")
    here, there = f"{deployment.folder}/docker-compose.yml", f"{deployment.aside}/more.yml"
    with (deployment.folder / ".env").open("a", encoding="utf-8") as file:
        file.write(f"COMPOSE_PATH_SEPARATOR={separator}\nCOMPOSE_FILE={here}{separator}{there}\n")
    deployment.run()
    named = deployment.env()["COMPOSE_FILE"].split(separator)
    assert named == ["docker-compose.yml", there, "docker-compose.deployment.yml"]
    assert label(deployment.folder) == "more.yml"
    assert deployment.compose.container("consumer")["Config"]["Labels"]["from"] == "more.yml"
    assert "nothing to change" in deployment.run()


def test_a_separator_that_is_in_a_name_is_refused(deployment: Deployment) -> None:
    deployment.adopted(updater=deployment.agent)
    assert "COMPOSE_PATH_SEPARATOR is '-'" in deployment.run("--set", "COMPOSE_PATH_SEPARATOR=-", code=2)


@pytest.mark.parametrize("engine", ["tidegate", "watchtower"])
def test_what_the_updaters_own_command_says_is_kept(deployment: Deployment, engine: str) -> None:
    words = ["-ce", "--scope", "prod", "--interval=90", "--monitor-only", "--stop-timeout", "30s", "it's $$one", "web"]
    deployment.adopted(command=f"    command: {json.dumps(words)}\n", interval="")
    image = ("--agent-image", deployment.agent, "--set", f"WATCHTOWER_IMAGE={deployment.watchtower}")
    from_ = ("--from", str(override_alone(deployment))) if engine == "watchtower" else ()
    deployment.run("--engine", engine, *image, *from_)
    updater = deployment.compose.container("watchtower")
    more = ["-c", "--monitor-only", "--stop-timeout", "30s", "it's $one", "web"]
    assert updater["Config"]["Cmd"] == ["--label-enable", "--scope", "prod", *more]
    variable = "WATCHTOWER_INTERVAL=90" if engine == "tidegate" else "WATCHTOWER_POLL_INTERVAL=90"
    assert variable in updater["Config"]["Env"]
    assert deployment.compose.container("orchestrator")["Config"]["Labels"][SCOPE] == "prod"
    assert "nothing to change" in deployment.run()
    deployment.run("--scope", "blue")
    assert deployment.compose.container("watchtower")["Config"]["Cmd"] == ["--label-enable", "--scope", "blue", *more]


def override_alone(deployment: Deployment) -> Path:
    """A folder to copy from that has Watchtower's file, without a command in it, and the folder's own Compose file."""
    folder = deployment.aside / "from"
    folder.mkdir()
    text = "services:\n  watchtower:\n    image: ${WATCHTOWER_IMAGE}\n"
    (folder / "docker-compose.watchtower.yml").write_text(text, encoding="utf-8")
    shutil.copy(deployment.template / "docker-compose.watchtower-managed.yml", folder)
    shutil.copy(deployment.folder / "docker-compose.yml", folder)
    return folder


def test_what_its_variables_say_is_kept_and_may_be_changed(deployment: Deployment) -> None:
    lines = "".join(f"      - {line}\n" for line in ("WATCHTOWER_SCOPE=prod", "WATCHTOWER_POLL_INTERVAL=600"))
    deployment.adopted(command="", interval=lines, updater=deployment.agent)
    deployment.run()
    updater = deployment.compose.container("watchtower")["Config"]
    assert updater["Cmd"] == ["--label-enable", "--scope", "prod"]
    assert {"WATCHTOWER_INTERVAL=600", "WATCHTOWER_POLL_INTERVAL=600"} <= set(updater["Env"])
    deployment.run("--interval", "60")
    told = deployment.compose.container("watchtower")["Config"]["Env"]
    assert {"WATCHTOWER_INTERVAL=60", "WATCHTOWER_POLL_INTERVAL=60"} <= set(told)


def test_a_schedule_is_refused_until_an_interval_takes_its_place(deployment: Deployment) -> None:
    command = "    command: --label-enable --schedule '0 0 4 * * *'\n"
    deployment.adopted(command=command, interval="", updater=deployment.agent)
    told = deployment.run(code=2)
    assert "has the schedule '0 0 4 * * *', which cannot be kept: say --interval" in told
    assert deployment.compose.ids() == set()
    deployment.run("--interval", "60")
    assert deployment.compose.container("watchtower")["Config"]["Cmd"][-1] == "autonomy-cluster"
    assert "nothing to change" in deployment.run()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("--run-once", "--run-once (the updater would end)"),
        ("--label-enable=false", "--label-enable=false (only what"),
        ("--no-restart --notifications=shoutrrr", "--no-restart (of Watchtower alone), --notifications (of Watchtower"),
        ("--http-api-token hunter2", "--http-api-token (write the secret into its environment"),
        ("--http-api-token=hunter2", "--http-api-token (write the secret into its environment"),
    ],
)
def test_what_of_its_command_cannot_be_kept_is_refused_by_name(deployment: Deployment, command: str, said: str) -> None:
    deployment.adopted(command=f"    command: {command}\n", updater=deployment.agent)
    told = deployment.run(code=2)
    assert (said in told, "hunter2" in told, deployment.compose.ids()) == (True, False, set())


def test_a_schedule_in_its_environment_is_refused(deployment: Deployment) -> None:
    deployment.adopted(interval="      - WATCHTOWER_SCHEDULE=0 0 4 * * *\n", updater=deployment.agent)
    assert "environment has WATCHTOWER_SCHEDULE, which cannot be kept" in deployment.run("--interval", "60", code=2)


@pytest.mark.parametrize("name", ["compose.yaml", "compose.yml"])
def test_of_two_compose_files_it_does_not_take_the_one_that_compose_leaves(deployment: Deployment, name: str) -> None:
    deployment.adopted(updater=deployment.agent)
    (deployment.folder / name).write_text("services: {}\n", encoding="utf-8")
    assert f"there are {name} and docker-compose.yml in {deployment.folder}" in deployment.run(code=2)
    assert deployment.compose.ids() == set()
    (deployment.folder / name).unlink()
    deployment.run()
    (deployment.folder / name).write_text("services: {}\n", encoding="utf-8")
    assert "nothing to change" in deployment.run()  # .env says which


def test_a_cluster_whose_file_has_another_name_gets_no_second_one(deployment: Deployment) -> None:
    deployment.adopted(updater=deployment.agent)
    env, base = deployment.folder / ".env", deployment.folder / "docker-compose.yml"
    before = env.read_text(encoding="utf-8") if env.exists() else ""
    base.rename(deployment.folder / "prod.yml")
    env.write_text(f"{before}COMPOSE_FILE=prod.yml\n", encoding="utf-8")
    assert "does not name docker-compose.yml" in deployment.run(code=2)
    assert (deployment.compose.ids(), base.exists()) == (set(), False)
    (deployment.folder / "prod.yml").rename(base)
    env.write_text(f"{before}COMPOSE_FILE=./docker-compose.yml\n", encoding="utf-8")
    deployment.run()
