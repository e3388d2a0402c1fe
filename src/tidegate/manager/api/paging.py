"""Lists by pages. A page goes on after a row's own key, so nothing is shown twice or left out as rows are added."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Row, Select
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.api.problems import invalid

T = TypeVar("T")
MOST = 500
USUAL = 50
_LONGEST = 512
_LARGEST = 2**63 - 1


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T] = Field(description="The entries.")
    next: str | None = Field(description="What to give as `after` for the next page; null: this is the last one.")


class Paging:
    """Which page is asked for."""

    def __init__(self, limit: int, after: str | None) -> None:
        self.limit = limit
        self._after = after

    async def rows(
        self, conn: AsyncConnection, statement: Select[Any], key: ColumnElement[Any], *, newest_first: bool = False
    ) -> tuple[Sequence[Row[Any]], str | None]:
        """The rows of this page, in the order of `key`, a unique column of the statement; and the next cursor."""
        if self._after is not None:
            after = _read(self._after, str if key.type.python_type is str else int)
            statement = statement.where(key < after if newest_first else key > after)
        statement = statement.order_by(key.desc() if newest_first else key.asc()).limit(self.limit + 1)
        found = (await conn.execute(statement.add_columns(key.label("page_key")))).all()
        page = found[: self.limit]
        return page, cursor(page[-1].page_key) if len(found) > self.limit else None


def cursor(key: str | int) -> str:
    """The cursor after a row with this key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _read(text: str, kind: type[str] | type[int]) -> Any:
    try:
        key = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except (ValueError, RecursionError):
        key = None
    number = isinstance(key, int) and not isinstance(key, bool) and abs(key) <= _LARGEST
    if not (_writable(key) if kind is str else number):
        raise invalid("query.after", "it is not a cursor of this list; give the `next` of a page, or leave it out")
    return key


def _writable(key: Any) -> bool:
    return isinstance(key, str) and "\x00" not in key and not any("\ud800" <= one <= "\udfff" for one in key)


def page(rows: tuple[Sequence[Row[Any]], str | None], shown: Callable[[Any], T]) -> "Page[T]":
    """The page as it is sent."""
    found, after = rows
    return Page(items=[shown(row) for row in found], next=after)


def _paging(
    limit: Annotated[int, Query(ge=1, le=MOST, description="How many entries at most.")] = USUAL,
    after: Annotated[str | None, Query(max_length=_LONGEST, description="The `next` of the page before.")] = None,
) -> Paging:
    return Paging(limit, after)


PagingHere = Annotated[Paging, Depends(_paging)]
