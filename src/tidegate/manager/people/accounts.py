"""Accounts of an OpenID provider: each has one token, which nobody knows, and which its sessions are of.

An account keeps the user name that it first came with, and the name is no other account's, as long as that token is not
revoked: whoever could take another name could approve twice, and whoever could take another's could act as him.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.people.audit import MANAGER
from tidegate.manager.people.roles import Role
from tidegate.manager.people.tokens import UserNameRefusedError, Who, make_token
from tidegate.manager.store.schema import tokens

_NAME = "signs in by OpenID Connect"


@dataclass(frozen=True, slots=True)
class Account:
    """One of a provider's, and what is known of it now."""

    issuer: str
    sub: str
    user: str
    role: Role

    @property
    def text(self) -> str:
        """As the database has it. No issuer has a blank."""
        return f"{self.issuer} {self.sub}"


async def arrive(conn: AsyncConnection, it: Account, now: datetime, lasts: timedelta, address: str) -> Who:
    """Who has come, with the role that the account has now, in all its sessions. Raises `UserNameRefusedError`."""
    of = tokens.c
    mine = (await conn.execute(select(of.id, of.user).where(of.account == it.text, of.revoked_at.is_(None)))).first()
    await _refuse_other_name(conn, it, mine.user if mine else it.user)
    if mine is None:
        id_, _ = await make_token(
            conn, it.user, it.role, now, name=_NAME, by=MANAGER, expires_at=now + lasts, account=it.text
        )
        return Who(it.user, it.role, id_, address)
    await conn.execute(update(tokens).where(of.id == mine.id).values(role=str(it.role), expires_at=now + lasts))
    return Who(it.user, it.role, mine.id, address)


async def _refuse_other_name(conn: AsyncConnection, it: Account, before: str) -> None:
    if before != it.user:
        raise UserNameRefusedError(
            f"this account has come as {before!r} so far, and the provider calls it {it.user!r} now; it has the new "
            "name once an administrator has revoked its token"
        )
    of = tokens.c
    others = select(of.id).where(
        of.user == it.user, of.account.startswith(f"{it.issuer} ", autoescape=True), of.account != it.text
    )
    other = (await conn.execute(others.where(of.revoked_at.is_(None)))).scalar()
    if other is not None:
        raise UserNameRefusedError(
            f"{it.user!r} is another account of the provider; this one has that name once an administrator has revoked "
            f"the other's token, no. {other}"
        )
