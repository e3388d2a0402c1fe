"""People's tokens: made, checked, revoked."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.people.audit import Actor
from tidegate.manager.people.roles import Role
from tidegate.manager.people.secrets import PERSON, hashed, new_secret, read_token, token_text
from tidegate.manager.store.schema import tokens


@dataclass(frozen=True, slots=True)
class Who:
    """Whose request it is: the user, the role and the number of the token, and the address that it came from."""

    user: str
    role: Role
    token_id: int
    address: str = ""

    @property
    def actor(self) -> Actor:
        """As the audit log has it."""
        return Actor(self.user, self.address)


class TokenRefusedError(Exception):
    """A token that opens nothing; the message says why, and tells who guesses nothing."""


async def who_shows(conn: AsyncConnection, text: str, now: datetime, address: str = "") -> Who:
    """Whose token it is. Raises `TokenRefusedError`."""
    shown = read_token(PERSON, text)
    row = None
    if shown is not None:
        row = (await conn.execute(select(tokens).where(tokens.c.id == shown.id))).one_or_none()
    if shown is None or row is None or not shown.matches(row.hash):
        raise TokenRefusedError("the token is not one of this manager")
    if row.revoked_at is not None:
        raise TokenRefusedError("the token was revoked")
    if row.expires_at is not None and row.expires_at <= now:
        raise TokenRefusedError(f"the token expired at {row.expires_at:%Y-%m-%d %H:%M:%S} UTC")
    return Who(row.user, Role(row.role), row.id, address)


async def make_token(
    conn: AsyncConnection,
    user: str,
    role: Role,
    now: datetime,
    *,
    name: str = "",
    by: str,
    expires_at: datetime | None = None,
) -> tuple[int, str]:
    """A new token: its number, and its text, which nobody can read again."""
    secret = new_secret()
    row = {
        "hash": hashed(secret),
        "user": user,
        "role": str(role),
        "name": name,
        "created_by": by,
        "created_at": now,
        "expires_at": expires_at,
    }
    number = (await conn.execute(insert(tokens).values(row).returning(tokens.c.id))).scalar_one()
    return number, token_text(PERSON, number, secret)
