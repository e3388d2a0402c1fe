"""The deployment script makes a cluster, leaves alone what is as it is to be, and changes no more than it has to."""

from __future__ import annotations

import subprocess
import time

import pytest
from tests.support.compose import Compose
from tests.support.deployment import UPDATER, WATCHTOWER, Deployment
from tests.support.docker import docker, inspect, listed

SCOPE = "com.centurylinklabs.watchtower.scope"


def test_a_new_cluster_runs_healthy_with_what_was_asked_for(deployment: Deployment) -> None:
    told = deployment.first("--interval", "90s", "--scope", "blue")
    assert "done:" in told
    orchestrator, updater = (deployment.compose.container(name) for name in ("orchestrator", "watchtower"))
    assert orchestrator["State"]["Health"]["Status"] == "healthy"
    assert (orchestrator["Config"]["Image"], orchestrator["Config"]["Labels"][SCOPE]) == (deployment.channel, "blue")
    assert updater["Config"]["Cmd"] == ["--label-enable", "--scope", "blue"]
    assert "WATCHTOWER_INTERVAL=90" in updater["Config"]["Env"]
    modes = {name: (deployment.folder / name).stat().st_mode & 0o777 for name in (".env", "docker-compose.yml")}
    assert modes == {".env": 0o600, "docker-compose.yml": 0o644}


def test_what_is_asked_for_may_be_in_variables_and_a_flag_wins(deployment: Deployment) -> None:
    env = {"WATCHTOWER_INTERVAL": "2h", "WATCHTOWER_SCOPE": "green", "TIDEGATE_CLUSTER_SET": "A=1\nB=two words"}
    deployment.run("--scope", "blue", first=True, env=env)
    written = deployment.env()
    assert (written["WATCHTOWER_INTERVAL"], written["WATCHTOWER_SCOPE"]) == ("7200", "blue")
    assert (written["A"], written["B"]) == ("1", "'two words'")
    updater = deployment.compose.container("watchtower")
    assert "WATCHTOWER_INTERVAL=7200" in updater["Config"]["Env"]


def test_run_again_it_changes_nothing_and_says_so(deployment: Deployment) -> None:
    deployment.first()
    before, files, began = deployment.ids(), deployment.everything(), time.time()
    for told in (deployment.first(), deployment.run()):
        assert "nothing to change" in told
    subprocess.run(["docker", "compose", "up", "-d"], cwd=deployment.folder, check=True, capture_output=True)
    assert deployment.done_since(began) == []
    assert (deployment.ids(), deployment.everything()) == (before, files)
    assert len(deployment.checkpoints()) == 1


def test_a_service_that_was_stopped_is_started_and_no_container_is_made_anew(deployment: Deployment) -> None:
    deployment.first()
    before, began = deployment.ids(), time.time()
    docker("stop", UPDATER)
    assert "was started" in deployment.run()
    assert deployment.ids() == before
    assert [done for done in deployment.done_since(began) if done.startswith("start")] == ["start watchtower"]


def test_of_a_newer_release_it_leaves_the_orchestrator_to_the_updater(deployment: Deployment) -> None:
    deployment.first()
    before = deployment.ids()
    deployment.image("autonomy-latest", env={"NEWER": "1"})
    docker("pull", "-q", deployment.channel)
    assert "nothing to change" in deployment.run()
    deployment.run("--interval", "60")
    assert deployment.ids()["orchestrator"] == before["orchestrator"]


def test_another_interval_replaces_the_updater_and_nothing_else(deployment: Deployment) -> None:
    deployment.first()
    before, began = deployment.ids(), time.time()
    deployment.run("--interval", "60")
    changed = {name for name, one in deployment.ids().items() if before[name] != one}
    touched = {done.split()[1] for done in deployment.done_since(began)}
    assert (changed, touched) == ({"watchtower"}, {"watchtower"})
    assert "WATCHTOWER_INTERVAL=60" in inspect(UPDATER)["Config"]["Env"]


def test_another_channel_replaces_the_orchestrator_and_nothing_else(deployment: Deployment) -> None:
    deployment.first()
    before, other = deployment.ids(), deployment.image("stable")
    deployment.run("--channel", other)
    assert {name for name, one in deployment.ids().items() if before[name] != one} == {"orchestrator"}
    assert deployment.image_of("orchestrator") == other


