"""A real registry (docker-registry 2.8) on a free loopback port, gone when its `with` block ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.absent import cannot
from tests.support.registry_tls import Certificates

from groundwork.paths import GroundError
from groundwork.registry import free_port, program, start

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


@contextmanager
def registry_server(
    folder: Path,
    *,
    htpasswd: bool = False,
    tls: Certificates | None = None,
    tokens: TokenAuth | None = None,
    more: str = "",
) -> Iterator[str]:
    """Run a registry that keeps its data in `folder`; gives its `127.0.0.1:PORT`. `more` of its settings, in YAML."""
    try:
        program()
    except GroundError as error:
        cannot(str(error))
    port = free_port()
    settings = _settings(folder, htpasswd=htpasswd, tls=tls, tokens=tokens)
    process = start(folder, f"127.0.0.1:{port}", settings, more)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _settings(
    folder: Path, *, htpasswd: bool, tls: Certificates | None, tokens: TokenAuth | None
) -> dict[str, dict[str, Any]]:
    settings: dict[str, dict[str, Any]] = {"http": {"secret": "for tests"}}
    if tls is not None:
        settings["http"]["tls"] = {"certificate": str(tls.certificate), "key": str(tls.key)}
    if htpasswd:
        (folder / "htpasswd").write_text(HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
    if tokens is not None:
        settings["auth"] = {
            "token": {
                "realm": tokens.realm,
                "service": tokens.service,
                "issuer": tokens.issuer,
                "rootcertbundle": str(tokens.certificate),
            }
        }
    return settings
