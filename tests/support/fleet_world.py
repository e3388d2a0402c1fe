"""A fleet with a manager, as the tests of the command line see it: in memory, or the real one with simulated agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tests.support.fleet_fake import FakeManager
from tests.support.fleet_state import QUICK

from tidegate.domain.channel_policy import read_channel_policy

WEB = "ghcr.io/acme/web:latest"
ORCHESTRATOR = "ghcr.io/acme/orchestrator:autonomy-latest"
NGINX = "docker.io/library/nginx:1"


class World(Protocol):
    """What tests arrange."""

    @property
    def url(self) -> str:
        """The manager's address."""

    def token(self, role: str, user: str = "ann") -> str:
        """A token of somebody."""

    def host(self, agent: str, targets: Mapping[str, tuple[str, str]], labels: Mapping[str, str] | None = None) -> None:
        """An agent that joins; `targets` are PROJECT/SERVICE with the channel that they follow and what runs."""

    def release(self, channel: str, version: str) -> str:
        """A release is seen on a channel; its digest."""

    def digest(self, channel: str, version: str) -> str:
        """The digest that a release has."""

    def bad(self, digest: str, why: str) -> None:
        """A release that fails wherever it goes."""

    def policy(self, channel: str, **settings: Any) -> None:
        """Set a channel's policy; soaking takes no time."""

    def monitor(self, target: str) -> None:
        """PROJECT@AGENT/SERVICE is monitored only from now on, by its host's word."""

    def watchtower(self, agent: str, counts: Mapping[str, int]) -> None:
        """The Watchtower that updates in this agent's place counts that."""

    def silence(self) -> None:
        """Agents carry out nothing from now on."""

    def answer(self) -> None:
        """Agents carry out what they are told, also what they were told meanwhile."""

    def alert(self) -> None:
        """Something is to be looked at: alert 1."""

    def settle(self) -> None:
        """Wait until no rollout goes on by itself."""


class FakeWorld:
    """In memory."""

    def __init__(self, manager: FakeManager) -> None:
        self.manager = manager

    @property
    def url(self) -> str:
        return self.manager.url

    def token(self, role: str, user: str = "ann") -> str:
        return self.manager.token(role, user)

    def host(self, agent: str, targets: Mapping[str, tuple[str, str]], labels: Mapping[str, str] | None = None) -> None:
        self.manager.tell(lambda: self.manager.state.host(agent, dict(targets), dict(labels or {})))

    def release(self, channel: str, version: str) -> str:
        return self.manager.tell(lambda: self.manager.state.release(channel, version))

    def digest(self, channel: str, version: str) -> str:
        return self.release(channel, version)

    def bad(self, digest: str, why: str) -> None:
        self.manager.state.bad[digest] = why

    def policy(self, channel: str, **settings: Any) -> None:
        state = self.manager.state
        self.manager.tell(
            lambda: state.policies.update({state.channel(channel): read_channel_policy(QUICK | settings)})
        )

    def monitor(self, target: str) -> None:
        self.manager.state.targets[target].held = True

    def watchtower(self, agent: str, counts: Mapping[str, int]) -> None:
        self.manager.state.hosts[agent].updater = dict(counts)

    def silence(self) -> None:
        self.manager.state.silent = True

    def answer(self) -> None:
        self.manager.tell(self.manager.state.answer_all)

    def alert(self) -> None:
        """It has one anyway."""

    def settle(self) -> None:
        self.manager.tell(self.manager.state.go)
