"""docker-registry on a loopback port: its configuration and its start."""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import subprocess
from typing import TYPE_CHECKING, Any

from groundwork.engine import wait_until
from groundwork.packages import find
from groundwork.paths import GroundError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LOG = "registry.log"


def program() -> str:
    """Find docker-registry."""
    found = find("usr/bin/docker-registry")
    if not found:
        raise GroundError("No docker-registry program: install it (Debian: apt-get install docker-registry).")
    return str(found)


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on, of those that the kernel gives to no outgoing connection."""
    for port in secrets.SystemRandom().sample(range(20_000, 32_000), 500):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise GroundError("No port of 127.0.0.1 is free between 20000 and 32000: end what listens there.")


def start(
    folder: Path, address: str, settings: Mapping[str, Any] | None = None, more: str = ""
) -> subprocess.Popen[bytes]:
    """Start a registry with its blobs in `folder`, listening on `address` ("HOST:PORT"); it answers on return.

    `settings` are merged over the sections of its configuration, e.g. {"auth": {"htpasswd": {...}}}. `more` are
    sections of their own, in YAML. What it logs is in `folder`, in LOG.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }
    for section, value in (settings or {}).items():
        config[section] = config.get(section, {}) | value
    sections = [f"{name}: {json.dumps(section)}\n" for name, section in config.items()]  # JSON is YAML too
    (folder / "config.yml").write_text("".join([*sections, more]), encoding="utf-8")
    log = folder / LOG
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program(), "serve", str(folder / "config.yml")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # out of reach of a terminal's Ctrl-C
        )
    host, port = address.rsplit(":", 1)
    wait_until(lambda: _listens(host or "127.0.0.1", int(port)), process, log)
    return process


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True
