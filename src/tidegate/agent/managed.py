"""What the rest of the agent knows of its link to a manager, which is loaded only where one is set."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from tidegate.agent.decide import Decision
from tidegate.agent.outcome import Result
from tidegate.agent.prepare import Prepared
from tidegate.agent.unended import Unended
from tidegate.engine.model import Event


class Ends(Protocol):
    """Who is told how transactions end."""

    def ended(self, assignments: Collection[str], result: Result, prepared: Sequence[Prepared]) -> None:
        """One that carried these assignments out has ended; called again where that was not noted.

        Raises `StateError`.
        """

    def not_put_back(self, assignments: Collection[str], reason: str) -> None:
        """One that carried these out has left nothing that serves, and cannot be ended now. Raises `StateError`."""


class Link(Ends, Protocol):
    """The link, as the agent's loop uses it."""

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to talk to the manager; `wake` is called when there is something to do."""

    async def close(self) -> None:
        """End it."""

    def next_due(self) -> datetime | None:
        """When an assignment has its turn, if any waits."""

    async def carry_out(self, unended: Unended) -> None:
        """Carry out what is due; nothing else may act meanwhile. Raises `EngineError`, `StateError`."""

    def put_off(self) -> None:
        """Nothing is due for a while: carrying out was cut short."""

    def seen(self, decisions: Iterable[Decision]) -> None:
        """A look has found these digests on their channels."""

    def heard(self, event: Event) -> None:
        """Something happened on the engine."""
