"""A private dockerd: its command line, its start, and whether an engine answers."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from groundwork.paths import GroundError, search_path, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from subprocess import Popen

# Addresses of the ground itself that its containers reach too. In a network of its own they clash with nothing.
LAN_ADDRESS = "192.0.2.1"
SECURE_ADDRESS = "192.0.2.2"
SECURE_NAME = "secure.test"


def control_group(folder: Path) -> str:
    """Name of the control group above every container of the ground at `folder`."""
    return f"tidegate-ground-{folder.name}"


def command_line(release: str, folder: Path) -> list[str]:
    """Start a private dockerd of `release`: its paths are in `folder` or in /run, which is the ground's own."""
    return [
        str(unpacked(release) / "usr/sbin/dockerd"),
        f"--data-root={folder}/data",
        "--exec-root=/run/docker",
        "--pidfile=/run/docker.pid",
        "--host=unix:///run/docker.sock",
        "--bip=10.127.0.1/24",
        "--default-address-pool=base=10.128.0.0/9,size=24",
        f"--cgroup-parent=/{control_group(folder)}",
        "--exec-opt=native.cgroupdriver=cgroupfs",
        f"--init-path={unpacked('bookworm') / 'usr/bin/tini-static'}",
        f"--insecure-registry={LAN_ADDRESS}/32",
    ]


def environment(release: str) -> dict[str, str]:
    """The variables that dockerd runs with: its own helper programs come first in PATH."""
    return os.environ | {"PATH": f"{search_path(release)}:{os.environ['PATH']}"}


def ask(host: str, path: str, timeout_s: float = 2.0) -> Any:
    """GET a path of an engine's API: the decoded JSON, or the text that is none. OSError if it does not answer."""
    parts = urlsplit(host)
    connection = http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 2375, timeout=timeout_s)
    try:
        if parts.scheme == "unix":
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(timeout_s)
            connection.sock.connect(parts.path)
        connection.request("GET", path)
        body = connection.getresponse().read().decode()
    except http.client.HTTPException as error:
        raise OSError(f"{host} speaks no HTTP: {error!r}") from error
    finally:
        connection.close()
    try:
        return json.loads(body)
    except json.JSONDecodeError:
        return body


def answers(host: str) -> bool:
    """Tell whether an engine answers at `host`."""
    try:
        return bool(ask(host, "/_ping") == "OK")
    except OSError:
        return False


def version(host: str) -> str:
    """An engine's version as the test matrix writes it, e.g. "20.10"."""
    return ".".join(str(ask(host, "/version")["Version"]).split(".")[:2])


def wait_until(ready: Callable[[], bool], process: Popen[bytes], log: Path, *, limit_s: float = 60) -> None:
    """Return once `ready()`; GroundError with the log's end if the process ends before or the limit passes."""
    deadline = time.monotonic() + limit_s
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
            why = "ended" if process.poll() is not None else f"did not answer within {limit_s:g} s"
            raise GroundError(f"{log.stem} {why}; the end of its log:\n{tail}")
        time.sleep(0.05)
