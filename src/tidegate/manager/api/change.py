"""What an endpoint is handed: the manager's parts, and for a write the transaction it is in."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from tidegate.manager.parts import Parts
from tidegate.manager.people.audit import Actor, record
from tidegate.manager.people.tokens import Who
from tidegate.manager.telling.feed import tell


@dataclass(frozen=True, slots=True)
class Change:
    """A write: the transaction, which is committed when the endpoint has answered and undone where it raises."""

    conn: AsyncConnection
    who: Who
    now: datetime
    request: Request = field(repr=False)

    @property
    def actor(self) -> Actor:
        """Who does it, as the audit log has it."""
        return self.who.actor

    async def note(
        self,
        action: str,
        subject: str,
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the audit entry, and tell it on the feed; neither may hold a secret."""
        await record(self.conn, self.actor, action, subject, self.now, before=before, after=after)
        await tell(self.conn, action, subject, self.now, by=self.who.user)

    def afterwards(self, work: Callable[[], Awaitable[None]]) -> None:
        """Have this done when the transaction is committed, before the answer is sent.

        A kill between the two leaves it undone, and a database that is away then: what it does must come later anyway.
        """
        self.request.state.afterwards.append(work)

    def keep_instead(self, answer: Mapping[str, Any]) -> None:
        """Keep this for a repeated request instead of the answer, which holds a secret that is shown once."""
        self.request.state.kept_body = json.dumps(answer)


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _change(request: Request) -> Change:
    state = request.state
    return Change(state.conn, state.who, request.app.state.parts.clock(), request)


PartsHere = Annotated[Parts, Depends(_parts)]
ChangeHere = Annotated[Change, Depends(_change)]
