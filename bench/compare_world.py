"""What both updaters have around them: a registry with TLS and a password, and the engine of a private ground."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.relay import Traffic, relay
from tests.support import watchtower
from tests.support.docker import docker
from tests.support.registries import HTPASSWD, PASSWORD, USER
from tests.support.registry import Registry
from tests.support.registry_tls import make_certificates

from groundwork.engine import SECURE_ADDRESS, SECURE_NAME
from groundwork.registry import free_port, start

_CA_INSIDE = "/etc/registry-ca.pem"
_ASKED = re.compile(r'"(GET|HEAD|POST) (/v2/\S*|/token\S*) HTTP')
BAKE_S = 2
"""The agent watches what serves for 30 s by default, and then answers; the bench waits less. Watchtower has none."""


@dataclass(frozen=True)
class Updater:
    """What keeps a cluster up to date, by its image."""

    name: str
    image: str


class Outside:
    """The registry: `registry` is where releases are pushed to; the engine and the updaters reach it by the relay."""

    def __init__(self, folder: Path, port: int, registry: Registry, traffic: Traffic) -> None:
        self.registry, self.traffic = registry, traffic
        self.folder, self._port = folder, port
        self._process: subprocess.Popen[bytes] | None = None

    def back(self) -> None:
        """Start it."""
        tls = {"certificate": str(self.folder / "server.pem"), "key": str(self.folder / "server.key")}
        settings: dict[str, Mapping[str, Any]] = {
            "http": {"tls": tls},
            "auth": {"htpasswd": {"realm": "compare", "path": str(self.folder / "htpasswd")}},
            "log": {"level": "warn", "accesslog": {"disabled": False}},
        }
        self._process = start(self.folder, f"127.0.0.1:{self._port}", settings)

    def away(self) -> None:
        """End it: the relay closes every connection at once from now on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def asked(self) -> Counter[str]:
        """What its access log has since it was started, by the method."""
        log = (self.folder / "registry.log").read_text(encoding="utf-8", errors="replace")
        return Counter(found[1] for found in _ASKED.finditer(log))

    def pull(self, reference: str) -> None:
        """Have the engine pull an image, with the password."""
        docker("--config", str(self.folder), "pull", "-q", reference)

    def service(self, updater: Updater, scope: str) -> dict[str, Any]:
        """An updater's service of a cluster: the same for both, but for the image.

        It is that of the example, with rolling restart, cleanup, the label filter and a scope.
        """
        environment = {
            "SSL_CERT_FILE": _CA_INSIDE,
            "REPO_USER": USER,
            "REPO_PASS": PASSWORD,
            "TIDEGATE_BAKE": f"{BAKE_S}s",
        }
        planned = watchtower.service(updater.image, scope, **environment)
        volumes = [*planned["volumes"], f"{self.folder / 'ca.pem'}:{_CA_INSIDE}:ro"]
        return {**planned, "volumes": volumes, "extra_hosts": [f"{SECURE_NAME}:{SECURE_ADDRESS}"]}


@contextmanager
def outside(folder: Path) -> Iterator[Outside]:
    """A registry of the bench's own in `folder`, gone when the block ends; the engine trusts it."""
    authority = make_certificates(folder, f"IP:{SECURE_ADDRESS}", f"DNS:{SECURE_NAME}").authority
    (folder / "htpasswd").write_text(HTPASSWD, encoding="utf-8")
    port = free_port()
    with _relayed(port) as (relayed, traffic):
        name = f"{SECURE_NAME}:{relayed}"
        auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {name: {"auth": auth}}}), encoding="utf-8")
        registry = Registry(f"127.0.0.1:{port}", USER, PASSWORD, ca=authority, engine_address=name)
        trusted = Path("/etc/docker/certs.d") / name  # the ground's own /etc/docker, not the machine's
        trusted.mkdir(parents=True)
        shutil.copy(authority, trusted / "ca.crt")
        one = Outside(folder, port, registry, traffic)
        one.back()
        try:
            yield one
        finally:
            one.away()
            shutil.rmtree(trusted)


def is_private() -> bool:
    """Whether the engine is a ground's own, whose trust and whose containers are the bench's to change."""
    return "GROUND_PRIVATE" in os.environ


@contextmanager
def _relayed(port: int) -> Iterator[tuple[int, Traffic]]:
    """A relay to a loopback port, in a thread; containers reach it at the ground's addresses."""
    traffic = Traffic()
    began: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with relay(port, traffic, "0.0.0.0") as at:
            over = asyncio.Event()
            began.set_result((at, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    at, loop, over = began.result(timeout=10)
    try:
        yield at, traffic
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
