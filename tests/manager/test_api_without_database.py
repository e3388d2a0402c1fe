"""A database that is locked, gone or exchanged is an answer to try again, and no more than that."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support import databases
from tests.support.manager import Answer, Caller, asked, serving

from tidegate.manager.people.roles import Role
from tidegate.manager.store import database
from tidegate.protocol.keys import load_key, make_key, public_text
from tidegate.protocol.messages import EnrolRequest, write_enrol_request
from tidegate.protocol.requests import enrol_proof
from tidegate.protocol.version import PROTOCOL

WINDOW = {"name": "nights", "window": "0 2 * * * 4h"}


async def test_a_locked_database_is_an_answer_to_try_again(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_BUSY_MS", 500)
    with serving(url, tmp_path) as manager:
        async with asked(manager) as people:
            other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
            other.execute("BEGIN EXCLUSIVE")
            answer = await people.operator.post("/windows", WINDOW, headers={"Idempotency-Key": "k"})
            other.close()
            assert_unavailable(answer)
            again = await people.operator.post("/windows", WINDOW, headers={"Idempotency-Key": "k"})
            assert (again.status, (await people.viewer.get("/windows")).json["items"]) == (201, [again.json])


async def test_a_file_that_was_taken_away_is_an_answer_to_try_again_until_it_is_put_back(
    url: str, tmp_path: Path
) -> None:
    file, aside = Path(url.removeprefix("sqlite:///")), tmp_path / "aside"
    with serving(url, tmp_path) as manager:
        async with asked(manager) as people:
            assert (await people.operator.post("/windows", WINDOW)).status == 201
            aside.mkdir()
            parts = list(file.parent.glob(f"{file.name}*"))
            for part in parts:
                part.rename(aside / part.name)
            assert_unavailable(await people.operator.post("/windows", WINDOW | {"name": "lost"}))
            assert_unavailable(await people.nobody.get("//readyz"))
            assert not file.exists()
            for part in parts:
                (aside / part.name).rename(part)
            assert (await people.operator.post("/windows", WINDOW | {"name": "days"})).status == 201
            names = [one["name"] for one in (await people.viewer.get("/windows")).json["items"]]
            assert names == ["nights", "days"]


async def test_whatever_needs_the_database_says_when_to_come_again(url: str, tmp_path: Path) -> None:
    file = Path(url.removeprefix("sqlite:///"))
    key = load_key(make_key())
    token = f"te_1_{'x' * 43}"
    joins = EnrolRequest(PROTOCOL, token, "berlin1", public_text(key), "1.0", enrol_proof(key, token))
    with serving(url, tmp_path / "data", TIDEGATE_WEBHOOK_GENERIC="a-long-secret-of-a-registry") as manager:
        async with asked(manager) as people:
            registry = Caller(people.nobody.session, manager.url, "a-long-secret-of-a-registry")
            asking: dict[str, Callable[[], Awaitable[Answer]]] = {
                "events": lambda: people.viewer.get("/events"),
                "audit": lambda: people.viewer.get("/audit"),
                "webhook": lambda: registry.post("/webhooks/generic", {"image": "r/app:1"}),
                "enrolment": lambda: people.nobody.post("/agent/enrol", write_enrol_request(joins)),
            }
            assert (await asking["webhook"]()).status == 202
            assert (await asking["enrolment"]()).json["code"] == "bad-token"
            aside = tmp_path / "aside"
            file.rename(aside)
            for what, ask in asking.items():
                answer = await ask()
                assert answer.status == 503, what
                assert_unavailable(answer)
            aside.rename(file)
            assert (await asking["webhook"]()).status == 202


async def test_a_file_that_was_put_in_place_of_another_is_the_one_that_is_written(url: str, tmp_path: Path) -> None:
    file, copy = Path(url.removeprefix("sqlite:///")), tmp_path / "copy"
    with serving(url, tmp_path) as manager:
        async with asked(manager) as people:
            assert (await people.operator.post("/windows", WINDOW | {"name": "days"})).status == 201
            with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
                source.backup(target)
            source.close()
            target.close()
            for part in file.parent.glob(f"{file.name}-*"):
                part.unlink()
            copy.rename(file)
            assert (await people.operator.post("/windows", WINDOW)).status == 201
            with sqlite3.connect(file) as conn:
                assert conn.execute("SELECT name FROM windows ORDER BY name").fetchall() == [("days",), ("nights",)]
            conn.close()


async def test_a_database_that_is_gone_is_an_answer_to_try_again(
    postgres_server: str, postgres_template: str, tmp_path: Path
) -> None:
    with databases.postgres_database(postgres_server, postgres_template) as url, serving(url, tmp_path) as manager:
        async with asked(manager) as people:
            assert (await people.viewer.get("/me")).status == 200
            name = url.rpartition("/")[2]
            with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as conn:
                conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
                conn.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s", [name])
                for path in ("/windows", "//readyz", "/rollouts"):  # a token may be remembered
                    assert_unavailable(await people.viewer.get(path))
                assert (await people.nobody.get("//healthz")).status == 200
                conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            assert (await people.viewer.get("/me")).json["role"] == Role.VIEWER


def assert_unavailable(answer: Any) -> None:
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
