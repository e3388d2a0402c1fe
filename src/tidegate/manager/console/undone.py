"""Finding out what something would come to: it is done, and undone; and that it is still the same when it is done."""

import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.rollout_apply import VerbRefusedError
from tidegate.manager.api.problems import STALE, Problem, conflict
from tidegate.manager.parts import Parts
from tidegate.manager.rollouts.create import CreateRefusedError

T = TypeVar("T")
_REFUSED = (CreateRefusedError, VerbRefusedError)


async def tried(parts: Parts, work: Callable[[AsyncConnection], Awaitable[T]]) -> tuple[T | None, str]:
    """What this comes to, or why it is refused; nothing of it stays."""
    try:
        async with parts.db.write() as conn, conn.begin_nested() as point:
            found = await work(conn)
            await point.rollback()
            return found, ""
    except _REFUSED as error:
        return None, str(error)


async def done(work: Callable[[], Awaitable[T]]) -> T:
    """Do it. Raises `Problem` where it is refused."""
    try:
        return await work()
    except _REFUSED as error:
        raise conflict("not-to-be-made", f"{error}.") from error


def seal(shown: Iterable[object]) -> str:
    """What a form says of what its page has shown."""
    return hashlib.sha256("\n".join(map(repr, shown)).encode()).hexdigest()[:32]


def check_seal(given: str, shown: Iterable[object], what: str) -> None:
    """Refuse what is not as it was shown any more. Raises `Problem`."""
    if given != seal(shown):
        detail = f"{what} is not what it was when this page was made. Nothing was done: look at it again."
        raise Problem(STALE, "stale", detail)
