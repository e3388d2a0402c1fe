"""Who the agent is to a registry: one account for all, or what Docker's configuration says."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from tidegate.registry.credential import Credential, CredentialsUnusableError
from tidegate.registry.credential_helper import ask_helper
from tidegate.registry.docker_config import HUB, HUB_KEY, DockerConfig, load_docker_config

_log = structlog.get_logger(__name__)


class CredentialsProvider(Protocol):
    """Where the registry client gets its credentials from."""

    async def credential(self, registry: str) -> Credential | None:
        """The account for a registry, or None to ask as nobody. Raises `CredentialsUnusableError`."""


@dataclass(frozen=True, slots=True)
class NoCredentials:
    """Asks every registry as nobody."""

    async def credential(self, registry: str) -> None:  # noqa: ARG002  (the port's signature)
        """Nobody, everywhere."""
        return


@dataclass(frozen=True, slots=True)
class ConfiguredCredentials:
    """`username` and `password` for every registry where both are given, else Docker's configuration.

    The file is read at every question, so that a new `docker login` counts without a restart.
    """

    username: str = ""
    password: str = field(default="", repr=False)
    config_file: Path | None = None
    helper_timeout_s: float = 10.0
    _told: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @property
    def for_all(self) -> Credential | None:
        """The account for every registry, if there is one."""
        if not (self.username and self.password):
            return None
        return Credential(self.username, self.password, source="REPO_USER and REPO_PASS")

    async def credential(self, registry: str) -> Credential | None:
        """REPO_USER and REPO_PASS, then the registry's own helper, then the store, then the file.

        What cannot be used is logged once; it is raised where the file has no account either.
        """
        if self.for_all is not None:
            return self.for_all
        if self.config_file is None:
            return None
        try:
            config = load_docker_config(self.config_file)
            return await self._from_helper(config, registry) or config.stored(registry)
        except CredentialsUnusableError as error:
            self._tell(error)
            raise

    def _tell(self, error: CredentialsUnusableError) -> None:
        if str(error) not in self._told:
            self._told.add(str(error))
            _log.warning("credentials cannot be used; what needs none is asked for without", reason=str(error))

    async def _from_helper(self, config: DockerConfig, registry: str) -> Credential | None:
        helper = config.helper(registry)
        if helper is None:
            return None
        server = HUB_KEY if registry == HUB else registry
        try:
            return await ask_helper(helper, server, timeout_s=self.helper_timeout_s)
        except CredentialsUnusableError as error:
            if (stored := config.stored(registry)) is None:
                raise
            self._tell(error)
            return stored


def credentials_from(environ: Mapping[str, str]) -> ConfiguredCredentials:
    """Credentials as the environment names them: REPO_USER, REPO_PASS, DOCKER_CONFIG (a folder), HOME."""
    folder = environ.get("DOCKER_CONFIG") or str(Path(environ.get("HOME") or "/root") / ".docker")
    return ConfiguredCredentials(
        environ.get("REPO_USER", ""), environ.get("REPO_PASS", ""), Path(folder) / "config.json"
    )


def engine_auth(credential: Credential, registry: str) -> str:
    """The X-Registry-Auth value with which the engine pulls from `registry`: base64url of a JSON object."""
    server = HUB_KEY if registry == HUB else registry
    account = (
        {"identitytoken": credential.identity_token}
        if credential.identity_token
        else {"username": credential.username, "password": credential.password}
    )
    return base64.urlsafe_b64encode(json.dumps({**account, "serveraddress": server}).encode()).decode()
