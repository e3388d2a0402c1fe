"""Tokens of people and programs."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Query, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import ColumnElement, Row, and_, or_, select, update

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import Change, ChangeHere, PartsHere
from tidegate.manager.api.models import LINE, Body, Id
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.problems import conflict, invalid
from tidegate.manager.api.router import router as make_router
from tidegate.manager.api.rows import held_row, read_row
from tidegate.manager.people.known_tokens import tell_revoked
from tidegate.manager.people.names import NAME, NAME_TAKES, is_user_name
from tidegate.manager.people.roles import Permission, Role
from tidegate.manager.people.tokens import UserNameRefusedError, make_token
from tidegate.manager.store.schema import tokens

router = make_router("people")
_TOKENS = [needs(Permission.TOKENS)]
_TEN_YEARS_S = 10 * 366 * 86400


class TokenIn(Body):
    """A token as it is wanted."""

    user: Annotated[str, StringConstraints(pattern=NAME)] = Field(
        description=f"Whose it is: {NAME_TAKES}. Approvals count users, not tokens."
    )
    role: Role = Field(description="What it is for.")
    name: Annotated[str, StringConstraints(max_length=100, pattern=LINE)] = Field(
        default="", description="What tells it from others."
    )
    expires_in: Annotated[int, Field(strict=True, ge=1, le=_TEN_YEARS_S)] | None = Field(
        default=None, description="How many seconds it is valid; null: until it is revoked."
    )


class TokenOut(BaseModel):
    """A token, without what it is made of."""

    id: int = Field(description="Its number.")
    user: str = Field(description="Whose it is.")
    role: Role = Field(description="What it is for.")
    name: str = Field(description="What tells it apart.")
    created_by: str = Field(description="Who made it.")
    created_at: datetime = Field(description="When it was made.")
    expires_at: datetime | None = Field(description="Until when it is valid; null: until it is revoked.")
    revoked_at: datetime | None = Field(description="When it was revoked; null: it was not.")
    used_at: datetime | None = Field(description="When it was used last, to the half minute; null: never.")


class NewToken(TokenOut):
    """A token that was just made."""

    token: str | None = Field(
        description="The token, which nobody can read again; null in the answer to a request that is repeated."
    )


def is_valid(now: datetime) -> ColumnElement[bool]:
    """Whether a row of `tokens` is of one that opens something."""
    return and_(tokens.c.revoked_at.is_(None), or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now))


def _kept(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in TokenOut.model_fields}


@router.get("/tokens", dependencies=_TOKENS)
async def list_tokens(
    parts: PartsHere,
    paging: PagingHere,
    user: Annotated[str | None, Query(max_length=300, description="Only those of this user.")] = None,
    role: Annotated[Role | None, Query(description="Only those with this role.")] = None,
    *,
    valid: Annotated[bool | None, Query(description="Only those that are valid, or only the others.")] = None,
) -> Page[TokenOut]:
    """List the tokens, also those that are not valid any more."""
    statement = select(tokens)
    if user is not None:
        statement = statement.where(tokens.c.user == user)
    if role is not None:
        statement = statement.where(tokens.c.role == role)
    if valid is not None:
        good = is_valid(parts.clock())
        statement = statement.where(good if valid else ~good)
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, statement, tokens.c.id), lambda row: TokenOut(**_kept(row)))


@router.post("/tokens", status_code=201, dependencies=_TOKENS)
async def create_token(given: TokenIn, change: ChangeHere, response: Response) -> NewToken:
    """Make a token. It is shown in this answer, and never again."""
    made = await issue(change, given)
    response.headers["Location"] = f"/api/v1/tokens/{made.id}"
    return made


async def issue(change: Change, given: TokenIn) -> NewToken:
    """A token as it is wanted; of a request that is repeated the answer has none. Raises `Problem`."""
    if not is_user_name(given.user):
        raise invalid("body.user", f"nobody can be called that; it takes {NAME_TAKES}")
    expires_at = None if given.expires_in is None else change.now + timedelta(seconds=given.expires_in)
    try:
        id_, text = await make_token(
            change.conn, given.user, given.role, change.now, name=given.name, by=change.who.user, expires_at=expires_at
        )
    except UserNameRefusedError as error:
        raise conflict("name-taken", f"{error}.") from error
    row = (await change.conn.execute(select(tokens).where(tokens.c.id == id_))).one()
    until = None if expires_at is None else expires_at.isoformat()
    about = {"user": given.user, "role": str(given.role), "name": given.name, "expires_at": until}
    await change.note("token.create", f"token {id_}", after=about)
    made = NewToken(**_kept(row), token=text)
    change.keep_instead(made.model_copy(update={"token": None}).model_dump(mode="json"))
    return made


@router.get("/tokens/{id}", dependencies=_TOKENS)
async def get_token(id: Id, parts: PartsHere) -> TokenOut:  # noqa: A002 - it is what it is
    """Show one token."""
    async with parts.db.read() as conn:
        return TokenOut(**_kept(await read_row(conn, tokens, id, "token")))


@router.post("/tokens/{id}/revoke", dependencies=_TOKENS)
async def revoke_token(id: Id, change: ChangeHere) -> TokenOut:  # noqa: A002 - it is what it is
    """Revoke a token: it is refused from now on. One that was revoked stays as it is."""
    return TokenOut(**_kept(await revoke(change, id)))


async def revoke(change: Change, id_: int) -> Row[Any]:
    """Have a token be good for nothing; as it is then. Raises `Problem`."""
    row = await held_row(change.conn, tokens, id_, "token")
    if row.revoked_at is None:
        statement = update(tokens).where(tokens.c.id == id_).values(revoked_at=change.now).returning(tokens)
        row = (await change.conn.execute(statement)).one()
        tell_revoked(change.conn, id_)
        about = {"user": row.user, "role": row.role}
        await change.note("token.revoke", f"token {id_}", before=about, after=about | {"revoked": True})
    return row
