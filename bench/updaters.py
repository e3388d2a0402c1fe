"""Who replaces the containers of a cluster when a release was pushed: each by one small interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from bench import program
from tests.support import watchtower
from tests.support.compose import Compose
from tests.support.docker import docker
from tests.support.images import Pushed


class Place(Protocol):
    """A cluster with one service whose image moves on."""

    compose: Compose
    folder: Path
    service: str

    def names(self) -> list[str]:
        """Of the service's containers."""

    def push(self, version: str) -> Pushed:
        """Let the tag name a release; the same version is the same image."""


class Updater(Protocol):
    """Moves a cluster to what was pushed last, and back; each returns when it is done. Raises what failed."""

    def update(self, place: Place) -> None:
        """Move to the newest release, which the tag names already."""

    def roll_back(self, place: Place, version: str) -> None:
        """Move to the release before the newest one, which runs; `version` is what that one is."""


@dataclass(frozen=True)
class ByAgent:
    """The agent, as the program: one look, or a rollback by hand."""

    words: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)

    def update(self, place: Place) -> None:
        """One look at the service's containers."""
        self._run(place, "run", "--run-once", *self.words, *place.names())

    def roll_back(self, place: Place, version: str) -> None:
        """As a person asks for it; the agent knows what ran before."""
        del version
        self._run(place, "rollback", f"{place.compose.project}/{place.service}", *self.words)

    def _run(self, place: Place, *words: str) -> None:
        program.run(place.folder / "state", "agent", *words, settings=self.settings)


class ByCompose:
    """`docker compose up -d`."""

    def update(self, place: Place) -> None:
        """The image has been pulled."""
        place.compose.up(place.service)

    def roll_back(self, place: Place, version: str) -> None:
        """The tag is pushed back, as people do."""
        docker("pull", "-q", place.push(version).reference)
        place.compose.up(place.service)


@dataclass(frozen=True)
class ByWatchtower:
    """The real Watchtower, by its image: one look at what has its labels, as docs/watchtower.md has it compared."""

    image: str
    scope: str
    network: str = "host"

    def labels(self) -> dict[str, str]:
        """Of the service that it looks after."""
        return watchtower.followed(self.scope)

    def update(self, place: Place) -> None:
        """The image has been pulled."""
        del place
        planned = watchtower.service(self.image, self.scope)
        settings = {name: text for name, text in planned["environment"].items() if name not in _OF_ITS_API}
        words = [word for name, text in settings.items() for word in ("-e", f"{name}={text}")]
        volumes = [word for volume in planned["volumes"] for word in ("-v", volume)]
        docker(
            "run", "--rm", "--network", self.network, *words, *volumes, self.image, "--run-once", *planned["command"]
        )

    def roll_back(self, place: Place, version: str) -> None:
        """It has no rollback: the tag is pushed back, as people do."""
        docker("pull", "-q", place.push(version).reference)
        self.update(place)


_OF_ITS_API = ("WATCHTOWER_HTTP_API_UPDATE", "WATCHTOWER_HTTP_API_METRICS", "WATCHTOWER_HTTP_API_TOKEN")
"""With `--run-once` it serves none."""
