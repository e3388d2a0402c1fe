"""Docker's `config.json`: accounts per registry, and the helpers that keep them."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.registry.credential import Credential, CredentialsUnusableError

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
"""Under this key `docker login` keeps Docker Hub's account."""
_HUB_HOSTS = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """One configuration file; `document` is its JSON and stays out of `repr`."""

    path: Path
    document: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"DockerConfig({str(self.path)!r})"

    def helper(self, registry: str) -> str | None:
        """The helper that keeps the account: the registry's own, else the store for all.

        Raises `CredentialsUnusableError`.
        """
        own = _section(self.document, "credHelpers", self.path)
        found = next((name for key, name in own.items() if _host(key) == registry), None)
        name = found or self.document.get("credsStore") or None
        if name is not None and not isinstance(name, str):
            raise CredentialsUnusableError(f"the credential helper in {self.path} is not a name", "mend it by hand")
        return name

    def stored(self, registry: str) -> Credential | None:
        """The account written in the file itself. Raises `CredentialsUnusableError`."""
        entries = _section(self.document, "auths", self.path)
        # The exact key goes first: a file may have both `host` and `https://host/v1/`.
        keys = sorted((key for key in entries if _host(key) == registry), key=lambda key: key != registry)
        accounts = (_account(entries[key], key, self.path) for key in keys)
        return next((account for account in accounts if account is not None), None)


def load_docker_config(path: Path) -> DockerConfig:
    """Read the file; one that is not there is an empty one. Raises `CredentialsUnusableError`."""
    try:
        document = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        document = {}
    except OSError as error:
        raise CredentialsUnusableError(
            f"{path} cannot be read ({error.strerror})", "make it readable for the agent"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CredentialsUnusableError(f"{path} is not JSON", "mend it, or run `docker login` again") from error
    if not isinstance(document, dict):
        raise CredentialsUnusableError(f"{path} is not a JSON object", "mend it, or run `docker login` again")
    return DockerConfig(path, document)


def _section(document: Mapping[str, Any], name: str, path: Path) -> Mapping[str, Any]:
    section = document.get(name) or {}
    if not isinstance(section, Mapping):
        raise CredentialsUnusableError(f"{name} in {path} is not a JSON object", "mend it by hand")
    return section


def _host(key: str) -> str:
    """The registry that a key means: keys may carry a scheme and a path; Docker Hub has several names."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return HUB if host in _HUB_HOSTS else host


def _account(entry: Any, key: str, path: Path) -> Credential | None:
    """An entry is empty where a helper keeps the account."""
    if not isinstance(entry, Mapping):
        raise CredentialsUnusableError(f"the entry {key!r} in {path} is not a JSON object", "log in again")
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        username, password = _decode(str(entry["auth"]), key, path)
    identity_token = str(entry.get("identitytoken") or "")
    if not identity_token and not (username and password):
        return None
    return Credential(username, password, identity_token, str(path))


def _decode(auth: str, key: str, path: Path) -> tuple[str, str]:
    try:
        username, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except ValueError:  # not base64, or not text behind it
        colon = ""
    if not colon:
        # Not chained: the original error could carry the secret.
        raise CredentialsUnusableError(
            f"`auth` of {key!r} in {path} is not base64 of user:password", "run `docker login` again"
        ) from None
    return username, password.rstrip("\0")
