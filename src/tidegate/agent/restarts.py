"""Restarts of what depends on something updated: written down first, so that a kill leaves nothing stopped."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import structlog

from tidegate.agent.guard import ENDING_SIGNALS
from tidegate.agent.meanwhile import find
from tidegate.agent.missed import PastEvents
from tidegate.agent.survey import Place
from tidegate.agent.tools import Journal, new_id
from tidegate.domain.recreate_candidate import NO_RESTART
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError
from tidegate.engine.model import Container, Event
from tidegate.engine.port import Engine

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Restart:
    """A restart as its journal has it.

    `started_at` is when the container had started that is to start again, `policy` its restart policy, and `time_ns`
    when this was written down.
    """

    container: str
    name: str
    started_at: str
    signal: str | None
    timeout_s: int | None
    policy: Mapping[str, Any] | None = None
    time_ns: int = 0

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Restart":
        """From the record that a journal begins with."""
        return cls(**{field.name: record[field.name] for field in fields(cls) if field.name in record})


class Restarts:
    """Stops a container with its own signal and grace period, and starts it again."""

    def __init__(self, engine: Engine, journal: Journal, past_events: PastEvents) -> None:
        self._engine = engine
        self._journal = journal
        self._past_events = past_events

    async def begin(self, places: Iterable[Place]) -> dict[str, Restart]:
        """Write down, by journal, the restart of what still runs: a person may have stopped or removed it since."""
        begun = {}
        for place in places:
            container = await find(self._engine, place.id)
            if container is None or not container.running:
                _log.info("not restarted: it does not run any more", container=place.name)
                continue
            txid, restart = new_id(), _restart_of(place, container)
            self._journal.begin(txid, {"kind": "restart", **asdict(restart)})
            begun[txid] = restart
        return begun

    async def finish(self, txid: str, restart: Restart, stops: int = 0) -> None:
        """Take the steps that are not taken yet, also after a kill between them; `stops` were begun before it.

        Raises `EngineUnavailableError`; it can be finished later.
        """
        _log.info("restarting, because what it depends on was updated", container=restart.name)
        try:
            await self._finish(txid, restart, stops)
        except EngineUnavailableError:
            raise
        except NotFoundError:
            _log.info("not restarted: somebody removed it", container=restart.name)
        except EngineError as error:
            _log.error("could not be restarted", container=restart.name, reason=str(error))
        self._journal.close(txid)

    async def _finish(self, txid: str, restart: Restart, stops: int) -> None:
        container = await self._engine.container(restart.container)
        if container.running and container.started_at == restart.started_at:
            self._journal.append(txid, {"kind": "stopping"})
            stops += 1
            await self._engine.stop(restart.container, signal=restart.signal, timeout_s=restart.timeout_s)
        container = await self._engine.container(restart.container)
        await self._restore_policy(restart, container)
        if container.running:
            return
        if stops == 0:
            _log.info("not restarted: it does not run any more", container=restart.name)
            return
        if stopped_by_somebody(await self._past_events(restart.time_ns), restart.container, stops):
            _log.info("not started again: somebody stopped it", container=restart.name)
            return
        await self._engine.start(restart.container)

    async def _restore_policy(self, restart: Restart, container: Container) -> None:
        """A stop by another signal takes the restart policy away for a moment, in which the agent may be killed."""
        if (
            restart.signal is not None
            and restart.policy
            and _kept_up(restart.policy)
            and not _kept_up(_policy(container))
        ):
            await self._engine.set_restart_policy(restart.container, restart.policy)


def stopped_by_somebody(events: Iterable[Event], container: str, stops: int) -> bool:
    """Whether a container was sent a signal, or was stopped, more often than by the agent's own `stops`.

    A stop sends one signal, then SIGKILL where the container takes too long.
    """
    told = Counter(
        (event.action, event.attributes.get("signal", ""))
        for event in events
        if event.id == container and (event.action == "stop" or _ends(event))
    )
    return any(count > stops for count in told.values())


def _ends(event: Event) -> bool:
    return event.action == "kill" and event.attributes.get("signal", "15") in ENDING_SIGNALS


def _restart_of(place: Place, container: Container) -> Restart:
    policy = place.policy
    limit_s = policy.stop_timeout_s if policy else None
    return Restart(
        container=place.id,
        name=place.name,
        started_at=container.started_at,
        signal=policy.stop_signal if policy else None,
        timeout_s=None if limit_s is None else int(limit_s),
        policy=_policy(container),
        time_ns=time.time_ns(),
    )


def _policy(container: Container) -> Mapping[str, Any]:
    return (container.document.get("HostConfig") or {}).get("RestartPolicy") or NO_RESTART


def _kept_up(policy: Mapping[str, Any]) -> bool:
    return policy.get("Name") not in {None, "", "no"}


async def start(engine: Engine, container: str, name: str) -> None:
    """Start a container; one that cannot be started is told of."""
    try:
        await engine.start(container)
    except EngineUnavailableError:
        raise
    except EngineError as error:
        _log.error("could not be started", container=name, reason=str(error))
