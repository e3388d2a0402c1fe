"""The ground under the tests: engines, registry, images, and nothing left of them."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import Push
from tests.support import leaks
from tests.support.absent import PRIVATE, cannot
from tests.support.compose import Compose
from tests.support.daemon import Daemon, small_engine
from tests.support.docker import docker, inspect
from tests.support.engines import unique
from tests.support.images import build
from tests.support.registry import Registry
from tests.support.waiting import get_json, served_version, status, wait_for

from groundwork.paths import ENGINES, unpacked

ROOT = Path(__file__).resolve().parents[2]
GROUND = [sys.executable, str(ROOT / "scripts/ground.py")]


def test_the_engine_is_the_version_that_the_matrix_names(engine_version: str) -> None:
    assert engine_version == os.environ["GROUND_ENGINE"]
    if "GROUND_PRIVATE" in os.environ:
        start = json.loads((Path(os.environ["GROUND_FOLDER"]) / "dockerd.json").read_text(encoding="utf-8"))
        (release,) = [name for name in ENGINES if unpacked(name) in Path(start["argv"][0]).parents]
        assert engine_version == ENGINES[release]


def test_an_image_that_was_pushed_can_be_pulled_and_runs(push: Push) -> None:
    image = push("7")
    try:
        assert docker("run", "--rm", "--entrypoint", "sh", image.reference, "-c", "echo $VERSION") == "7"
        assert docker("image", "inspect", "--format", "{{.Id}}", image.reference) == image.image_id
        assert image.digest in docker("image", "inspect", "--format", "{{.RepoDigests}}", image.reference)
    finally:
        docker("rmi", image.reference)


def test_the_engine_pulls_from_a_registry_with_a_password_only_after_login(password_registry: Registry) -> None:
    image = build(password_registry, "private/app:1")
    with pytest.raises(AssertionError, match="no basic auth credentials"):
        docker("pull", image.reference)
    docker("login", "-u", password_registry.user, "-p", password_registry.password, password_registry.address)
    try:
        docker("pull", "-q", image.reference)
    finally:
        docker("logout", password_registry.address)


def test_the_engine_trusts_the_certificate_of_the_tls_registry(tls_registry: Registry) -> None:
    if not tls_registry.engine_address:
        cannot(f"this engine's trusted certificates are not ours to change: {PRIVATE}")
    image = build(tls_registry, "secure/app:1")
    docker("pull", "-q", image.reference)


def test_a_compose_service_answers_on_its_published_port(compose: Compose, push: Push) -> None:
    image = push("3", healthcheck=True)
    compose.write({"services": {"web": {"image": image.reference, "ports": ["127.0.0.1::8000"]}}})
    compose.up()
    address = compose.address("web")
    assert wait_for(lambda: served_version(address), "web answers") == "3"
    wait_for(lambda: compose.container("web")["State"]["Health"]["Status"] == "healthy", "web is healthy")
    assert compose.changes() == []


def test_the_application_turns_sick_busy_and_dead_when_told(compose: Compose, push: Push) -> None:
    compose.write({"services": {"web": {"image": push().reference, "ports": ["127.0.0.1::8000"]}}})
    compose.up()
    address, name = compose.address("web"), compose.container("web")["Name"].lstrip("/")
    wait_for(lambda: status(address, "/healthz") == 200, "web answers")
    assert status(address, "/sick", method="POST") == 200
    assert status(address, "/healthz") == 503
    assert status(address, "/busy", method="POST") == 200
    busy = subprocess.run(["docker", "exec", name, "sh", "-c", "/app busy"], check=False, capture_output=True)
    assert busy.returncode == 75
    status(address, "/die", method="POST")
    wait_for(lambda: inspect(name)["State"]["Status"] == "exited", "web is dead")


def test_the_application_answers_requests_in_flight_before_it_stops(compose: Compose, push: Push) -> None:
    compose.write({"services": {"web": {"image": push().reference, "ports": ["127.0.0.1::8000"]}}})
    compose.up()
    address = compose.address("web")
    wait_for(lambda: served_version(address), "web answers")
    slow = subprocess.Popen(
        [sys.executable, "-c", f"import urllib.request as u; u.urlopen('http://{address}/slow?ms=8000')"]
    )
    established = re.compile(":1F40 [0-9A-F]{8}:[0-9A-F]{4} 01 ")  # with port 8000
    connections = functools.partial(docker, "exec", _only(compose), "cat", "/proc/net/tcp")
    wait_for(lambda: established.search(connections()), "a request is under way")
    compose.run("stop", "-t", "30")
    assert slow.wait() == 0
    assert compose.container("web")["State"]["ExitCode"] == 0


def test_the_application_holds_one_connection_to_its_database(compose: Compose, push: Push) -> None:
    image = push().reference
    web = {"image": image, "environment": {"DB": "db:5432"}, "ports": ["127.0.0.1::8000"]}
    compose.write({"services": {"web": web, "db": {"image": image, "command": "db"}}})
    compose.up()
    address = compose.address("web")
    told = wait_for(lambda: get_json(address, "/db"), "web tells of its database")
    assert told["connected"]
    compose.run("restart", "-t", "0", "db")
    wait_for(lambda: (get_json(address, "/db") or {}).get("reconnects") == 1, "web has connected again")


def test_a_killed_engine_comes_back_with_its_containers(daemon: Daemon, compose: Compose, push: Push) -> None:
    compose.write({"services": {"web": {"image": push().reference, "restart": "always"}}})
    compose.up()
    before = compose.ids()
    daemon.kill()
    daemon.start()
    wait_for(lambda: compose.container("web")["State"]["Running"], "web runs again")
    assert compose.ids() == before


def test_a_small_engine_runs_out_of_disk(daemon: Daemon, push: Push, tmp_path: Path) -> None:
    assert daemon.pid
    big = push("big", files={"/ballast": os.urandom(24 << 20)})
    with small_engine(tmp_path, 20) as host, pytest.raises(AssertionError, match="no space left"):
        docker("-H", host, "pull", "-q", big.reference)
    assert docker("run", "--rm", "--entrypoint", "true", push().reference) == ""  # the other engine is as it was


def _only(compose: Compose) -> str:
    (one,) = compose.ids()
    return one


def test_what_a_test_leaves_on_the_engine_is_named_and_removed(engine_url: str) -> None:
    assert engine_url
    before = leaks.present()
    name = unique("left-over")
    docker("network", "create", "--label", "tidegate.transaction=t", name)
    assert leaks.take_away(before) == [f"network {name}"]
    assert leaks.present() == before
