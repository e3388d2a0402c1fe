"""What the command line needs of the agent; `tidegate.agent.commands` is the module that has it."""

from importlib import import_module
from typing import Protocol, cast

from tidegate.agent.command_rows import CommandOutcome, HistoryRow, StatusRow
from tidegate.agent.plan_row import PlanRow
from tidegate.agent.pull_reporter import PullReporter
from tidegate.agent.settings import Settings
from tidegate.agent.store.quarantine import QuarantineEntry


class AgentCommands(Protocol):
    """The functions of `tidegate.agent.commands`.

    All may raise `EngineError`, `StateError` and `CommandError`; only `run`, `rollback` and `quarantine_release`
    change anything.
    """

    async def run(self, settings: Settings, *, pulls: PullReporter | None) -> int:
        """Look after the containers until told to stop, or once; the exit code. `pulls` None: log them."""

    async def plan(self, settings: Settings) -> list[PlanRow]:
        """Every container of the engine, selected or not."""

    async def status(self, settings: Settings) -> list[StatusRow]:
        """The selected containers."""

    async def rollback(
        self, settings: Settings, cluster: str, service: str, *, to: str | None, pulls: PullReporter | None
    ) -> CommandOutcome:
        """Put back the release before, or the one with digest `to`. `pulls` None, or an agent runs: log them."""

    async def quarantine_list(self, settings: Settings) -> list[QuarantineEntry]:
        """The digests that are not tried again, the oldest first."""

    async def quarantine_release(self, settings: Settings, what: str) -> list[QuarantineEntry]:
        """Let go of what `what` names (see `store.quarantine.named`); what was let go."""

    async def history(self, settings: Settings, *, limit: int) -> list[HistoryRow]:
        """The last transactions, the newest last; `settings.names` picks CLUSTER/SERVICE if any."""


def agent_commands() -> AgentCommands:
    """The module, loaded when a command needs it: it brings the engine and registry clients with it."""
    return cast("AgentCommands", import_module("tidegate.agent.commands"))
