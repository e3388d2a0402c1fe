"""The audit log: who did what."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel, Field
from sqlalchemy import Row, select

from tidegate.manager.api.access import needs
from tidegate.manager.api.change import PartsHere
from tidegate.manager.api.paging import Page, PagingHere, page
from tidegate.manager.api.router import router as make_router
from tidegate.manager.people.audit_check import AuditChecks
from tidegate.manager.people.roles import Permission
from tidegate.manager.store.schema import audit

router = make_router("audit")
_READ = [needs(Permission.READ)]


class AuditEntry(BaseModel):
    """One act."""

    number: int = Field(description="Its number; none is left out.")
    at: datetime = Field(description="When.")
    actor: str = Field(description="Who: a user, `agent NAME`, or `tidegate` itself.")
    source: str = Field(description="The address that it came from.")
    action: str = Field(description="What, such as `rollout.approve`.")
    subject: str = Field(description="To what, such as `rollout 12`.")
    before: dict[str, Any] | None = Field(description="How what was changed was before; null: it was not there.")
    after: dict[str, Any] | None = Field(description="How it was afterwards; null: it was gone.")
    previous: str = Field(description="The hash of the entry before it.")
    hash: str = Field(description="The hash of everything in this entry.")


class AuditCheck(BaseModel):
    """Whether the log is as it was written."""

    ok: bool = Field(description="Whether it is.")
    entries: int = Field(description="How many entries hold, from the first on.")
    fault: str | None = Field(description="Where it stops being what was written; null: nowhere.")
    last_hash: str | None = Field(
        description="The hash of the last entry that holds. Kept elsewhere, it shows whether all was written anew."
    )


def _out(row: Row[Any]) -> AuditEntry:
    return AuditEntry(**{name: getattr(row, name) for name in AuditEntry.model_fields})


Filter = Annotated[str | None, Query(max_length=300)]


@router.get("/audit", dependencies=_READ)
async def list_audit(
    parts: PartsHere,
    paging: PagingHere,
    actor: Annotated[Filter, Query(description="Only what this user, or `agent NAME`, did.")] = None,
    action: Annotated[Filter, Query(description="Only this action.")] = None,
    subject: Annotated[Filter, Query(description="Only what was done to this.")] = None,
) -> Page[AuditEntry]:
    """List the audit log, the newest entry first."""
    statement = select(audit)
    for column, wanted in ((audit.c.actor, actor), (audit.c.action, action), (audit.c.subject, subject)):
        if wanted is not None:
            statement = statement.where(column == wanted)
    async with parts.db.read() as conn:
        return page(await paging.rows(conn, statement, audit.c.number, newest_first=True), _out)


@router.get("/audit/verify", dependencies=_READ)
async def verify_audit(parts: PartsHere) -> AuditCheck:
    """Go through the whole log: whether any entry was changed, left out, put in or cut off at its end.

    One look at a time: who asks meanwhile waits, and is answered the same.
    """
    found = await parts.one(AuditChecks).check()
    return AuditCheck(
        ok=found.fault is None, entries=found.entries, fault=found.fault, last_hash=found.last_hash or None
    )
