"""The cluster of examples/autonomy behind its proxy, with so many orchestrators, whose image moves on."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.updaters import ByAgent
from tests.support import haproxy_image
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.images import Pushed, build
from tests.support.registry import Registry
from tests.support.waiting import status, wait_for

from groundwork.registry import free_port

EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "autonomy"
AGENT = ByAgent(("--label-enable", "--scope", "autonomy-cluster"))
"""With what the example's agent has on its command line."""


@dataclass
class Edge:
    """The project, the proxy's address on loopback, and what makes the orchestrator's releases, by their versions."""

    compose: Compose
    folder: Path
    address: str
    release: Callable[[str], Pushed]
    service: str = "orchestrator"

    @property
    def network(self) -> str:
        """The network between proxy and orchestrators."""
        return f"{self.compose.project}_edge"

    def push(self, version: str) -> Pushed:
        """Push a release."""
        return self.release(version)

    def names(self) -> list[str]:
        """Of the orchestrators."""
        return sorted(one["Name"].removeprefix("/") for one in self.compose.containers(self.service))


@contextmanager
def edge(
    replicas: int,
    labels: Mapping[str, str] | None = None,
    release: Callable[[str], Pushed] | None = None,
    **variables: str,
) -> Iterator[Edge]:
    """The example's orchestrators and proxy up with version 0, and nothing else of it; gone when the block ends.

    `labels`: more of them, for the orchestrator. `release`: pushes one of these versions to a tag of its own, in
    the place of the test application's. `variables`: of the example's `.env.example`.
    """
    name = f"tidegate-bench-{secrets.token_hex(4)}"
    registry, tag = Registry(os.environ["GROUND_REGISTRY"]), f"{name}/orchestrator:autonomy-latest"
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        one = Edge(
            Compose(Path(folder), name),
            Path(folder),
            f"127.0.0.1:{free_port()}",
            release or (lambda version: build(registry, tag, version=version)),
        )
        first = one.push("0")
        settings = {
            "ORCHESTRATOR_IMAGE": first.reference,
            "ORCHESTRATOR_REPLICAS": f"{replicas}",
            "EDGE_IMAGE": haproxy_image.ensure(),
            "EDGE_PORT": one.address,
            "BAKE": "1s",
        }
        one.compose.write(_document(one, labels or {}, settings | variables))
        try:
            docker("pull", "-q", first.reference)
            one.compose.up("proxy")
            wait_for(lambda: status(one.address) == 200, "the proxy has found the orchestrators")
            yield one
        finally:
            one.compose.clean()


def _document(one: Edge, labels: Mapping[str, str], variables: Mapping[str, str]) -> str:
    """The example's two files as one, with their variables filled in, and more labels for the orchestrator."""
    more = one.folder / "more.json"
    more.write_text(json.dumps({"services": {one.service: {"labels": labels}}}), encoding="utf-8")
    files = [EXAMPLE / "docker-compose.yml", EXAMPLE / "docker-compose.edge.yml", more]
    words = ["-p", one.compose.project, *(word for file in files for word in ("-f", str(file))), "config"]
    command, env = ["docker", "compose", *words], {**os.environ, **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
