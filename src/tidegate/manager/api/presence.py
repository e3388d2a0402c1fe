"""Which agents are there."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_

from tidegate.manager.parts import Parts
from tidegate.manager.store.schema import agents


def heard_since(parts: Parts) -> datetime:
    """Who was heard since then is there."""
    return parts.clock() - timedelta(seconds=parts.settings.offline_s)


def is_online(since: datetime) -> ColumnElement[Any]:
    """Whether a row of `agents` is of one that is there."""
    return and_(agents.c.revoked_at.is_(None), agents.c.last_seen_at.is_not(None), agents.c.last_seen_at >= since)
