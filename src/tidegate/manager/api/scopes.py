"""What a window or a freeze is for."""

from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import ColumnElement, cast, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.domain.values import near_miss
from tidegate.manager.api.models import Body, Labels, Strict
from tidegate.manager.api.problems import INVALID, Fault, Problem
from tidegate.manager.store.schema import channels, clusters

_MOST = 200


class Scope(Body):
    """What it is for: what is in all of these; one that is empty says nothing, so all empty is everything."""

    channels: Annotated[list[Strict], Field(max_length=_MOST)] = Field(default=[], description="Numbers of channels.")
    clusters: Annotated[list[str], Field(max_length=_MOST)] = Field(default=[], description="Names of clusters.")
    labels: Labels = Field(default={}, description="Labels that a cluster has.")

    def document(self) -> dict[str, Any]:
        """As it is kept."""
        found = {"channels": sorted(set(self.channels)), "clusters": sorted(set(self.clusters)), "labels": self.labels}
        return {name: value for name, value in found.items() if value}


async def check_scope(conn: AsyncConnection, scope: Scope) -> None:
    """Refuse what is not there: it would never be meant. Raises `Problem`."""
    faults = await _missing(conn, "channels", scope.channels, channels.c.id)
    faults += await _missing(conn, "clusters", scope.clusters, clusters.c.name)
    if faults:
        raise Problem(INVALID, "invalid", "; ".join(f"{one.field}: {one.message}" for one in faults), errors=faults)


def named_in(scope: ColumnElement[Any], part: str, value: int | str, *, is_postgres: bool) -> ColumnElement[bool]:
    """What holds of rows whose scope names this channel (by its number) or cluster."""
    if is_postgres:
        return scope.op("@>", is_comparison=True)(cast({part: [value]}, JSONB))
    each = func.json_each(scope, f"$.{part}").table_valued("value")
    return select(each.c.value).where(each.c.value == value).exists()


async def _missing(conn: AsyncConnection, name: str, given: list[Any], column: ColumnElement[Any]) -> list[Fault]:
    if not given:
        return []
    there = set((await conn.execute(select(column).where(column.in_(set(given))))).scalars())
    lost = [(number, one) for number, one in enumerate(given) if one not in there]
    known = (await conn.execute(select(column).limit(5000))).scalars().all() if lost else ()
    return [
        Fault(f"body.scope.{name}.{number}", f"there is no {name[:-1]} {one}.{_close(one, known)}")
        for number, one in lost
    ]


def _close(one: Any, known: Any) -> str:
    return near_miss(one, list(known)) if isinstance(one, str) else ""
