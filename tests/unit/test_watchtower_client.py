"""What is asked of Watchtower, and what its silence means."""

from __future__ import annotations

from typing import Any, Self

import aiohttp
import pytest

from tidegate.agent.watchtower import client as module
from tidegate.agent.watchtower.client import (
    BrokenOffError,
    SilentError,
    UnreachableError,
    WatchtowerClient,
    WatchtowerError,
)

METRICS = [b"watchtower_containers_scanned 3\nwatchtower_contai", b"ners_updated 1\nwatchtower_containers_fai"]
METRICS += [b"led 2\nwatchtower_scans_total 7\n", b""]


class Content:
    """Gives what has come so far, as a stream does."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def read(self, most: int) -> bytes:
        return self._chunks.pop(0)[:most] if self._chunks else b""


class Answers:
    """In place of a session: each request is answered by the next of these; `asked` are their queries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Exception | list[bytes]) -> None:
        self.status = 200
        self.content: Any = None
        self.asked: list[str] = []
        self._answers = list(answers)
        monkeypatch.setattr(aiohttp, "ClientSession", lambda **_: self)
        monkeypatch.setattr(module, "_AGAIN_S", 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    def request(self, method: str, url: str, *, params: dict[str, str], **_: object) -> Answers:
        self.asked.append(f"{method} {url} {params.get('image', '')}")
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.content = Content(*answer)
        return self


def client() -> WatchtowerClient:
    return WatchtowerClient("http://w:8080", "secret", update_s=1800)


async def test_an_answer_that_comes_in_pieces_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    Answers(monkeypatch, METRICS)
    counts = await client().counts()
    assert (counts.scanned, counts.updated, counts.failed, counts.scans) == (3, 1, 2, 7)


async def test_a_count_is_a_number_that_a_manager_takes_whatever_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("containers_scanned", "containers_updated", "containers_failed", "scans_total")
    said = "\n".join(
        f"watchtower_{name} {value}" for name, value in zip(names, ("1e300", "-3", "NaN", "2"), strict=True)
    )
    Answers(monkeypatch, [said.encode(), b""])
    counts = await client().counts()
    assert (counts.scanned, counts.updated, counts.failed, counts.scans) == (10**9, 0, 0, 2)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (aiohttp.ConnectionTimeoutError(), UnreachableError, "no connection within 10 s"),
        (TimeoutError(), SilentError, "did not answer within 1800 s"),
        (aiohttp.ServerDisconnectedError(), BrokenOffError, "broke off"),
        (ConnectionResetError(), BrokenOffError, "broke off"),
        (ValueError("newline in a header"), WatchtowerError, "newline in a header"),
    ],
)
async def test_no_connection_is_told_from_no_answer(
    error: Exception, kind: type[WatchtowerError], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Answers(monkeypatch, error)
    with pytest.raises(WatchtowerError, match=words) as caught:
        await client().update(["web:live"])
    assert type(caught.value) is kind


async def test_it_is_at_rest_when_an_update_of_nothing_had_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    away = aiohttp.ServerDisconnectedError()
    answers = Answers(monkeypatch, away, aiohttp.ConnectionTimeoutError(), [b""])
    await client().at_rest(patience_s=60)
    assert answers.asked == ["POST http://w:8080/v1/update tidegate.local/none"] * 3


@pytest.mark.parametrize("error", [aiohttp.ServerDisconnectedError(), TimeoutError()])
async def test_it_is_not_waited_for_longer_than_that(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    Answers(monkeypatch, error)
    with pytest.raises(WatchtowerError):
        await client().at_rest(patience_s=0)
