"""A real registry (docker-registry 2.8) on a free loopback port, gone when its `with` block ends."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.absent import cannot
from tests.support.registry_tls import Certificates

ROOT = Path(__file__).parents[2]
USER, PASSWORD = "robot", "swordfish"
# bcrypt of PASSWORD, the only kind that docker-registry reads.
HTPASSWD = USER + ":$2b$05$abcdefghijklmnopqrstuupWDwJQeCHYIBQy8WvkVB6ImhZ476YYy\n"


@dataclass(frozen=True, slots=True)
class TokenAuth:
    """What a registry has to know of a token service: where it is, and whose signature counts."""

    realm: str
    service: str
    issuer: str
    certificate: Path


def registry_binary() -> Path:
    """docker-registry from the PATH or from the ground; without it tests skip, and under CI they fail."""
    on_path = shutil.which("docker-registry")
    found = [Path(on_path)] if on_path else sorted((ROOT / ".ground").glob("*/usr/bin/docker-registry"))
    if not found:
        cannot("no docker-registry here: run `python3 scripts/ground.py install`")
    return found[0]


@contextmanager
def registry_server(
    folder: Path,
    *,
    htpasswd: bool = False,
    tls: Certificates | None = None,
    tokens: TokenAuth | None = None,
) -> Iterator[str]:
    """Run a registry that keeps its data in `folder`; gives its `127.0.0.1:PORT`."""
    port = free_port()
    config = _config(folder, port, htpasswd=htpasswd, tls=tls, tokens=tokens)
    (folder / "config.yml").write_text(json.dumps(config))
    with (folder / "registry.log").open("wb") as log:
        command: list[str | Path] = [registry_binary(), "serve", folder / "config.yml"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _await_port(process, port, folder / "registry.log")
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(10)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _config(
    folder: Path, port: int, *, htpasswd: bool, tls: Certificates | None, tokens: TokenAuth | None
) -> dict[str, Any]:
    http: dict[str, Any] = {"addr": f"127.0.0.1:{port}", "secret": "for tests"}
    if tls is not None:
        http["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": http,
    }
    if htpasswd:
        (folder / "htpasswd").write_text(HTPASSWD)
        config["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if tokens is not None:
        config["auth"] = {
            "token": {
                "realm": tokens.realm,
                "service": tokens.service,
                "issuer": tokens.issuer,
                "rootcertbundle": str(tokens.certificate),
            }
        }
    return config


def _await_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"docker-registry did not start: {log.read_text()[-500:]}")
