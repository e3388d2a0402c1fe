"""What the deployment script goes back to may be gone, or cannot be read, or is not all that was made."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.deployment import Deployment
from tests.support.waiting import wait_for

CHANGE = ("--interval", "60")


@pytest.mark.parametrize(
    "gone", ["the checkpoint", *(pytest.param(one, marks=pytest.mark.long) for one in ("its Compose file", "its kind"))]
)
def test_a_checkpoint_that_is_gone_costs_no_file_and_the_way_out_is_said(deployment: Deployment, gone: str) -> None:
    deployment.first()
    cut(deployment)
    (checkpoint,) = (one for one in checkpoints(deployment) if (one / ".env").exists())
    if gone == "the checkpoint":
        shutil.rmtree(checkpoint)
    else:
        (checkpoint / {"its Compose file": "docker-compose.yml", "its kind": "files"}[gone]).unlink()
    left = deployment.files()
    for words in ((), ("restore",), ("remove",)):
        told = deployment.run(*words, code=3)
        assert (deployment.files(), checkpoint.name in told) == (left, True)
    out = re.search(r"'(mv [^']+)'", told)
    assert out
    subprocess.run(shlex.split(out[1]), check=True)
    deployment.run()
    assert "nothing to change" in deployment.run()
    assert (deployment.files(), "WATCHTOWER_INTERVAL=60" in left[".env"]) == (left, True)


def cut(deployment: Deployment) -> None:
    """Kill a run when every file is changed."""
    status, _ = deployment.struck(*CHANGE, env=deployment.until("mv", "/cluster/.env", "KILL"))
    assert status == -9
    deployment.let_go()
    (deployment.aside / "mv").unlink()


def checkpoints(deployment: Deployment) -> list[Path]:
    return list((deployment.folder / ".tidegate" / "checkpoints").iterdir())


@pytest.mark.parametrize(("program", "words"), [("cat", "*/checkpoints/*/.env"), ("mkdir", "*/staging/new")])
def test_a_checkpoint_that_cannot_be_read_now_is_put_back_later(
    deployment: Deployment, program: str, words: str
) -> None:
    deployment.first()
    first = deployment.files()
    cut(deployment)
    left = deployment.files()
    assert left != first
    deployment.run(env=deployment.failing(program, words), code=3)
    assert deployment.files() == left
    deployment.run()
    assert deployment.files() == first


def test_where_a_run_fails_and_cannot_read_what_was_no_half_of_it_is_put_in_place(deployment: Deployment) -> None:
    deployment.first()
    first = deployment.files()
    sick = deployment.image("sick", env={"SICK": "1"})
    words = ("--channel", sick, "--deadline", "15")
    deployment.run(*words, env=deployment.failing("cat", "*/checkpoints/*/.env"), code=3)
    assert deployment.env()["ORCHESTRATOR_IMAGE"] == sick
    deployment.run()
    assert deployment.files() == first
    assert deployment.compose.container("orchestrator")["State"]["Health"]["Status"] == "healthy"


def test_of_a_run_that_was_killed_no_second_agent_stays(deployment: Deployment, manager: str, token: Path) -> None:
    deployment.first()
    before = deployment.ids()
    words = ["--engine", "watchtower", "--manager", manager, "--agent-name", "berlin1"]
    env = deployment.until("docker", "up -d --wait --wait-timeout 300 --no-recreate", "KILL")
    status, _ = deployment.struck(*words, "--enrolment-token-file", str(token), env=env)
    assert status == -9
    deployment.let_go()
    wait_for(lambda: len(deployment.compose.ids("agent")) == 1, "the agent is there")
    deployment.run()
    assert deployment.compose.ids("agent") == set()
    assert deployment.image_of("watchtower") == deployment.agent
    assert {name for name, one in deployment.ids().items() if before[name] == one} >= {"consumer", "orchestrator"}
