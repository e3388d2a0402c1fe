"""The real Watchtower in a container beside the services of a test, driven by its HTTP API."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import requests
from tests.support.absent import cannot
from tests.support.images import ARCHITECTURE, Pushed, base_layer, layer_of, push
from tests.support.registry import Registry

from groundwork import watchtower
from groundwork.paths import ROOT, GroundError

_READY_S = 30
TOKEN = "watchtower-token"
SCOPE = "com.centurylinklabs.watchtower.scope"
ENABLE = "com.centurylinklabs.watchtower.enable"
PLANNED_SCOPE = "autonomy-cluster"
FILES = ("docker-compose.yml", "docker-compose.watchtower.yml", "docker-compose.watchtower-managed.yml")
EXAMPLE = ROOT / "examples" / "autonomy"


def image(registry: Registry) -> Pushed:
    """Its image, as its releases have it: with the label that marks it. Ends the test where it was not built."""
    try:
        program = watchtower.program()
    except GroundError as error:
        cannot(str(error))
    settings = {
        "Entrypoint": ["/watchtower"],
        "Env": ["PATH=/bin"],
        "Labels": {"com.centurylinklabs.watchtower": "true"},
        "ExposedPorts": {"8080/tcp": {}},
    }
    return push(registry, "peers/watchtower:pinned", settings, _layers(str(program)), architecture=ARCHITECTURE)


@functools.cache
def _layers(program: str) -> list[bytes]:
    with open(program, "rb") as file:  # noqa: PTH123 - cached by its name
        return [base_layer(), layer_of({"/watchtower": file.read()}, mode=0o755)]


def service(of: Pushed | str, scope: str, **environment: str) -> dict[str, Any]:
    """The service of examples/autonomy/docker-compose.watchtower.yml, with this image and scope, and a port."""
    planned = example()["services"]["watchtower"]
    return {
        "image": of if isinstance(of, str) else of.reference,
        "restart": planned["restart"],
        "volumes": [f"{socket()}:/var/run/docker.sock"],
        "environment": {**planned["environment"], "WATCHTOWER_HTTP_API_TOKEN": TOKEN, **environment},
        "command": [scope if word == PLANNED_SCOPE else word for word in planned["command"]],
        "ports": ["127.0.0.1::8080"],
    }


@functools.cache
def example(files: Sequence[str] = FILES, interval_s: int = 300) -> dict[str, Any]:
    """What Compose makes of files of the example: of all, and so with a manager, or of some."""
    words = [word for name in files for word in ("-f", str(EXAMPLE / name))]
    environment = {**os.environ, "TIDEGATE_MANAGER": "http://manager", "TIDEGATE_AGENT_NAME": "berlin1"}
    environment["WATCHTOWER_INTERVAL"] = f"{interval_s}"
    command = ["docker", "compose", *words, "config", "--format", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def followed(scope: str) -> dict[str, str]:
    """The labels of a service that Watchtower looks after."""
    return {ENABLE: "true", SCOPE: scope}


def socket() -> str:
    """The engine's socket on its own host."""
    return os.environ["DOCKER_HOST"].removeprefix("unix://")


def wait_for(url: str) -> None:
    """Return when its API answers."""
    until = time.monotonic() + _READY_S
    while True:
        with contextlib.suppress(OSError):
            if requests.get(f"{url}/v1/metrics", timeout=5).status_code == HTTPStatus.UNAUTHORIZED:
                return
        assert time.monotonic() < until, f"Watchtower does not answer at {url}"
        time.sleep(0.05)
