"""People's tokens: made, checked, revoked."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.people.audit import Actor
from tidegate.manager.people.roles import Role
from tidegate.manager.people.secrets import PERSON, Presented, hashed, new_secret, token_text
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


class UserNameRefusedError(Exception):
    """A name that only case tells from another user's; the message has that one."""


@dataclass(frozen=True, slots=True)
class Known:
    """A token as the database has it."""

    id: int
    hash: str = field(repr=False)
    user: str
    role: Role
    expires_at: datetime | None
    revoked_at: datetime | None


async def find(conn: AsyncConnection, id_: int) -> Known | None:
    """The token with this number; None if there is none."""
    row = (await conn.execute(select(tokens).where(tokens.c.id == id_))).one_or_none()
    return Known(row.id, row.hash, row.user, Role(row.role), row.expires_at, row.revoked_at) if row else None


def check(known: Known | None, shown: Presented | None, now: datetime, address: str) -> Who:
    """Whose token it is that somebody shows. Raises `TokenRefusedError`."""
    if known is None or shown is None or not shown.matches(known.hash):
        raise TokenRefusedError("the token is not one of this manager")
    return counts(known, now, address)


def counts(known: Known, now: datetime, address: str) -> Who:
    """Whose token it is, if it is still good for anything. Raises `TokenRefusedError`."""
    if known.revoked_at is not None:
        raise TokenRefusedError("the token was revoked")
    if known.expires_at is not None and known.expires_at <= now:
        raise TokenRefusedError(f"the token expired at {known.expires_at:%Y-%m-%d %H:%M:%S} UTC")
    return Who(known.user, known.role, known.id, address)


async def make_token(
    conn: AsyncConnection,
    user: str,
    role: Role,
    now: datetime,
    *,
    name: str = "",
    by: str,
    expires_at: datetime | None = None,
    account: str = "",
) -> tuple[int, str]:
    """A new token: its number, and its text, which nobody can read again. Raises `UserNameRefusedError`."""
    await _refuse_other_case(conn, user)
    secret = new_secret()
    row = {
        "hash": hashed(secret),
        "user": user,
        "role": str(role),
        "name": name,
        "created_by": by,
        "created_at": now,
        "expires_at": expires_at,
        "account": account,
    }
    number = (await conn.execute(insert(tokens).values(row).returning(tokens.c.id))).scalar_one()
    return number, token_text(PERSON, number, secret)


async def _refuse_other_case(conn: AsyncConnection, user: str) -> None:
    """`Bob` beside `bob` would look like a second person, and count as the first. Who is both already stays so."""
    alike = select(tokens.c.user).where(func.lower(tokens.c.user) == user.lower()).distinct()
    known = set((await conn.execute(alike)).scalars())
    if known and user not in known:
        raise UserNameRefusedError(
            f"there is a user {min(known)!r} already, and {user!r} differs from it only in case: use that name, or "
            f"another one"
        )
