"""Column types that mean the same in SQLite and in PostgreSQL."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Dialect, ForeignKey, Integer, String, TypeDecorator
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import JSON


class Moment(TypeDecorator[datetime]):
    """An aware datetime, in UTC. A naive one is refused: nobody knows what it means."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database; SQLite keeps no zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        there = value.astimezone(UTC)
        return there.replace(tzinfo=None) if dialect.name == "sqlite" else there

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Document = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
"""A JSON value. No value at all is NULL, not a JSON null."""

Number = BigInteger().with_variant(Integer(), "sqlite")
"""A whole number that counts up for years. SQLite numbers rows by itself only where it reads INTEGER."""


def number_key() -> Column[int]:
    """An id that the database gives; never given twice."""
    return Column("id", Number, primary_key=True, autoincrement=True)


def text(name: str, *, default: str | None = "", **more: Any) -> Column[str]:
    """A text that is there, empty where nothing was said; `default` None: it has to be said."""
    said: dict[str, Any] = {} if default is None else {"server_default": default, "default": default}
    return Column(name, String, nullable=False, **said, **more)


def moment(name: str, *, nullable: bool = False, **more: Any) -> Column[datetime]:
    """A time."""
    return Column(name, Moment, nullable=nullable, **more)


def document(name: str, *, default: Callable[[], Any] = dict, nullable: bool = False) -> Column[Any]:
    """A JSON value."""
    return Column(name, Document, nullable=nullable, default=None if nullable else default)


def to(table: str, name: str, *, nullable: bool = False, index: bool = True) -> Column[Any]:
    """A reference to another table's id; what is referred to is not deleted."""
    return Column(name, ForeignKey(f"{table}.id"), nullable=nullable, index=index)
