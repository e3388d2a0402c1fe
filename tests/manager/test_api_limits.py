"""What is around every answer: limits, headers, the client's address, TLS, and a database that is not there."""

import asyncio
import gc
import sqlite3
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from tests.support import databases
from tests.support.manager import Caller, Manager, People, serving
from tests.support.manager import people as people_of
from tests.support.registry_tls import make_certificates

from tidegate.manager.people.roles import Role
from tidegate.manager.store import database
from tidegate.manager.store.database import Database

WINDOW = {"name": "nights", "window": "0 2 * * * 4h"}
SLOW = {"TIDEGATE_RATE": "1/s", "TIDEGATE_RATE_ADDRESS": "1/s"}


@asynccontextmanager
async def asked(manager: Manager) -> AsyncIterator[People]:
    db = Database.at(manager.database_url)
    async with people_of(manager, db) as some:
        yield some
    await db.close()


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    return databases.sqlite_copy(sqlite_template, tmp_path)


@pytest.fixture
def slow(url: str, tmp_path: Path) -> Iterator[Manager]:
    with serving(url, tmp_path, **SLOW) as one:
        yield one


# how often


async def test_a_token_that_asks_too_often_is_told_when_to_come_again(slow: Manager) -> None:
    async with asked(slow) as people:
        answers = await asyncio.gather(*(people.viewer.get("/me") for _ in range(12)))
        refused = [one for one in answers if one.status == 429]
        assert 7 <= len(refused) <= 8
        assert {one.headers["Retry-After"] for one in refused} == {"1"}
        assert {one.json["code"] for one in refused} == {"too-many-requests"}
        assert (await people.admin.get("/me")).status == 200


async def test_who_guesses_tokens_is_slowed_down_and_keeps_nobody_else_out(slow: Manager) -> None:
    async with asked(slow) as people:
        guesser = Caller(people.nobody.session, slow.url, f"tg_1_{'x' * 43}")
        answers = await asyncio.gather(*(guesser.get("/me") for _ in range(12)))
        assert sorted({one.status for one in answers}) == [401, 429]
        assert (await people.viewer.get("/me")).status == 200


# how much


@pytest.mark.parametrize("path", ["/windows", "/agent/events"])
async def test_a_body_that_is_too_large_is_refused_before_it_is_read(url: str, tmp_path: Path, path: str) -> None:
    with serving(url, tmp_path, TIDEGATE_MAX_REQUEST="1KiB") as manager:
        async with asked(manager) as people:
            for body in (b"x" * 2000, chunks(2000)):
                headers = {"Content-Type": "application/json"}
                answer = await people.operator("POST", path, headers=headers, data=body)
                assert (answer.status, answer.json["code"]) == (413, "too-large")
            assert (await people.operator.post("/windows", WINDOW)).status == 201


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 100):
        yield b"x" * 100


# what is no good request


async def test_what_is_not_there_is_a_problem(people: People) -> None:
    for path in ("//", "//api/v1/nothing", "/windows/", "/windows/999"):
        answer = await people.viewer.get(path)
        assert (answer.status, answer.json["code"]) == (404, "not-found"), path


async def test_a_method_that_is_not_taken_is_told_with_those_that_are(people: People) -> None:
    answer = await people.viewer("PATCH", "/windows/1")
    assert (answer.status, answer.json["code"], answer.headers["Allow"]) == (
        405,
        "method-not-allowed",
        "DELETE, GET, PUT",
    )


BODIES: list[tuple[bytes, str, int]] = [
    (b"{", "application/json", 422),
    (b"", "application/json", 422),
    (b"[]", "application/json", 422),
    (b'"x"', "application/json", 422),
    (b"name=x", "application/x-www-form-urlencoded", 415),
    (b"{}", "text/plain", 415),
    (b"\xff\xfe{}", "application/json", 422),
    ('{"name": "x"}'.encode("utf-16"), "application/json", 422),
    (b"[" * 100_000, "application/json", 422),
    (b'{"name": NaN}', "application/json", 422),
    (b'{"name": "a\\u0000"}', "application/json", 422),
    (b'{"na\\u0000me": 1}', "application/json", 422),
    (b'{"name": ' + b"9" * 5000 + b"}", "application/json", 422),
]


@pytest.mark.parametrize(("body", "kind", "status"), BODIES)
async def test_a_body_that_cannot_be_read_is_refused(people: People, body: bytes, kind: str, status: int) -> None:
    answer = await people.operator("POST", "/windows", data=body, headers={"Content-Type": kind})
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"


# headers and addresses


async def test_every_answer_carries_headers_that_keep_browsers_from_harm(people: People) -> None:
    for path in ("/me", "//healthz", "//nothing", "/tokens"):
        headers = (await people.viewer.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert "Server" not in headers
        assert "Strict-Transport-Security" not in headers


FORWARDED = {"X-Forwarded-For": "203.0.113.7, 198.51.100.9, 127.0.0.1", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("trusted", "source"),
    [
        ("", "127.0.0.1"),
        ("10.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "198.51.100.9"),
        ("127.0.0.1,198.51.100.0/24", "203.0.113.7"),
    ],
)
async def test_only_a_trusted_proxy_is_believed_where_a_request_comes_from(
    url: str, tmp_path: Path, trusted: str, source: str
) -> None:
    with serving(url, tmp_path, TIDEGATE_TRUSTED_PROXIES=trusted) as manager:
        async with asked(manager) as people:
            answer = await people.operator.post("/windows", WINDOW, headers=FORWARDED)
            assert answer.status == 201
            assert ("Strict-Transport-Security" in answer.headers) is (source != "127.0.0.1")
            entry = (await people.viewer.get("/audit")).json["items"][0]
            assert entry["source"] == source


async def test_it_speaks_tls_by_itself(url: str, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=made.authority)
    with serving(url, tmp_path, TIDEGATE_TLS_CERT=str(made.certificate), TIDEGATE_TLS_KEY=str(made.key)) as manager:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
            answer = await Caller(session, manager.url).get("//healthz")
    assert manager.url.startswith("https://")
    assert (answer.status, answer.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")


# a database that is not there


async def test_a_locked_database_is_an_answer_to_try_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_MS", 20)
    with serving(url, tmp_path) as manager:
        async with asked(manager) as people:
            other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            answer = await people.operator.post("/windows", WINDOW, headers={"Idempotency-Key": "k"})
            other.close()
            assert_unavailable(answer)
            again = await people.operator.post("/windows", WINDOW, headers={"Idempotency-Key": "k"})
            assert (again.status, (await people.viewer.get("/windows")).json["items"]) == (201, [again.json])


# a connection that was being made when its database went may be left to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_database_that_is_gone_is_an_answer_to_try_again(
    postgres_server: str, postgres_template: str, tmp_path: Path
) -> None:
    with databases.postgres_database(postgres_server, postgres_template) as url, serving(url, tmp_path) as manager:
        async with asked(manager) as people:
            assert (await people.viewer.get("/me")).status == 200
            name = url.rpartition("/")[2]
            with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as conn:
                conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
                for path in ("/me", "//readyz", "/windows"):
                    assert_unavailable(await people.viewer.get(path))
                assert (await people.nobody.get("//healthz")).status == 200
                conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert (await people.viewer.get("/me")).json["role"] == Role.VIEWER
    gc.collect()


def assert_unavailable(answer: Any) -> None:
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
