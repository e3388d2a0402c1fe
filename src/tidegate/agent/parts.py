"""Puts the agent together from its settings."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from tidegate.agent.announce_container import Announcements
from tidegate.agent.cosign import Cosign
from tidegate.agent.decide import Decider
from tidegate.agent.detect import Detector
from tidegate.agent.events import EventHub
from tidegate.agent.gates import StateGates
from tidegate.agent.managed import Link
from tidegate.agent.metrics import Metrics
from tidegate.agent.missed import past_events
from tidegate.agent.output import Output
from tidegate.agent.patience import Patience
from tidegate.agent.prepare import Preparer
from tidegate.agent.private import PrivateNetworks, networked
from tidegate.agent.prove import HealthProver
from tidegate.agent.pull_reporter import LoggedPulls, PullReporter
from tidegate.agent.pulling import Puller
from tidegate.agent.settings import WATCHTOWER_ENGINE, Settings
from tidegate.agent.settling import Settler
from tidegate.agent.signatures import Signatures
from tidegate.agent.state import State
from tidegate.agent.store.files import Clock, wall_clock
from tidegate.agent.successor import Successor
from tidegate.agent.survey import Surveyor
from tidegate.agent.tools import Tools
from tidegate.agent.updater import Delegates, Updater
from tidegate.agent.whoami import own_container
from tidegate.engine.address import parse_address
from tidegate.engine.docker import DockerEngine
from tidegate.engine.port import Engine
from tidegate.registry.client import RegistryClient
from tidegate.registry.credentials import ConfiguredCredentials, credentials_from

if TYPE_CHECKING:
    from tidegate.agent.watchtower.side import WatchtowerSide

_ANOTHER_CLOCK_NS = 250_000_000
"""How far the clock of an engine that is reached over the network may be from this one's."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Parts:
    """Everything an agent, or one of its commands, works with. `own` is the agent's container id.

    `link` is None where no manager is set.
    """

    settings: Settings
    engine: Engine
    registry: RegistryClient
    state: State
    hub: EventHub
    private: PrivateNetworks
    preparer: Preparer
    detector: Detector
    tools: Tools
    updater: Updater
    metrics: Metrics
    successor: Successor
    own: str | None
    clock: Clock = wall_clock
    link: Link | None = None
    watchtower: "WatchtowerSide | None" = None

    def surveyor(self) -> Surveyor:
        """What looks at the engine's containers."""
        return Surveyor(self.engine, self.settings.filters(self_id=self.own), self.settings.policy_defaults)

    def decider(self, *, remember: bool) -> Decider:
        """What decides; `remember` False leaves no trace in the state."""
        gates = StateGates(self.state, zone=str(self.settings.timezone), remember=remember)
        return Decider(self.engine, self.detector, gates, managed=self.settings.managed)

    async def close(self) -> None:
        """Close every connection."""
        if self.link is not None:
            await self.link.close()
        if self.watchtower is not None:
            await self.watchtower.close()
        await self.hub.close()
        await self.registry.close()
        await self.engine.close()


async def assemble(settings: Settings, pulls: PullReporter | None = None) -> Parts:
    """Connect to the engine and build the rest. Raises `EngineUnavailableError`, `EngineVersionError`."""
    engine = await DockerEngine.open(settings.docker_host, settings.docker_api_version)
    own = await own_container(engine)
    credentials = _credentials(settings)
    registry = RegistryClient(credentials, insecure=settings.insecure_registries, ca_file=settings.registry_ca)
    state = State.at(settings.state)
    hub = EventHub(engine)
    private = PrivateNetworks(engine, settings.private_subnets, await networked(engine, own))
    announce = Announcements(engine, own)
    output = Output(engine, settings.failed_output)
    tools = Tools(
        engine=engine,
        hub=hub,
        private=private,
        settler=Settler(engine, private, announce),
        prover=HealthProver(engine, private, output),
        announce=announce,
        journal=state.journal,
        past_events=lambda since_ns: past_events(engine, since_ns, hub.kept),
        output=output,
        slack_ns=0 if parse_address(settings.docker_host).local else _ANOTHER_CLOCK_NS,
    )
    patience = Patience(time.monotonic)
    puller = Puller(engine, patience, pulls or LoggedPulls(_log.info))
    preparer = Preparer(engine, credentials, state.unprovable, puller, _signatures(settings, credentials))
    metrics = Metrics()
    updater = Updater(
        tools,
        preparer,
        state,
        settings.policy_defaults,
        Surveyor(engine, settings.filters(self_id=own), settings.policy_defaults).survey,
        metrics=metrics,
        revive=settings.revive_stopped,
    )
    parts = Parts(
        settings=settings,
        engine=engine,
        registry=registry,
        state=state,
        hub=hub,
        private=private,
        preparer=preparer,
        detector=Detector(registry, patience),
        tools=tools,
        updater=updater,
        metrics=metrics,
        successor=Successor(tools, preparer, updater, state),
        own=own,
    )
    if settings.update_engine == WATCHTOWER_ENGINE:
        parts.watchtower = _watchtower(parts)
    updater.delegates = lambda: _delegated(parts)
    if settings.managed:
        parts.link = updater.ends = _link(parts)
    return parts


def _link(parts: Parts) -> Link:
    """Loaded only where it is asked for: it brings the keys' library with it."""
    from tidegate.agent.link.link import ManagerLink  # noqa: PLC0415 - as above

    return ManagerLink(parts)


def _watchtower(parts: Parts) -> "WatchtowerSide":
    """As above."""
    from tidegate.agent.watchtower.side import WatchtowerSide  # noqa: PLC0415 - as above

    return WatchtowerSide.of(parts)


def _delegated(parts: Parts) -> Delegates:
    """Who ends what was begun with a Watchtower, also where that is the updater no more."""
    if parts.watchtower is not None:
        return parts.watchtower.delegated
    from tidegate.agent.watchtower.delegated import Delegated  # noqa: PLC0415 - as above

    return Delegated(None, parts.engine, parts.preparer.bring_back)


def _credentials(settings: Settings) -> ConfiguredCredentials:
    if settings.repo_user and settings.repo_pass:
        return ConfiguredCredentials(settings.repo_user, settings.repo_pass)
    if settings.docker_config is not None:
        return ConfiguredCredentials(config_file=Path(settings.docker_config) / "config.json")
    return credentials_from(os.environ)


def _signatures(settings: Settings, credentials: ConfiguredCredentials) -> Signatures | None:
    """What holds releases to the operator's policy, if there is one."""
    if settings.signatures is None:
        return None
    cosign = Cosign(
        os.environ,
        settings.state / "scratch",
        account=credentials.for_all,
        docker_config=settings.docker_config,
        ca_file=settings.registry_ca,
        insecure=settings.insecure_registries,
    )
    return Signatures(settings.signatures, cosign)
