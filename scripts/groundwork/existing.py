"""Using the engine that answers already: only a registry is added to it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from groundwork import engine, registry
from groundwork.environment import variables
from groundwork.paths import GroundError
from groundwork.processes import exit_status, forward_to, spawn, start

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_HOST = "unix:///var/run/docker.sock"


def answering_host() -> str | None:
    """The engine that DOCKER_HOST, or else the usual socket, leads to; None if none answers.

    GroundError where DOCKER_HOST is not a socket of this machine: containers of elsewhere reach nothing of the ground.
    """
    host = os.environ.get("DOCKER_HOST") or DEFAULT_HOST
    if not host.startswith("unix://"):
        raise GroundError(
            f"DOCKER_HOST is {host}, and only an engine of this machine will do: set it to unix:///PATH, or unset it."
        )
    return host if engine.answers(host) else None


def run(host: str, folder: Path, command: list[str]) -> int:
    """Exit status of `command`, run with that engine and a registry, which is stopped afterwards."""
    janitor, to_janitor = spawn("groundwork.janitor", [str(folder), "delete"], own_session=True)
    port = registry.free_port()
    daemon = registry.start(folder / "registry", f"127.0.0.1:{port}")
    os.write(to_janitor, f"{daemon.pid}\n".encode())
    added = variables(host=host, engine=engine.version(host), registry=f"127.0.0.1:{port}", folder=folder)
    try:
        child = start(command, os.environ | added)
        forward_to(child.pid)
        return exit_status(child.wait())
    finally:
        os.close(to_janitor)
        janitor.wait()
