"""Everything that an agent has of the Watchtower beside it, which is loaded only where that is the updater."""

from dataclasses import dataclass

from tidegate.agent.parts import Parts
from tidegate.agent.watchtower.client import WatchtowerClient
from tidegate.agent.watchtower.delegated import Delegated
from tidegate.agent.watchtower.engine import WatchtowerEngine
from tidegate.agent.watchtower.watch import Watch


@dataclass(frozen=True, slots=True)
class WatchtowerSide:
    """Who has it update, who chooses when, and who watches it."""

    delegated: Delegated
    engine: WatchtowerEngine
    watch: Watch

    @classmethod
    def of(cls, parts: Parts) -> "WatchtowerSide":
        """For an agent whose settings name one."""
        client = WatchtowerClient(parts.settings.watchtower, parts.settings.watchtower_token or "")
        delegated = Delegated(client, parts.engine, parts.preparer.bring_back)
        return cls(
            delegated=delegated,
            engine=WatchtowerEngine(
                parts.engine,
                parts.detector,
                delegated,
                parts.own,
                scope=parts.settings.scope,
                stopped_too=parts.settings.include_stopped,
            ),
            watch=Watch(client, parts.engine, scope=parts.settings.scope),
        )

    async def close(self) -> None:
        """End what runs in the background."""
        await self.watch.close()
