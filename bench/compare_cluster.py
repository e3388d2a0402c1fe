"""A small cluster with an updater beside it that is told to look, and what the engine says of it afterwards."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from bench.client import ask
from bench.compare_world import Outside, Updater
from tests.support import watchtower
from tests.support.compose import Compose
from tests.support.images import Pushed, build

from groundwork.registry import free_port

_LOOK_LIMIT_S = 180
_ANSWER_S = 2.0
_VERSION = "org.opencontainers.image.version"


@dataclass(frozen=True)
class Outcome:
    """What became of a scenario: a few words for the table, and what was found."""

    cell: str
    facts: Mapping[str, Any]


@dataclass
class Cluster:
    """A service `web` with a published port, and the updater."""

    compose: Compose
    port: int
    around: Outside
    tag: str

    def push(self, version: str, **options: Any) -> Pushed:
        """Push a release, which has a health check."""
        return build(self.around.registry, self.tag, version=version, **{"healthcheck": True, **options})

    def look(self, limit_s: float = _LOOK_LIMIT_S) -> float:
        """Have the updater look now; the seconds until it answers."""
        begun = time.monotonic()
        headers = {"Authorization": f"Bearer {watchtower.TOKEN}"}
        requests.post(f"{self.url}/v1/update", headers=headers, timeout=limit_s).raise_for_status()
        return time.monotonic() - begun

    @property
    def url(self) -> str:
        """Of the updater's API; its port is another one after each start."""
        return f"http://{self.compose.address('watchtower', 8080)}"

    def web(self) -> list[dict[str, Any]]:
        """The engine's documents of the service's containers."""
        return self.compose.containers("web")

    def process(self) -> int:
        """The updater's process."""
        return int(self.compose.container("watchtower")["State"]["Pid"])

    def serves(self, version: str) -> bool:
        """Whether one container runs, healthy and under its own name, is of that version, and answers on the port."""
        here = self.web()
        if len(here) != 1 or here[0]["Name"] != f"/{self.name}" or ask(self.port, _ANSWER_S) != version:
            return False
        state = here[0]["State"]
        return bool(state["Running"]) and state["Health"]["Status"] == "healthy" and version_of(here[0]) == version

    def comes_to_serve(self, *versions: str, limit_s: float) -> str | None:
        """The first of the versions that serves, if one does within that time."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            for version in versions:
                if self.serves(version):
                    return version
            time.sleep(0.1)
        return None

    @property
    def name(self) -> str:
        """Of the service's container, as Compose gives it."""
        return f"{self.compose.project}-web-1"

    def state(self) -> str:
        """What there is of the service, in a few words."""
        return " and ".join(_state(one) for one in self.web()) or "lost: no container left"


def version_of(container: Mapping[str, Any]) -> str:
    """The release that it was made from."""
    return str(container["Config"]["Labels"].get(_VERSION, ""))


def _state(container: Mapping[str, Any]) -> str:
    state, version = container["State"], version_of(container)
    if container["RestartCount"]:
        return f"v{version} starts again and again"
    if state["Running"]:
        return f"v{version} runs, {state['Health']['Status']}"
    return f"v{version} {state['Status']}, does not run"


@contextmanager
def cluster(
    around: Outside,
    updater: Updater,
    *,
    web: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
    **image: Any,
) -> Iterator[Cluster]:
    """A cluster that serves version 1; gone when the block ends.

    `web` is added to the service, `more` to the Compose file, `image` to the release.
    """
    name = f"tidegate-bench-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        compose = Compose(Path(folder), name)
        one = Cluster(compose, free_port(), around, f"{name}/app:latest")
        first = one.push("1", **image)
        around.pull(first.reference)
        compose.write(_document(one, updater, first, web or {}, more or {}))
        try:
            compose.up()
            watchtower.wait_for(one.url)
            if one.comes_to_serve("1", limit_s=30) is None:
                raise RuntimeError(f"the cluster does not come up: {one.state()}")
            yield one
        finally:
            compose.clean()


def _document(
    one: Cluster, updater: Updater, first: Pushed, web: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    scope = one.compose.project
    served = {
        "image": first.reference,
        "init": False,
        "restart": "unless-stopped",
        "ports": [f"127.0.0.1:{one.port}:8000"],
        "labels": watchtower.followed(scope),
        **web,
    }
    others = dict(more.get("services", {}))
    services = {"web": served, "watchtower": one.around.service(updater, scope)}
    for name, service in others.items():
        services[name] = {"image": first.reference, "init": False, "labels": watchtower.followed(scope), **service}
    return {**more, "services": services}
