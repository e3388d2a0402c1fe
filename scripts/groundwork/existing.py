"""Using the engine that answers already: only a registry is added to it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from groundwork import engine, registry
from groundwork.environment import variables
from groundwork.processes import exit_status, forward_to, spawn

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_HOST = "unix:///var/run/docker.sock"


def answering_host() -> str | None:
    """The engine that DOCKER_HOST, or else the usual socket, leads to; None if none answers."""
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    return host if host.startswith(("unix://", "tcp://")) and engine.answers(host) else None


def run(host: str, folder: Path, command: list[str]) -> int:
    """Exit status of `command`, run with that engine and a registry, which is stopped afterwards."""
    janitor, to_janitor = spawn("groundwork.janitor", [str(folder), "delete"], own_session=True)
    port = registry.free_port()
    daemon = registry.start(folder / "registry", f"127.0.0.1:{port}")
    os.write(to_janitor, f"{daemon.pid}\n".encode())
    added = variables(host=host, engine=engine.version(host), registry=f"127.0.0.1:{port}", folder=folder)
    child = subprocess.Popen(command, env=os.environ | added)
    forward_to(child.pid)
    status = child.wait()
    os.close(to_janitor)
    janitor.wait()
    return exit_status(status)
