"""What every transaction of an agent works with."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from tidegate.agent.events import EventHub
from tidegate.agent.guard import Guard
from tidegate.agent.hands import Announce, Hands, Prove
from tidegate.agent.injected import Kept
from tidegate.agent.missed import PastEvents
from tidegate.agent.notes import Writing
from tidegate.agent.output import Output
from tidegate.agent.private import PrivateNetworks
from tidegate.agent.replacement import Replacement
from tidegate.agent.settling import Settler
from tidegate.domain.policy import Policy
from tidegate.engine.port import Engine


class Journal(Kept, Writing, Protocol):
    """Where a step is written down before it is taken."""

    def close(self, txid: str) -> None:
        """The transaction is over."""

    def knows(self, txid: str) -> bool:
        """Whether it is one of this agent's own."""

    def ended(self, txid: str) -> bool:
        """Whether it is one of this agent's own that is over."""


class Prover(Protocol):
    """Gives verdicts."""

    async def prove(self, container: str, policy: Policy, guard: Guard, *, network: str | None) -> None:
        """Return when healthy. Raises `Unhealthy`, `Inconclusive`."""

    async def second_opinion(self, it: Replacement, policy: Policy, guard: Guard) -> None:
        """Prove the release on the serving networks, unnamed and without ports. Raises `Unhealthy`."""

    async def bake(self, container: str, policy: Policy) -> None:
        """Watch a serving container for its bake time. Raises `Unhealthy`."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What every transaction of an agent works with."""

    engine: Engine
    hub: EventHub
    private: PrivateNetworks
    settler: Settler
    prover: Prover
    announce: Announce
    journal: Journal
    past_events: PastEvents
    output: Output
    slack_ns: int = 0
    """How far the engine's clock may be from the agent's."""

    def hands(self, it: Replacement, policy: Policy, guard: Guard, prove: Prove | None = None) -> Hands:
        """What carries out the steps of a replacement; without `prove` a candidate is judged strictly."""

        async def prove_strictly(container: str, guard: Guard, *, network: str | None) -> None:
            await self.prover.prove(container, policy, guard, network=network)

        return Hands(
            self.engine,
            self.private,
            replacement=it,
            policy=policy,
            guard=guard,
            prove=prove or prove_strictly,
            announce=self.announce,
            ended=self.journal.ended,
            kept=self.journal,
        )


def new_id() -> str:
    """A transaction's id: when it began and a little chance, sortable by time."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
