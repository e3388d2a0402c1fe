"""One manager at a time on a SQLite file: what several tell each other of commits goes by PostgreSQL alone."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreError

_SUFFIX = ".lock"
_log = structlog.get_logger(__name__)


@contextlib.contextmanager
def sole_manager(db: Database) -> Iterator[None]:
    """Be the one manager on this database for as long as the block lasts, however it ends; of PostgreSQL, one of many.

    Commands that write once and end (`migrate`, `create-token`, `rotate-key`) do without. Raises `StoreError`.
    """
    if db.is_postgres:
        yield
        return
    path = Path(db.engine.url.database or "").resolve()
    with contextlib.ExitStack() as stack:
        try:
            descriptor = os.open(f"{path}{_SUFFIX}", os.O_RDWR | os.O_CREAT, 0o600)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(
                f"another manager runs on {path} already, and only PostgreSQL takes several: end that one, or have "
                f"both use PostgreSQL by TIDEGATE_DATABASE_URL"
            ) from error
        except OSError as error:  # some file systems have no locks; what else is the matter, the database says itself
            _log.warning(
                "nothing keeps a second manager from this database: see that there is none",
                file=f"{path}{_SUFFIX}",
                reason=str(error.strerror),
            )
        yield
