"""Where the deployment script fails, is refused, interrupted or killed, the cluster is as it was."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from tests.support.deployment import EXAMPLE, TOKEN, UPDATER, Deployment
from tests.support.docker import docker, inspect
from tests.support.waiting import wait_for

# (program, how the arguments end, whether the call is left out): each is another moment of a run that changes files
MOMENTS = {
    "nothing is changed yet": ("mv", "/.tidegate/in-progress", True),
    "it is noted": ("mv", "/.tidegate/in-progress", False),
    "the first file is changed": ("mv", "/cluster/docker-compose.deployment.yml", False),
    "the last file is not changed yet": ("mv", "/cluster/.env", True),
    "every file is changed": ("mv", "/cluster/.env", False),
    "the cluster is brought up": ("docker", "up -d --wait --wait-timeout 300 watchtower", False),
}
SWITCH = ("--engine", "watchtower", "--interval", "60")


def settled(deployment: Deployment) -> dict[str, str]:
    """A cluster that runs; its files."""
    deployment.first()
    return deployment.files()


def test_an_image_that_is_not_there_is_refused_before_anything_is_touched(deployment: Deployment) -> None:
    files = settled(deployment)
    before = deployment.ids()
    told = deployment.run("--channel", deployment.channel.replace("autonomy-latest", "nowhere"), code=2)
    assert "nowhere cannot be had" in told
    assert (deployment.files(), deployment.ids(), len(deployment.checkpoints())) == (files, before, 1)
    assert "cannot be had" in deployment.run("--agent-image", deployment.agent[:-6] + "nowhere", "--dry-run", code=2)


def some(names: Iterable[str], *often: str) -> list[Any]:
    """Each of them; those that are not `often` tried are among the long tests."""
    return [pytest.param(name, marks=() if name in often else pytest.mark.long) for name in names]


@pytest.mark.parametrize(
    "bad",
    [
        {"env": {"SICK": "1"}},
        pytest.param({"Entrypoint": ["/nowhere"]}, marks=pytest.mark.long),
        pytest.param({"env": {"BOOT_S": "600"}}, marks=pytest.mark.long),
    ],
)
def test_an_image_that_is_never_healthy_is_put_back(deployment: Deployment, bad: dict[str, object]) -> None:
    files = settled(deployment)
    before = deployment.ids()
    told = deployment.run("--channel", deployment.image("bad", **bad), "--deadline", "20", code=1)
    assert "files and containers are as before" in told
    assert (deployment.files(), deployment.image_of("orchestrator")) == (files, deployment.channel)
    assert deployment.compose.container("orchestrator")["State"]["Health"]["Status"] == "healthy"
    assert {name for name, one in deployment.ids().items() if before[name] == one} == {"consumer", "watchtower"}
    assert "nothing to change" in deployment.run()
    assert len(deployment.checkpoints()) == 1


def test_of_a_first_run_that_fails_nothing_stays_but_what_was_there(deployment: Deployment) -> None:
    sick = deployment.image("sick", env={"SICK": "1"})
    deployment.channel, channel = sick, deployment.channel
    deployment.run(first=True, code=1)
    assert (deployment.files(), deployment.compose.ids()) == ({}, set())
    deployment.channel = channel
    assert "done:" in deployment.first()


def test_what_cannot_be_put_back_is_said_and_is_put_back_when_it_can_be(deployment: Deployment) -> None:
    files = settled(deployment)
    sick = deployment.image("sick", env={"SICK": "1"})
    docker("pull", "-q", sick)
    docker("tag", sick, deployment.channel)  # what is gone back to is as bad: someone moved the tag
    told = deployment.run("--channel", sick, "--deadline", "20", code=3)
    assert "could not be put back" in told
    assert deployment.files() == files
    assert "was cut off" in deployment.run("status")
    docker("pull", "-q", deployment.channel)
    deployment.run()
    assert (deployment.files(), "cut off" in deployment.run("status")) == (files, False)
    assert inspect(deployment.ids()["orchestrator"])["State"]["Health"]["Status"] == "healthy"


@pytest.mark.parametrize("moment", some(MOMENTS, "the first file is changed", "the cluster is brought up"))
def test_killed_at_any_moment_it_is_put_right_by_the_next_run(deployment: Deployment, moment: str) -> None:
    program, words, instead = MOMENTS[moment]
    files = settled(deployment)
    status, _ = deployment.struck(*SWITCH, env=deployment.until(program, words, "KILL", instead=instead))
    assert status == -9
    deployment.let_go()
    deployment.run()
    assert (deployment.files(), deployment.image_of("watchtower")) == (files, deployment.agent)
    assert "WATCHTOWER_INTERVAL=300" in inspect(UPDATER)["Config"]["Env"]
    deployment.run(*SWITCH)
    assert (deployment.env()["WATCHTOWER_INTERVAL"], deployment.image_of("watchtower")) == ("60", deployment.watchtower)
    assert "nothing to change" in deployment.run()


@pytest.mark.parametrize("name", some(["INT", "TERM"], "TERM"))
@pytest.mark.parametrize(
    "moment", some([moment for moment, (_, _, instead) in MOMENTS.items() if not instead], "every file is changed")
)
def test_interrupted_it_leaves_the_old_files_or_the_new_ones_and_a_cluster_on_them(
    deployment: Deployment, moment: str, name: str
) -> None:
    program, words, instead = MOMENTS[moment]
    files = settled(deployment)
    status, told = deployment.struck(*SWITCH, env=deployment.until(program, words, name, instead=instead))
    changed = deployment.files() != files
    assert status in ({0} if changed else {130 if name == "INT" else 143}), told
    assert deployment.image_of("watchtower") == (deployment.watchtower if changed else deployment.agent)
    assert deployment.env()["WATCHTOWER_INTERVAL"] == ("60" if changed else "300")
    assert "nothing to change" in deployment.run()


def test_where_nobody_reads_any_more_what_it_prints_the_cluster_is_put_back(deployment: Deployment) -> None:
    files = settled(deployment)
    run = deployment.begin(*SWITCH, env=deployment.until("mv", "/cluster/.env", "STOP"))
    state = Path(f"/proc/{run.pid}/status")
    wait_for(lambda: "State:\tT" in state.read_text(encoding="ascii"), "it is stopped")
    assert run.stdout is not None
    run.stdout.close()
    run.send_signal(signal.SIGCONT)
    assert run.wait(timeout=120) == 141
    assert (deployment.files(), deployment.image_of("watchtower")) == (files, deployment.agent)
    assert "nothing to change" in deployment.run()


def test_a_kill_of_the_first_run_leaves_what_the_next_one_makes_whole_and_remove_takes_away(
    deployment: Deployment,
) -> None:
    deployment.folder.mkdir()
    env = deployment.until("docker", "--wait-timeout 60 consumer orchestrator watchtower", "KILL")
    status, _ = deployment.struck(*deployment.flags[2:], env=env)
    assert status == -9
    deployment.let_go()
    deployment.run("remove")
    assert (deployment.files(), deployment.compose.ids()) == ({}, set())
    deployment.first()
    assert "nothing to change" in deployment.run()


def test_two_runs_at_once_exclude_each_other(deployment: Deployment) -> None:
    settled(deployment)
    before = deployment.everything()
    with (deployment.folder / ".tidegate" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for words in (("--interval", "60"), ("restore",), ("remove",), ("--dry-run",)):
            assert "another run is at work" in deployment.run(*words, code=75)
    assert deployment.everything() == before
    assert "done:" in deployment.run("--interval", "60")


def test_while_one_run_is_at_work_another_is_refused(deployment: Deployment) -> None:
    settled(deployment)
    held = deployment.begin("--interval", "60", env=deployment.until("mv", "/.tidegate/in-progress", "STOP"))
    wait_for((deployment.aside / "done").exists, "it is stopped")
    assert "another run is at work" in deployment.run("--interval", "90", code=75)
    held.send_signal(signal.SIGCONT)
    told, _ = held.communicate(timeout=120)
    assert (held.returncode, deployment.env()["WATCHTOWER_INTERVAL"]) == (0, "60"), told


def test_a_compose_file_that_is_none_is_refused(deployment: Deployment) -> None:
    files = settled(deployment)
    (deployment.template / "docker-compose.yml").write_text("services: [", encoding="utf-8")
    assert "not valid" in deployment.run("--from", str(deployment.template), code=2)
    assert deployment.files() == files


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--engine", "other"), "tidegate or watchtower"),
        (("--scope", "a b"), "a name of letters"),
        (("--interval", "0"), "longer than nothing"),
        (("--interval", "5x"), "seconds, or a time"),
        (("--channel", "ghcr.io/acme/orchestrator"), "with the tag that is followed"),
        (("--manager", "https://ann:hunter2@example.com"), "without a password"),
        (("--set", "API_TOKEN=hunter2"), "not for secrets"),
        (("--min-free", "999999999"), "MB free"),
        (("--project", "other"), "would become other"),
        (("--manager", "http://127.0.0.1:1"), "no token to enrol with"),
        (("--nowhere", "1"), "no flag --nowhere"),
        (("restore", "20200101T000000Z"), "no checkpoint"),
        (("--scope", ""), "--scope is empty"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_what_is_taken(deployment: Deployment, words: list[str], said: str) -> None:
    deployment.first()
    before = (deployment.files(), deployment.ids())
    told = deployment.run(*words, code=2)
    assert (said in told, "hunter2" in told) == (True, False), told
    assert (deployment.files(), deployment.ids()) == before


def test_names_networks_and_ports_of_others_are_seen_before_anything_is_touched(deployment: Deployment) -> None:
    project = deployment.compose.project
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    base = deployment.template / "docker-compose.yml"
    text = base.read_text(encoding="utf-8").replace("  consumer:\n", f"  consumer:\n    ports: ['{port}:8000']\n", 1)
    base.write_text(text, encoding="utf-8")
    docker("create", "--name", UPDATER, docker_image(deployment))
    docker("network", "create", f"{project}_vtuber_network")
    told = deployment.run(first=True, code=2)
    docker("rm", UPDATER)
    docker("network", "rm", f"{project}_vtuber_network")
    assert f"the name {UPDATER} is taken" in told
    assert f"the network {project}_vtuber_network is of somebody else" in told
    assert f"port {port} of this host is taken by another program" in told
    assert (deployment.files(), deployment.compose.ids()) == ({}, set())
    listening.close()
    assert "done:" in deployment.first()
    assert "nothing to change" in deployment.run()  # the port is the cluster's own now


@pytest.mark.parametrize(("host", "free"), [("127.0.0.1:", False), ("127.0.0.2:", True), ("", False)])
def test_a_port_is_free_where_only_another_address_has_it(deployment: Deployment, host: str, *, free: bool) -> None:
    name = f"{deployment.compose.project}-other"
    docker("run", "-d", "--name", name, "-p", "127.0.0.1::8000", docker_image(deployment))
    port = docker("port", name, "8000").splitlines()[0].rsplit(":", 1)[1]
    publish(deployment, f"{host}{port}:8000")
    told = deployment.run("--dry-run", first=True, code=0 if free else 2)
    docker("rm", "-f", name)
    assert (f"port {port} of this host is taken by {name}" in told) is not free


def test_a_port_is_free_where_only_the_other_protocol_has_it(deployment: Deployment) -> None:
    name = f"{deployment.compose.project}-other"
    docker("run", "-d", "--name", name, "-p", "8000/udp", docker_image(deployment))
    port = docker("port", name, "8000/udp").splitlines()[0].rsplit(":", 1)[1]
    publish(deployment, f"{port}:8000")
    deployment.first("--dry-run")
    publish(deployment, f"{port}:8000/udp")
    told = deployment.run("--dry-run", first=True, code=2)
    docker("rm", "-f", name)
    assert f"port {port} of this host is taken by {name}" in told


def publish(deployment: Deployment, port: str) -> None:
    """Have the consumer publish it, in what the cluster is made from."""
    base = deployment.template / "docker-compose.yml"
    whole = (EXAMPLE / "docker-compose.yml").read_text(encoding="utf-8")
    base.write_text(whole.replace("  consumer:\n", f"  consumer:\n    ports: ['{port}']\n", 1), encoding="utf-8")


def docker_image(deployment: Deployment) -> str:
    """An image that is on the engine."""
    docker("pull", "-q", deployment.consumer)
    return deployment.consumer


@pytest.mark.parametrize("missing", ["docker", "flock", "engine", "compose"])
def test_what_is_missing_is_said_and_how_to_get_it(deployment: Deployment, tmp_path: Path, missing: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in os.environ["PATH"].split(":"):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else []:
            if program.name != missing and not (programs / program.name).exists():
                (programs / program.name).symlink_to(program)
    without = {"PATH": str(programs)}
    env = {"docker": without, "flock": without, "engine": {"DOCKER_HOST": "unix:///nowhere.sock"}}.get(missing)
    env = env or {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}
    told = deployment.run(first=True, code=2, env=env)
    said = {
        "docker": "install Docker Engine",
        "flock": "install util-linux",
        "engine": "systemctl start docker",
        "compose": "docker-compose-plugin",
    }
    assert (said[missing] in told, deployment.folder.exists()) == (True, False)


@pytest.mark.parametrize("by", ["a file", "a variable"])
def test_a_token_without_a_manager_is_refused(deployment: Deployment, token: Path, by: str) -> None:
    words = ("--enrolment-token-file", str(token)) if by == "a file" else ()
    env = {} if words else {"TIDEGATE_ENROLMENT_TOKEN": TOKEN}
    told = deployment.run(*words, first=True, code=2, env=env)
    assert ("and no manager: say --manager" in told, TOKEN in told, deployment.files()) == (True, False, {})


def test_no_registry_is_asked_without_tls_but_those_that_the_engine_asks_so(deployment: Deployment) -> None:
    env, calls = deployment.recording("docker")
    asked = {}
    for host in ("127.0.0.1:1", "registry.invalid", "registry.invalid:5000", "127.0.0.1.invalid", "acme"):
        calls.unlink(missing_ok=True)
        deployment.channel = f"{host}/app:one"
        told = deployment.run("--dry-run", first=True, code=2, env=env)
        assert f"{host}/app:one cannot be had" in told
        asked[host] = f"manifest inspect --insecure {host}/" in calls.read_text(encoding="utf-8")
    assert [host for host, insecure in asked.items() if insecure] == ["127.0.0.1:1"]


def test_a_network_that_the_engine_is_told_of_is_one_of_those(deployment: Deployment) -> None:
    lan = os.environ["GROUND_REGISTRY_LAN"]
    env, calls = deployment.recording("docker")
    deployment.channel = f"{lan}/nowhere:one"
    deployment.run("--dry-run", first=True, code=2, env=env)
    assert f"manifest inspect --insecure {lan}/nowhere:one" in calls.read_text(encoding="utf-8")
