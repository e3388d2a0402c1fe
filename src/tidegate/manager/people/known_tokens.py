"""Tokens as they were read a moment ago, so that who asks often is not looked up for each request."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.parts import Parts
from tidegate.manager.people.secrets import PERSON, Presented, read_token
from tidegate.manager.people.tokens import Known, Who, check, find
from tidegate.manager.store.bus import publish
from tidegate.manager.store.topics import TOKENS

_KEPT_S = 2.0
"""After which a token is read again, should what was said of it have been lost."""
_MOST = 1000


class KnownTokens:
    """A service, one of a process. While it does not run it hears of nothing, and remembers nothing."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: OrderedDict[int, tuple[Known, float]] = OrderedDict()
        self._hears = False
        self._heard = 0

    async def who(self, text: str, address: str) -> Who:
        """Whose token it is. Raises `TokenRefusedError` and `StoreUnavailableError`."""
        shown = read_token(PERSON, text)
        known = await self._find(shown) if shown is not None else None
        return check(known, shown, self._parts.clock(), address)

    async def _find(self, shown: Presented) -> Known | None:
        now_s = asyncio.get_running_loop().time()
        known, until_s = self._known.get(shown.id, (None, 0.0))
        if known is not None and now_s < until_s and shown.matches(known.hash):
            return known
        heard = self._heard
        async with self._parts.db.read() as conn:
            known = await find(conn, shown.id)
        if known is not None and self._hears and heard == self._heard:  # else it may have been revoked meanwhile
            self._remember(known, now_s + _KEPT_S)
        return known

    def _remember(self, known: Known, until_s: float) -> None:
        self._known.pop(known.id, None)
        self._known[known.id] = known, until_s
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    async def run(self) -> None:
        """Hear of what is revoked, until cancelled."""
        with self._parts.db.bus.listening(TOKENS, self._forget):
            self._hears = True
            try:
                await asyncio.Event().wait()
            finally:
                self._hears = False
                self._known.clear()

    def _forget(self, _: Sequence[str]) -> None:
        self._heard += 1
        self._known.clear()


def tell_revoked(conn: AsyncConnection, id_: int) -> None:
    """Have every replica forget this token once the transaction is committed."""
    publish(conn, TOKENS, str(id_))
