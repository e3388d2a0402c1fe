"""Addresses of pages, and where what the audit log and alerts are about is seen to."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from fastapi import Request

from tidegate.manager.console.words import short

_LISTS: Mapping[str, str] = {
    "alert": "/alerts?state=all",
    "enrolment": "/agents/enrol",
    "quarantine": "/quarantine",
    "digest": "/quarantine",
    "token": "/tokens?state=all",
}
"""By the first word of a subject, the list that it stands in."""


def address(path: str, given: Mapping[str, object]) -> str:
    """A page, narrowed down by what is not empty."""
    known = {name: value for name, value in given.items() if value}
    return f"{path}?{urlencode(known)}" if known else path


def here(request: Request) -> str:
    """The page that is asked for, with everything that narrows it down: what is live of it is asked for there."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def about(subject: str) -> str:
    """Where a subject (`rollout 12`, `agent NAME`, a target) is shown; empty: nowhere."""
    kind, _, which = subject.partition(" ")
    if kind == "rollout" and which.isdecimal():
        return f"/rollouts/{which}"
    if kind == "agent":
        return address("/agents", {"q": which})
    if kind == "cluster":
        return f"/clusters/{quote(which, safe='@')}"
    if not which and "@" in kind and "/" in kind:
        return f"/clusters/{quote(kind.rpartition('/')[0], safe='@')}"
    return _LISTS.get(kind, "")


def named(subject: str) -> str:
    """A subject as it is shown; of a digest, its beginning."""
    kind, _, which = subject.partition(" ")
    return f"{kind} {short(which)}" if kind == "digest" else subject
