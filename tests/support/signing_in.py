"""A manager whose console people sign in to by an OpenID provider, and somebody who does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
from tests.support.manager import Manager, serving
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, PASSWORD, provider
from tests.support.visitor import Shown, Visitor

from groundwork.registry import free_port
from tidegate.manager.settings import CALLBACK


@contextmanager
def manager_with_provider(database_url: str, folder: Path, **environ: str) -> Iterator[Manager]:
    """Both, until the block ends; `tidegate-ops` are operators."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        provider(folder, f"{url}{CALLBACK}") as issuer,
        serving(database_url, folder, port=port, **settings(url, issuer) | environ) as manager,
    ):
        yield manager


def settings(url: str, issuer: str) -> dict[str, str]:
    """Of a manager at this address."""
    return {
        "TIDEGATE_PUBLIC_URL": url,
        "TIDEGATE_OIDC_ISSUER": issuer,
        "TIDEGATE_OIDC_CLIENT_ID": CLIENT_ID,
        "TIDEGATE_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "TIDEGATE_OIDC_ROLES": "tidegate-admins=admin,tidegate-ops=operator",
    }


async def sign_in(visitor: Visitor, name: str, path: str = "/sign-in/oidc") -> Shown:
    """Go to the provider, say who it is unless it knows that already, and come back; what is shown then."""
    async with visitor.session.get(visitor.url + path) as got:
        asked, shown = got.url, await _shown(got)
    if asked.path != "/login/":
        return shown
    async with visitor.session.post(asked, data={"username": name, "password": PASSWORD}) as got:
        return await _shown(got)


async def _shown(got: aiohttp.ClientResponse) -> Shown:
    return Shown(got.status, got.url.path_qs, got.headers, await got.text())
