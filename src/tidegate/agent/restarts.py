"""Restarts of what depends on something updated: written down first, so that a kill leaves nothing stopped."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from tidegate.agent.meanwhile import find
from tidegate.agent.survey import Place
from tidegate.agent.tools import Journal, new_id
from tidegate.engine.errors import EngineError, EngineUnavailableError, NotFoundError
from tidegate.engine.port import Engine

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Restart:
    """A restart as its journal has it. `started_at` is when the container had started that is to start again."""

    container: str
    name: str
    started_at: str
    signal: str | None
    timeout_s: int | None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Restart":
        """From the record that a journal begins with."""
        return cls(**{key: record[key] for key in cls.__slots__})


class Restarts:
    """Stops a container with its own signal and grace period, and starts it again."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._journal = journal

    async def restart(self, place: Place) -> None:
        """Restart what still runs: a person may have stopped or removed it since it was last looked at.

        Raises `EngineUnavailableError`; `finish` goes on from there.
        """
        container = await find(self._engine, place.id)
        if container is None or not container.running:
            _log.info("not restarted: it does not run any more", container=place.name)
            return
        policy = place.policy
        limit_s = policy.stop_timeout_s if policy else None
        restart = Restart(
            container=place.id,
            name=place.name,
            started_at=container.started_at,
            signal=policy.stop_signal if policy else None,
            timeout_s=None if limit_s is None else int(limit_s),
        )
        _log.info("restarting, because what it depends on was updated", container=place.name)
        txid = new_id()
        self._journal.begin(txid, {"kind": "restart", **asdict(restart)})
        await self.finish(txid, restart)

    async def finish(self, txid: str, restart: Restart) -> None:
        """Take the steps that are not taken yet, also after a kill between them."""
        try:
            await self._stop(txid, restart)
            await self._engine.start(restart.container)
        except EngineUnavailableError:
            raise
        except NotFoundError:
            _log.info("not restarted: somebody removed it", container=restart.name)
        except EngineError as error:
            _log.error("could not be restarted", container=restart.name, reason=str(error))
        self._journal.close(txid)

    async def _stop(self, txid: str, restart: Restart) -> None:
        container = await self._engine.container(restart.container)
        if container.running and container.started_at == restart.started_at:
            await self._engine.stop(restart.container, signal=restart.signal, timeout_s=restart.timeout_s)
            self._journal.append(txid, {"kind": "stopped"})


async def start(engine: Engine, container: str, name: str) -> None:
    """Start a container; one that cannot be started is told of."""
    try:
        await engine.start(container)
    except EngineUnavailableError:
        raise
    except EngineError as error:
        _log.error("could not be started", container=name, reason=str(error))
