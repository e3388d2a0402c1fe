"""Writes that a page of another site had a browser send are refused; the session's cookie alone would let them in."""

from urllib.parse import urlsplit

from fastapi import Request

from tidegate.manager.api.problems import FORBIDDEN, Problem

_OWN = frozenset({"same-origin", "none"})


def check_same_site(request: Request) -> None:
    """Refuse what no page of this console sends. Browsers say themselves where a request is from. Raises `Problem`.

    `Sec-Fetch-Site` is what the browser knows, but it is only sent over TLS and to this machine; `Origin` is compared
    with the name that the manager was asked by. What has neither is from no browser of today.
    """
    said = request.headers.get("sec-fetch-site")
    if said is not None:
        if said not in _OWN:
            raise _refused(f"a page of another site ({said})")
        return
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is None:
        raise _refused("no page: it has neither Sec-Fetch-Site nor Origin; programs use /api/v1 and a token")
    if urlsplit(origin).netloc.lower() != host.lower():
        raise _refused(f"a page at {origin}, while the manager was asked as {host}; a proxy has to pass Host on")


def _refused(what: str) -> Problem:
    return Problem(FORBIDDEN, "cross-site", f"The request was sent by {what}. Nothing was done.")
