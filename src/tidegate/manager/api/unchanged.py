"""Answers that are left out where who asks has them already: conditional requests (RFC 9110)."""

import hashlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus

from fastapi import Request
from starlette.responses import Response

_SETTLED: timedelta = timedelta(seconds=2)
"""Within the same second something may be added yet: only what is older is told by its time."""


def unless_unchanged(
    request: Request, body: bytes, media_type: str, *, changed_at: datetime | None, now: datetime
) -> Response:
    """The body, or 304. `changed_at`: when it was changed last; None: that is not known."""
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
    changed_at = changed_at.astimezone(UTC).replace(microsecond=0) if changed_at else None
    if changed_at is not None and now - changed_at > _SETTLED:
        headers["Last-Modified"] = format_datetime(changed_at, usegmt=True)
    if _has_it(request, etag, changed_at if "Last-Modified" in headers else None):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, headers=headers, media_type=media_type)


def _has_it(request: Request, etag: str, changed_at: datetime | None) -> bool:
    """By its ETag, and by its time where no ETag is given."""
    given = request.headers.get("if-none-match")
    if given is not None:
        tags = [one.strip().removeprefix("W/") for one in given.split(",")]
        return etag in tags or tags == ["*"]
    since = _time(request.headers.get("if-modified-since", ""))
    return changed_at is not None and since is not None and changed_at <= since


def _time(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