def test_the_engine_is_switched_to_watchtower_and_back(deployment: Deployment) -> None:
    deployment.first()
    before = deployment.ids()
    deployment.run("--engine", "watchtower", "--from", str(deployment.template))
    assert (deployment.image_of("watchtower"), "engine     watchtower" in deployment.run("status")) == (
        deployment.watchtower,
        True,
    )
    assert "WATCHTOWER_POLL_INTERVAL=300" in inspect(UPDATER)["Config"]["Env"]
    assert "nothing to change" in deployment.run()
    deployment.run("--engine", "tidegate")
    assert (deployment.image_of("watchtower"), "engine     tidegate" in deployment.run("status")) == (
        deployment.agent,
        True,
    )
    assert {name for name, one in deployment.ids().items() if before[name] != one} == {"watchtower"}


def test_a_dry_run_shows_what_would_be_and_touches_nothing(deployment: Deployment) -> None:
    told = deployment.first("--dry-run")
    assert (deployment.folder.exists(), deployment.compose.ids()) == (False, set())
    assert "+name: autonomy" in told
    deployment.first()
    before, files, began = deployment.ids(), deployment.everything(), time.time()
    told = deployment.run("--interval", "60", "--dry-run")
    assert "-WATCHTOWER_INTERVAL=300\n+WATCHTOWER_INTERVAL=60" in told
    assert [line for line in told.splitlines() if line.startswith("would")] == [
        "would make or replace the container of watchtower"
    ]
    assert "nothing would change" in deployment.run("--dry-run")
    deployment.run("remove", "--volumes", "--dry-run")
    assert (deployment.ids(), deployment.everything(), deployment.done_since(began)) == (before, files, [])


def test_the_status_tells_what_is_set_and_whether_the_updater_runs(deployment: Deployment) -> None:
    deployment.first("--interval", "60", "--scope", "blue")
    told = " ".join(deployment.run("status").split())
    expected = f"engine tidegate channel {deployment.channel} scope blue interval 60 s manager none updater runs"
    assert expected in told
    docker("stop", UPDATER)
    assert "updater does not run" in " ".join(deployment.run("status").split())


@pytest.mark.parametrize("volumes", [False, True])
def test_it_is_taken_down_and_volumes_stay_unless_they_are_named(
    deployment: Deployment, compose: Compose, *, volumes: bool
) -> None:
    deployment.first()
    label = f"label=com.docker.compose.project={compose.project}"
    assert len(listed("volume", label)) == 2  # the orchestrator's settings, and the agent's state
    deployment.run("remove", *(["--volumes"] if volumes else []))
    left = (compose.ids(), listed("network", label), len(listed("volume", label)))
    assert left == (set(), set(), 0 if volumes else 2)
    deployment.run("status", code=2)
    deployment.run()
    assert len(compose.ids()) == 3


def test_a_cluster_that_somebody_made_is_taken_over_without_a_container_made_anew_that_need_not_be(
    deployment: Deployment,
) -> None:
    deployment.folder.mkdir()
    theirs = (deployment.template / "docker-compose.yml").read_text(encoding="utf-8") + "# ours\n"
    (deployment.folder / "docker-compose.yml").write_text(theirs, encoding="utf-8")
    lines = {"COMPOSE_PROJECT_NAME": deployment.compose.project, "CONSUMER_IMAGE": deployment.consumer}
    lines |= {"ORCHESTRATOR_IMAGE": deployment.channel, "TIDEGATE_IMAGE": deployment.agent}
    text = "".join(f"{key}={value}\n" for key, value in lines.items())
    (deployment.folder / ".env").write_text(text, encoding="utf-8")
    docker("compose", "--project-directory", str(deployment.folder), "up", "-d", "--wait")
    before = deployment.ids()
    deployment.run("--interval", "60")
    after = deployment.ids()
    assert (after["consumer"], after["orchestrator"]) == (before["consumer"], before["orchestrator"])
    assert (after["watchtower"] != before["watchtower"], deployment.files()["docker-compose.yml"]) == (True, theirs)
    assert WATCHTOWER not in deployment.files()
