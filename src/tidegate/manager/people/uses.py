"""When each token was used last: collected, and written from time to time."""

import asyncio

from sqlalchemy import update

from tidegate.manager.parts import Parts
from tidegate.manager.store.schema import tokens

_EVERY_S = 30


class TokenUses:
    """A service; a crash loses what it collected since it wrote last, which is half a minute."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._seen: set[int] = set()

    def saw(self, token_id: int) -> None:
        """This token was used now."""
        self._seen.add(token_id)

    async def run(self) -> None:
        """Write what was collected."""
        while True:
            await asyncio.sleep(_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write now what was collected. Raises `StoreUnavailableError`, and has it still."""
        seen = sorted(self._seen)
        if seen:
            async with self._parts.db.write() as conn:
                statement = update(tokens).where(tokens.c.id.in_(seen)).values(used_at=self._parts.clock())
                await conn.execute(statement)
            self._seen.difference_update(seen)
