"""Registries that ask for a password or speak TLS, each started for the tests and stopped after them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.registry import Registry
from tests.support.registry_tls import make_certificates

from groundwork import engine
from groundwork.registry import free_port, start

USER, PASSWORD = "robot", "tide-and-time"
# What `htpasswd -nbB` prints for the two; bcrypt is the only kind that the registry takes.
HTPASSWD = f"{USER}:$2b$04$OHD8SqptSYk/ueYy5XIrQ.KnUarSTKp2nomaZ0MRCWd6Po6MT2AaC\n"


@contextmanager
def plain(folder: Path, settings: Mapping[str, Any] | None = None) -> Iterator[Registry]:
    """Another registry like the session's, e.g. one that a test stops or fills."""
    with _running(folder, settings) as port:
        yield Registry(f"127.0.0.1:{port}")


@contextmanager
def with_password(folder: Path) -> Iterator[Registry]:
    """A registry that wants USER and PASSWORD."""
    folder.mkdir(parents=True, exist_ok=True)
    passwords = folder / "htpasswd"
    passwords.write_text(HTPASSWD, encoding="utf-8")
    with _running(folder, {"auth": {"htpasswd": {"realm": "tests", "path": str(passwords)}}}) as port:
        yield Registry(f"127.0.0.1:{port}", USER, PASSWORD)


@contextmanager
def with_tls(folder: Path) -> Iterator[Registry]:
    """A registry whose certificate is from a CA of its own, `ca`.

    On a private ground its engine trusts it too, at `engine_address`; an engine that ran before is left as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = make_certificates(folder, f"IP:{engine.SECURE_ADDRESS}", f"DNS:{engine.SECURE_NAME}")
    ca = made.authority
    tls = {"http": {"tls": {"certificate": str(made.certificate), "key": str(made.key)}}}
    private = "GROUND_PRIVATE" in os.environ
    with _running(folder, tls, host="" if private else "127.0.0.1") as port:
        name = f"{engine.SECURE_NAME}:{port}"
        if not private:
            yield Registry(f"127.0.0.1:{port}", ca=ca)
            return
        trusted = Path("/etc/docker/certs.d") / name  # the ground's own /etc/docker, not the machine's
        trusted.mkdir(parents=True)
        shutil.copy(ca, trusted / "ca.crt")
        try:
            yield Registry(f"127.0.0.1:{port}", ca=ca, engine_address=name)
        finally:
            shutil.rmtree(trusted)


@contextmanager
def _running(folder: Path, settings: Mapping[str, Any] | None, host: str = "127.0.0.1") -> Iterator[int]:
    port = free_port()
    process = start(folder, f"{host}:{port}", settings)
    try:
        yield port
    finally:
        process.kill()
        process.wait()
