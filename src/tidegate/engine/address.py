"""Where an engine listens: DOCKER_HOST and the TLS files, as a connector of the HTTP client."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tidegate.engine.errors import EngineUnavailableError

DEFAULT_HOST = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True)
class Address:
    """An engine's address. Exactly one of `socket_path` (a local socket) and `url` (`tcp://host:port`) is set."""

    text: str
    socket_path: str | None = None
    url: str | None = None

    @property
    def local(self) -> bool:
        """Whether the engine's file system may be the one seen from here."""
        return self.socket_path is not None


def parse_address(docker_host: str | None) -> Address:
    """Read a DOCKER_HOST value; None or empty is the usual socket. Raises `EngineUnavailableError`."""
    text = docker_host or DEFAULT_HOST
    scheme, _, rest = text.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        return Address(text, socket_path=rest)
    if scheme in {"tcp", "http", "https"} and rest:
        return Address(text, url=text)
    raise EngineUnavailableError(
        f"The engine's address {text!r} cannot be used: write DOCKER_HOST as unix:///path or tcp://host:port"
    )


def tls_context(environ: Mapping[str, str] = os.environ) -> ssl.SSLContext | None:
    """The client's TLS context when DOCKER_TLS_VERIFY is set, from the files under DOCKER_CERT_PATH.

    Raises `EngineUnavailableError` where the files cannot be read.
    """
    if environ.get("DOCKER_TLS_VERIFY", "") in {"", "0", "false"}:
        return None
    folder = Path(environ.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    try:
        context.load_verify_locations(cafile=folder / "ca.pem")
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    except OSError as error:
        raise EngineUnavailableError(
            f"DOCKER_TLS_VERIFY is set, but {folder} has no usable ca.pem, cert.pem and key.pem ({error}): "
            "set DOCKER_CERT_PATH to the folder that holds them"
        ) from error
    return context


def connector_for(address: Address, tls: ssl.SSLContext | None) -> aiohttp.BaseConnector:
    """A connector that makes one connection per call: a kept one does not survive an engine's restart."""
    if address.socket_path is not None:
        return aiohttp.UnixConnector(address.socket_path, force_close=True, limit=0)
    return aiohttp.TCPConnector(ssl=tls if tls is not None else True, force_close=True, limit=0)


def base_url(address: Address, *, secure: bool) -> str:
    """What aiodocker takes as its address: the scheme decides on TLS, a socket's path is in the connector."""
    if address.url is None:
        return "unix://localhost"
    rest = address.url.partition("://")[2].rstrip("/")
    return f"{'https' if secure or address.url.startswith('https:') else 'http'}://{rest}"


def explain_unreachable(address: Address, reason: str, *, secure: bool) -> EngineUnavailableError:
    """One line on why nothing answered at this address, and what to do about it."""
    if address.socket_path is None:
        remedy = "check DOCKER_HOST, and that the engine listens there"
        if secure:
            remedy += " with TLS, and the certificates in DOCKER_CERT_PATH"
        return EngineUnavailableError(f"No engine answers at {address.text} ({reason}): {remedy}")
    path = Path(address.socket_path)
    if not _exists(path):
        return EngineUnavailableError(
            f"There is no engine socket at {path}: start Docker, mount the socket, or set DOCKER_HOST"
        )
    if not os.access(path, os.R_OK | os.W_OK):
        return EngineUnavailableError(
            f"The engine socket {path} may not be used by this user: "
            "run as root or as a member of the group that owns the socket"
        )
    return EngineUnavailableError(f"Nothing listens at the engine socket {path}: start Docker")


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True
