"""The background work about releases: asking registries what their tags name, and reading what that is."""

import asyncio
from pathlib import Path

from tidegate.manager.parts import Parts
from tidegate.manager.releases.poller import Poller
from tidegate.manager.releases.reader import Reader
from tidegate.manager.settings import ManagerSettings
from tidegate.registry.client import RegistryClient
from tidegate.registry.credentials import ConfiguredCredentials


class Releases:
    """Polls and reads; both over one client, so that tokens and connections are shared."""

    def __init__(self, parts: Parts) -> None:
        self._client = registry_client(parts.settings)
        self._poller = Poller(parts.db, self._client, interval_s=parts.settings.poll_interval_s, clock=parts.clock)
        self._reader = Reader(parts.db, self._client, clock=parts.clock)

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._poller.run())
                group.create_task(self._reader.run())
        finally:
            await self._client.close()


def registry_client(settings: ManagerSettings) -> RegistryClient:
    """A client with the credentials and certificates that the settings name. Raises `CaFileError`."""
    credentials = ConfiguredCredentials(
        settings.repo_user or "", settings.repo_pass or "", config_file(settings.docker_config)
    )
    return RegistryClient(credentials, insecure=settings.insecure_registries, ca_file=settings.registry_ca)


def config_file(folder: Path | None) -> Path | None:
    """Docker's configuration in this folder, or in the user's own; None where the user has no home."""
    try:
        return (folder or Path.home() / ".docker") / "config.json"
    except RuntimeError:
        return None
