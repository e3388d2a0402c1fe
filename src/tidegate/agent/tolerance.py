"""Clearing up: what the engine refuses there is told of, and keeps nobody from an update."""

import contextlib
from collections.abc import Iterator

import structlog

from tidegate.engine.errors import EngineError, EngineUnavailableError

_log = structlog.get_logger(__name__)


@contextlib.contextmanager
def tolerated(what: str) -> Iterator[None]:
    """Log that `what` could not be removed, and go on. Raises `EngineUnavailableError`."""
    try:
        yield
    except EngineUnavailableError:
        raise
    except EngineError as error:
        _log.warning("something made for an update could not be removed", what=what, reason=str(error))
