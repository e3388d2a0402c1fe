"""Which of the manager's keys is the newest: the database knows, and who has an older one signs nothing with it.

Replicas share a file of keys or have a copy each, and agents forget a key once they know the next. A key that is new to
the database is the newest if the one before it is still in its file; that is how a rotation is told from an old copy.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.agents.keys import KeysError, ManagerKeys, check_keys, read_keys
from tidegate.manager.store.counters import advance
from tidegate.manager.store.errors import StoreUnavailableError
from tidegate.manager.store.schema import signing_keys

_COUNTER = "keys"
_RETRY_S = 30
_WHAT_TO_DO = (
    "put the file there that begins with that key, from another replica or from the backup; where no file has that key "
    "any more, see `tidegate manager adopt-key --help`"
)
_log = structlog.get_logger(__name__)


class KeyBehindError(StoreUnavailableError):
    """The file's own key is not the newest, so nothing is signed. It may be put right while the manager runs."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retry_after_s=_RETRY_S, for_all=False)


async def behind(conn: AsyncConnection, keys: ManagerKeys) -> KeyBehindError | None:
    """Why these keys may not sign, as the database is; None where they may."""
    return _behind(keys, await _known(conn))


async def check(conn: AsyncConnection, keys: ManagerKeys, now: datetime) -> None:
    """See, in the transaction that signs, that these keys may; the database knows their first from then on.

    Whoever locks an agent's row before it asks knows of every key that the agent was told of. Raises `KeyBehindError`.
    """
    known = await _known(conn)
    if _is_new(keys, known):
        await _hold(conn)
        known = await _known(conn)
    if (error := _behind(keys, known)) is not None:
        raise error
    if _is_new(keys, known):
        await note(conn, keys.public, now)


async def claim(conn: AsyncConnection, path: Path, now: datetime) -> ManagerKeys:
    """The keys of this file, which may sign from now on; it is made where the database knows of no key.

    Raises `KeyBehindError`, and `KeysError` where there is no file, or none that can be used.
    """
    await _hold(conn)
    known = await _known(conn)
    _check_file(path, known)
    keys = read_keys(path)
    await check(conn, keys, now)
    return keys


async def adopt(conn: AsyncConnection, path: Path, now: datetime) -> tuple[str, str]:
    """Have the key of this file be the newest, whatever it is; the newest before (empty: none) and now.

    It is made where there is no file. Raises `KeysError`.
    """
    await _hold(conn)
    known = await _known(conn)
    check_keys(path)
    before, public = known[-1] if known else "", read_keys(path).public
    if public != before:
        await note(conn, public, now)
    return before, public


async def note(conn: AsyncConnection, public: str, now: datetime) -> None:
    """Have the key with this public half be the newest."""
    values = {"number": await advance(conn, _COUNTER), "public_key": public, "since": now}
    await conn.execute(insert(signing_keys).values(values))


class KeyWatch:
    """Whether this process may sign, as it was seen last."""

    def __init__(self) -> None:
        self._behind: KeyBehindError | None = None

    def see(self, error: KeyBehindError | None) -> None:
        """It is so now; the log is told when that changes."""
        if error is not None and self._behind is None:
            _log.error("this replica signs nothing and decides no rollouts", reason=str(error))
        if error is None and self._behind is not None:
            _log.info("this replica has the newest signing key, and signs again")
        self._behind = error

    @property
    def may_sign(self) -> bool:
        """Whether it may."""
        return self._behind is None

    def check(self) -> None:
        """Raises `KeyBehindError` where it may not."""
        if self._behind is not None:
            raise KeyBehindError(str(self._behind))


def _check_file(path: Path, known: Sequence[str]) -> None:
    if known and not path.exists():
        raise KeysError(f"the signing keys {path} are not there, and agents know the key {known[-1]}: {_WHAT_TO_DO}")
    check_keys(path)


def _is_new(keys: ManagerKeys, known: Sequence[str]) -> bool:
    """Whether the database has yet to hear of the first, which comes after the newest that it knows."""
    return not known or (keys.public not in known and keys.known_as(known[-1]) is not None)


def _behind(keys: ManagerKeys, known: Sequence[str]) -> KeyBehindError | None:
    if _is_new(keys, known) or keys.public == known[-1]:
        return None
    return KeyBehindError(
        f"the signing keys {keys.path} begin with the key {keys.public}, and the newest that the database knows is "
        f"{known[-1]}: {_WHAT_TO_DO}"
    )


async def _hold(conn: AsyncConnection) -> None:
    """Keep others from telling of a key until the transaction ends."""
    await advance(conn, _COUNTER, 0)


async def _known(conn: AsyncConnection) -> list[str]:
    """The public halves of all keys that there were, the newest last."""
    return list((await conn.execute(select(signing_keys.c.public_key).order_by(signing_keys.c.number))).scalars())
