"""A Compose project of one service with a published port, whose image moves on."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.images import Pushed, build
from tests.support.registry import Registry

from groundwork.registry import free_port

LOOPBACK = "127.0.0.1"
PROBE = {"tidegate.probe.http": ":8000/healthz", "tidegate.probe.interval": "500ms"}
"""A probe instead of a health check: the engine starts a process for each check, which costs more than an update."""


@dataclass
class Cluster:
    """The project, the port it publishes, and where its releases come from."""

    compose: Compose
    folder: Path
    port: int
    registry: Registry
    tag: str
    boot_s: float
    host: str = LOOPBACK
    service: str = "web"

    @property
    def address(self) -> str:
        """HOST:PORT of what it publishes."""
        return f"{self.host}:{self.port}"

    def names(self) -> list[str]:
        """Of its one container."""
        return [self.container]

    def push(self, version: str) -> Pushed:
        """Push a release."""
        env = {"BOOT_S": f"{self.boot_s:g}"} if self.boot_s else {}
        return build(self.registry, self.tag, version=version, env=env)

    @property
    def container(self) -> str:
        """The name of its container."""
        return f"{self.compose.project}-web-1"


@contextmanager
def cluster(boot_s: float = 0, labels: Mapping[str, str] | None = None, host: str = LOOPBACK) -> Iterator[Cluster]:
    """A cluster with version 0 up, whose port is published on an address of this machine; gone when the block ends."""
    registry = Registry(os.environ["GROUND_REGISTRY"])
    name = f"tidegate-bench-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
        compose = Compose(Path(folder), name)
        one = Cluster(compose, Path(folder), free_port(), registry, f"{name}/app:latest", boot_s, host)
        first = one.push("0")
        compose.write(_document(first.reference, one.address, labels or {}))
        try:
            docker("pull", "-q", first.reference)
            compose.up()
            yield one
        finally:
            compose.clean()


def _document(reference: str, address: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {"services": {"web": {"image": reference, "ports": [f"{address}:8000"], "labels": {**PROBE, **labels}}}}
