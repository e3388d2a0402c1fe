"""Windows and freezes: rows with a name and a scope that rollouts go by, read and edited in one way."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Row, Table, insert, select

from tidegate.manager.api.change import Change
from tidegate.manager.api.etag import Edition, set_etag
from tidegate.manager.api.models import LARGEST_ID, Body, Name
from tidegate.manager.api.named import refuse_taken
from tidegate.manager.api.paging import Page, Paging, page
from tidegate.manager.api.router import API
from tidegate.manager.api.rows import held_row, read_row, remove_row, write_row
from tidegate.manager.api.scopes import Scope, check_scope, named_in
from tidegate.manager.parts import Parts
from tidegate.manager.rollouts.anew import rules_changed


class RuleIn(Body):
    """A rule as it is wanted. Its fields are the columns."""

    name: Name = Field(description="Its name; no two have the same.")
    scope: Scope = Field(default=Scope(), description="What it is for; empty: everything.")


class RuleOut(BaseModel):
    """A rule that is there."""

    id: int = Field(description="Its number.")
    name: str = Field(description="Its name.")
    scope: Scope = Field(description="What it is for; empty: everything.")
    created_by: str = Field(description="Who made it.")
    created_at: datetime = Field(description="When it was made.")
    version: int = Field(description="Counts its changes; the number in its ETag.")


In = TypeVar("In", bound=RuleIn)
Out = TypeVar("Out", bound=RuleOut)


@dataclass(frozen=True, slots=True)
class Rules(Generic[In, Out]):
    """All of one kind: `kind` is such as `window`, its table and its path are called `windows`.

    Every method that takes a `Change` has what waits decided anew. Each raises `Problem`.
    """

    kind: str
    table: Table
    wanted: type[In]
    shown: type[Out]

    async def every(self, parts: Parts, paging: Paging, only: "Only", *more: ColumnElement[bool]) -> Page[Out]:
        """One page of them: of those that are meant, and of which `more` holds."""
        statement = select(self.table).where(*only.of(self.table, is_postgres=parts.db.is_postgres), *more)
        async with parts.db.read() as conn:
            return page(await paging.rows(conn, statement, self.table.c.id), self._out)

    async def one(self, parts: Parts, id_: int, response: Response) -> Out:
        """One of them."""
        async with parts.db.read() as conn:
            return self._answer(response, await read_row(conn, self.table, id_, self.kind))

    async def create(self, change: Change, given: In, response: Response) -> Out:
        """Make one."""
        await self._check(change, given)
        values = _values(given) | {"created_by": change.who.user, "created_at": change.now}
        row = (await change.conn.execute(insert(self.table).values(values).returning(self.table))).one()
        await change.note(f"{self.kind}.create", f"{self.kind} {row.id}", after=self._kept(row))
        response.headers["Location"] = f"{API}/{self.table.name}/{row.id}"
        return self._answer(response, row)

    async def replace(self, change: Change, id_: int, edition: Edition, given: In, response: Response) -> Out:
        """Change one."""
        before = await held_row(change.conn, self.table, id_, self.kind, edition)
        await self._check(change, given, but=id_)
        row = await write_row(change.conn, self.table, before, **_values(given))
        kept = {"before": self._kept(before), "after": self._kept(row)}
        await change.note(f"{self.kind}.update", f"{self.kind} {id_}", **kept)
        return self._answer(response, row)

    async def delete(self, change: Change, id_: int, edition: Edition) -> None:
        """Take one away."""
        row = await held_row(change.conn, self.table, id_, self.kind, edition)
        await rules_changed(change.conn, change.now)
        await remove_row(change.conn, self.table, row)
        await change.note(f"{self.kind}.delete", f"{self.kind} {id_}", before=self._kept(row))

    async def _check(self, change: Change, given: In, but: int = 0) -> None:
        await refuse_taken(change.conn, self.table, given.name, self.kind, but=but)
        await check_scope(change.conn, given.scope)
        await rules_changed(change.conn, change.now)

    def _answer(self, response: Response, row: Row[Any]) -> Out:
        set_etag(response, row.edition)
        return self._out(row)

    def _out(self, row: Row[Any]) -> Out:
        known = {name: getattr(row, name) for name in self.shown.model_fields if name != "version"}
        return self.shown(**known, version=row.edition)

    def _kept(self, row: Row[Any]) -> Mapping[str, Any]:
        """What the audit log has of it."""
        return {name: _plain(getattr(row, name)) for name in self.wanted.model_fields}


@dataclass(frozen=True, slots=True)
class Only:
    """Which of them are listed; None: it does not matter."""

    name: str | None
    channel: int | None
    cluster: str | None

    def of(self, table: Table, *, is_postgres: bool) -> Iterator[ColumnElement[bool]]:
        """What holds of their rows."""
        if self.name is not None:
            yield table.c.name == self.name
        for part, value in (("channels", self.channel), ("clusters", self.cluster)):
            if value is not None:
                yield named_in(table.c.scope, part, value, is_postgres=is_postgres)


def _only(
    name: Annotated[str | None, Query(max_length=100, description="Only the one with this name.")] = None,
    channel: Annotated[
        int | None, Query(ge=1, le=LARGEST_ID, description="Only those that name this channel in their scope.")
    ] = None,
    cluster: Annotated[
        str | None, Query(max_length=300, description="Only those that name this cluster in their scope.")
    ] = None,
) -> Only:
    return Only(name, channel, cluster)


OnlyHere = Annotated[Only, Depends(_only)]


def _values(given: RuleIn) -> dict[str, Any]:
    return given.model_dump() | {"scope": given.scope.document()}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
