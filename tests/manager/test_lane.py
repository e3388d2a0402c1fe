"""The short way of agents' requests comes to the same as the long one."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute
from tests.support.manager import People

from tidegate.manager.api.routes import agent_link

PATHS = [f"/{route.path}" for route in agent_link.router.routes if isinstance(route, APIRoute)]
BODIES = [b"", b"{}", b"not json", b'{"protocol": 99}', b"[" * 100_000]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:20].decode())
async def test_what_is_wrong_is_told_the_same_on_both_ways(people: People, path: str, body: bytes) -> None:
    short, long = [await people.nobody.post(f"{path}{query}", data=body) for query in ("", "?")]
    other = await people.nobody.post(f"{path}?x=1", data=body)
    assert short.status >= 400
    assert (short.status, short.json) == (long.status, long.json) == (other.status, other.json)
    assert short.headers["Content-Type"] == "application/problem+json"
    assert _lasting(short.headers) == _lasting(other.headers)


@pytest.mark.parametrize("path", PATHS)
async def test_other_methods_are_refused(people: People, path: str) -> None:
    answer = await people.nobody.get(path)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", PATHS)
async def test_requests_count_under_their_route(people: People, path: str) -> None:
    labels = f'method="POST",route="{path[1:]}"'
    before = _counted((await people.viewer.get("//metrics")).text, labels)
    await people.nobody.post(path, data=b"{}")
    assert _counted((await people.viewer.get("//metrics")).text, labels) == before + 1


def _lasting(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in {"date", "content-length"}}


def _counted(text: str, labels: str) -> float:
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if "_total{" in line and labels in line)
