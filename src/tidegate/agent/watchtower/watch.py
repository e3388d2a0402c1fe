"""Keeps an eye on Watchtower: whether it answers, what it counts, and whether it moves containers by itself."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise

import structlog

from tidegate.agent.background import Background
from tidegate.agent.metrics import Sample
from tidegate.agent.watchtower.client import Counts, WatchtowerClient, WatchtowerError
from tidegate.domain.labels import WATCHTOWER
from tidegate.domain.values import parse_bool
from tidegate.engine.errors import EngineError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

_LOOK_S = 30.0
_UPDATE, _POLLS = "http-api-update", "http-api-periodic-polls"
_log = structlog.get_logger(__name__)


class Watch:
    """What is known of Watchtower: what it counts, and `trouble`, which is empty while all is well.

    `on_change` is called when either is another.
    """

    def __init__(
        self, client: WatchtowerClient, engine: Engine, *, scope: str | None = None, look_s: float = _LOOK_S
    ) -> None:
        """`scope` is the agent's: another Watchtower, of another scope, may do what it likes."""
        self._client = client
        self._engine = engine
        self._scope = scope
        self._look_s = look_s
        self._looking = Background("watchtower")
        self._is_told = False
        self._told: Counts | None = None
        self.counts: Counts | None = None
        self.trouble = ""
        self.on_change: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Begin to look, every half a minute."""
        self._looking.start(self._run)

    async def close(self) -> None:
        """Look no more."""
        await self._looking.close()

    def ended(self) -> None:
        """An assignment has ended, and the manager was told how: what its scan came to is no trouble any more."""
        self._is_told = True

    async def look(self) -> None:
        """Look now."""
        try:
            counts, said = await self.seen()
        except EngineError:
            return
        if said != self.trouble:
            (_log.warning if said else _log.info)("Watchtower", state=said or "it answers, and waits to be told")
        if (counts, said) != (self.counts, self.trouble):
            self.counts, self.trouble = counts, said
            self.on_change()

    async def seen(self) -> tuple[Counts | None, str]:
        """What it counts, if it answers, and what is wrong with it. Raises `EngineError`."""
        try:
            counts = await self._client.counts()
        except WatchtowerError as error:
            return None, str(error)
        return counts, "; ".join(filter(None, [self._failures(counts), await self._by_itself()]))

    def samples(self) -> Sequence[Sample]:
        """For the agent's metrics."""
        counts = self.counts
        found = [("tidegate_watchtower_up", "gauge", "1 while Watchtower answers", int(counts is not None))]
        if counts is not None:
            about = "in Watchtower's last scan"
            found += [
                ("tidegate_watchtower_containers_scanned", "gauge", f"Containers looked at {about}", counts.scanned),
                ("tidegate_watchtower_containers_updated", "gauge", f"Containers updated {about}", counts.updated),
                ("tidegate_watchtower_containers_failed", "gauge", f"Containers that failed {about}", counts.failed),
            ]
        return found

    def _failures(self, counts: Counts) -> str:
        """Of a scan that nobody was told of: Watchtower counts it until the next one."""
        if self._is_told:
            self._is_told, self._told = False, counts
        if not counts.failed or counts == self._told:
            return ""
        return f"Watchtower counts {counts.failed} failed in its last scan; its log says why"

    async def _by_itself(self) -> str:
        for row in await self._engine.containers(running_only=True, labels={WATCHTOWER: ""}):
            container = await self._engine.container(row.id)
            if self._is_near(container) and _polls(container):
                return (
                    f"{container.name} polls by itself, whatever the manager says: set WATCHTOWER_HTTP_API_UPDATE to "
                    f"true and WATCHTOWER_HTTP_API_PERIODIC_POLLS to false there"
                )
        return ""

    def _is_near(self, container: Container) -> bool:
        """Whether it may move what this agent looks after."""
        theirs = _said(container, "scope")
        return self._scope is None or not theirs or theirs == self._scope

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:  # noqa: BLE001 - an agent that does not look does not see what Watchtower does
                _log.exception("Watchtower could not be looked at; it is tried again")
            await asyncio.sleep(self._look_s)


def _polls(container: Container) -> bool:
    """Whether that Watchtower updates without being asked: it does unless its API has taken the place of polling."""
    return not _is_set(container, _UPDATE) or _is_set(container, _POLLS)


def _is_set(container: Container, flag: str) -> bool:
    words = container.document["Config"].get("Cmd") or ()
    try:
        return f"--{flag}" in words or parse_bool(_said(container, flag))
    except ValueError:
        return False


def _said(container: Container, flag: str) -> str:
    """What a Watchtower was told, by its command line or else by its environment; empty: nothing."""
    config = container.document["Config"]
    words, variable = list(config.get("Cmd") or ()), f"WATCHTOWER_{flag.upper().replace('-', '_')}="
    said = [text.removeprefix(variable) for text in config.get("Env") or () if text.startswith(variable)]
    said += [after for word, after in pairwise(words) if word == f"--{flag}"]
    said += [word.partition("=")[2] for word in words if word.startswith(f"--{flag}=")]
    return said[-1] if said else ""
