"""Sessions: who has signed in with a token in a browser, which is shown something that ends sooner than the token.

A session is its token's: it may what that may, and counts no more once that is revoked or has expired.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.people import tokens
from tidegate.manager.people.secrets import SESSION, Presented, hashed, new_secret, token_text
from tidegate.manager.people.tokens import TokenRefusedError, Who
from tidegate.manager.store.schema import sessions


@dataclass(frozen=True, slots=True)
class Session:
    """One that counts."""

    id: int
    who: Who
    expires_at: datetime


async def begin(conn: AsyncConnection, who: Who, now: datetime, lasts: timedelta) -> str:
    """A new session of a token: its text, which nobody can read again."""
    await conn.execute(delete(sessions).where(sessions.c.expires_at <= now))
    secret = new_secret()
    row = {
        "hash": hashed(secret),
        "token_id": who.token_id,
        "created_at": now,
        "expires_at": now + lasts,
        "address": who.address,
    }
    number = (await conn.execute(insert(sessions).values(row).returning(sessions.c.id))).scalar_one()
    return token_text(SESSION, number, secret)


async def find(conn: AsyncConnection, shown: Presented | None, now: datetime, address: str) -> Session:
    """The session that somebody shows. Raises `TokenRefusedError`."""
    row = None
    if shown is not None:
        row = (await conn.execute(select(sessions).where(sessions.c.id == shown.id))).one_or_none()
    if shown is None or row is None or not shown.matches(row.hash):
        raise TokenRefusedError("the session is not one of this manager")
    if row.expires_at <= now:
        raise TokenRefusedError("the session has ended")
    known = await tokens.find(conn, row.token_id)
    if known is None:
        raise TokenRefusedError("the session's token is gone")
    return Session(shown.id, tokens.counts(known, now, address), row.expires_at)


async def end(conn: AsyncConnection, id_: int) -> None:
    """End a session."""
    await conn.execute(delete(sessions).where(sessions.c.id == id_))
