"""The database: transactions, their faults, what is told after them, and the migrations."""

import asyncio
import gc
import sqlite3
import warnings
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError
from tests.support import databases

from tidegate.manager.store import postgres, schema, topics
from tidegate.manager.store.bus import publish
from tidegate.manager.store.counters import advance, current
from tidegate.manager.store.database import Database
from tidegate.manager.store.errors import StoreError, StoreUnavailableError
from tidegate.manager.store.migrate import migrate

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
FREEZE = {"name": "year end", "starts_at": NOON, "ends_at": NOON + timedelta(days=1), "created_at": NOON}


async def test_what_is_written_is_there_for_the_next_to_read(db: Database) -> None:
    async with db.write() as conn:
        await conn.execute(insert(schema.freezes).values(**FREEZE))
    async with db.read() as conn:
        row = (await conn.execute(select(schema.freezes))).one()
    assert (row.name, row.starts_at, row.scope, row.edition) == ("year end", NOON, {}, 1)


async def test_a_transaction_that_fails_leaves_nothing(db: Database) -> None:
    async def fail() -> None:
        async with db.write() as conn:
            await conn.execute(insert(schema.freezes).values(**FREEZE))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with db.read() as conn:
        assert (await conn.execute(select(func.count()).select_from(schema.freezes))).scalar() == 0


async def test_times_come_back_in_utc_whatever_zone_they_were_given_in(db: Database) -> None:
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    async with db.write() as conn:
        await conn.execute(insert(schema.freezes).values(**FREEZE | {"starts_at": tokyo}))
        row = (await conn.execute(select(schema.freezes.c.starts_at))).one()
        assert (row.starts_at, row.starts_at.utcoffset()) == (NOON, timedelta())


async def test_ids_are_not_given_twice(db: Database) -> None:
    async with db.write() as conn:
        first = (
            await conn.execute(insert(schema.freezes).values(**FREEZE).returning(schema.freezes.c.id))
        ).scalar_one()
        await conn.execute(schema.freezes.delete())
        again = (
            await conn.execute(insert(schema.freezes).values(**FREEZE).returning(schema.freezes.c.id))
        ).scalar_one()
    assert again > first


async def test_writers_wait_for_each_other_and_lose_nothing(db: Database) -> None:
    async def count() -> None:
        async with db.write() as conn:
            await advance(conn, "world")

    await asyncio.gather(*(count() for _ in range(40)))
    async with db.read() as conn:
        assert await current(conn, "world") == 40


async def test_what_is_published_is_told_after_the_commit_and_not_without_one(db: Database) -> None:
    heard: list[tuple[str, ...]] = []

    async def fail() -> None:
        async with db.write() as conn:
            publish(conn, "rollouts", "lost")
            raise RuntimeError

    with db.bus.listening("rollouts", lambda keys: heard.append(tuple(keys))):
        with pytest.raises(RuntimeError):
            await fail()
        async with db.write() as conn:
            publish(conn, "rollouts", "1", "2")
            publish(conn, "rollouts", "2", "3")
            assert heard == []
    assert heard == [("1", "2", "3")]


async def test_a_replica_hears_what_another_one_has_committed(postgres_server: str, postgres_template: str) -> None:
    with databases.postgres_database(postgres_server, postgres_template) as url:
        one, other = Database.at(url), Database.at(url)
        heard: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
        many = [f"{number:032x}" for number in range(1000)]
        with other.bus.listening("agents", lambda keys: heard.put_nowait(tuple(keys))):
            other.follow()
            assert await asyncio.wait_for(heard.get(), 40) == ()  # it listens from now on
            async with one.write() as conn:
                publish(conn, "agents", *many)
            keys: list[str] = []
            while len(keys) < len(many):
                keys += await asyncio.wait_for(heard.get(), 40)
        assert keys == many
        await one.close()
        await other.close()


async def test_a_locked_database_is_told_as_one_to_try_again(sqlite_template: Path, tmp_path: Path) -> None:
    url = databases.sqlite_copy(sqlite_template, tmp_path)
    db = Database.at(url)
    async with db.read() as conn:
        await conn.execute(text("PRAGMA busy_timeout=1"))
    other = sqlite3.connect(tmp_path / "tidegate.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailableError, match=r"locked.*nothing was changed"):
        async with db.write():
            pass
    other.close()
    async with db.write() as conn:
        await conn.execute(insert(schema.freezes).values(**FREEZE))
    await db.close()


async def test_those_who_wait_for_a_locked_database_wait_together(sqlite_template: Path, tmp_path: Path) -> None:
    """Not one after the other, each as long as SQLite tries."""
    db = Database.at(databases.sqlite_copy(sqlite_template, tmp_path))
    other = sqlite3.connect(tmp_path / "tidegate.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    begun = 0

    async def write() -> None:
        nonlocal begun
        async with db.write():
            begun += 1

    async with asyncio.timeout(40):  # SQLite tries for 5 s, and there are 20
        found = await asyncio.gather(*(write() for _ in range(20)), return_exceptions=True)
    assert {type(one) for one in found} == {StoreUnavailableError}
    assert all(one.for_all for one in found if isinstance(one, StoreUnavailableError))
    other.close()
    await write()
    assert begun == 1
    await db.close()


async def test_a_statement_that_the_database_does_not_take_is_not_a_matter_of_all(db: Database) -> None:
    with pytest.raises((StoreUnavailableError, DBAPIError)) as caught:
        async with db.write() as conn:
            await conn.execute(text("SELECT * FROM nowhere"))
    assert not getattr(caught.value, "for_all", False)


async def test_a_full_database_is_told_as_full_and_keeps_what_it_has(sqlite_template: Path, tmp_path: Path) -> None:
    db = Database.at(databases.sqlite_copy(sqlite_template, tmp_path))

    async def fill() -> None:
        async with db.write() as conn:
            pages = (await conn.execute(text("PRAGMA page_count"))).scalar()
            await conn.execute(text(f"PRAGMA max_page_count={pages}"))
            for number in range(1000):
                row = FREEZE | {"name": f"{number}", "reason": "x" * 4000}
                await conn.execute(insert(schema.freezes).values(**row))

    with pytest.raises(StoreUnavailableError, match="make room"):
        await fill()
    async with db.read() as conn:
        assert (await conn.execute(select(func.count()).select_from(schema.freezes))).scalar() == 0
    await db.close()


async def test_a_file_whose_folder_is_gone_is_told_with_what_is_the_matter(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    db = Database.at(f"sqlite:///{folder}/tidegate.db")
    folder.rmdir()
    with pytest.raises(StoreUnavailableError, match="cannot be opened: its file or the folder of it is gone"):
        async with db.read():
            pass
    await db.close()


async def test_a_file_that_may_only_be_read_is_told_as_that(sqlite_template: Path, tmp_path: Path) -> None:
    db = Database.at(databases.sqlite_copy(sqlite_template, tmp_path))

    async def write() -> None:
        async with db.write() as conn:
            await conn.execute(text("PRAGMA query_only = ON"))  # SQLite says then what it says of such a disk
            await conn.execute(insert(schema.freezes).values(**FREEZE))

    with pytest.raises(StoreUnavailableError, match="cannot be written: make its file") as caught:
        await write()
    assert caught.value.for_all
    await db.close()


async def test_a_server_that_is_gone_is_told_as_gone() -> None:
    db = Database.at("postgresql://tidegate@127.0.0.1:1/tidegate")
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        async with db.read():
            pass
    await db.close()


@pytest.mark.parametrize("url", ["", "tidegate.db", "mysql://x/y", "sqlite://", "sqlite:///:memory:"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="sqlite:///PATH or postgresql://"):
        Database.at(url)


# migrations


async def test_the_migrations_make_the_tables_that_the_code_knows(db: Database) -> None:
    async with db.write() as conn:
        found = await conn.run_sync(
            lambda c: compare_metadata(MigrationContext.configure(c, opts={"compare_type": False}), schema.metadata)
        )
    assert found == []


async def test_to_migrate_once_more_changes_nothing(db: Database) -> None:
    before, after = await migrate(db)
    assert before == after != ""


async def test_a_database_that_cannot_hold_every_text_is_refused_with_what_to_do(postgres_server: str) -> None:
    with databases.postgres_database(postgres_server, "template0 ENCODING 'SQL_ASCII' LOCALE 'C'") as url:
        one = Database.at(url)
        with pytest.raises(StoreError, match=r"encoding is SQL_ASCII.*CREATE DATABASE .* ENCODING 'UTF8'"):
            await migrate(one)
        await one.close()


async def test_a_host_whose_name_is_not_looked_up_in_time_is_told_as_a_database_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hangs(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hangs)
    monkeypatch.setattr(postgres, "_CONNECT_S", 0.1)
    one = Database.at("postgresql://tidegate@postgres/tidegate")
    with pytest.raises(StoreUnavailableError, match=r"no connection within 0\.1 s"):
        async with asyncio.timeout(60), one.read():
            pass
    await one.close()


async def look(db: Database) -> None:
    async with db.read() as conn:
        await conn.execute(text("SELECT 1"))


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_who_is_cancelled_while_a_view_is_opened_leaves_no_connection_behind(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cut_off(_: postgres.Connection, value: bool | None) -> None:
        raise asyncio.CancelledError(value)

    await look(db)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what others have left
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with monkeypatch.context() as amid:
            amid.setattr(postgres.Connection, "set_read_only", cut_off)
            with pytest.raises(asyncio.CancelledError):
                await look(db)
        gc.collect()
    assert [str(one.message) for one in told] == []
    await look(db)


async def test_a_statement_that_takes_long_is_waited_for_while_the_server_lets_others_in(
    postgres_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_SILENT_S", 0.1)
    db = Database.at(f"{postgres_server}/postgres")
    async with db.read() as conn:
        assert (await conn.execute(text("SELECT 7 FROM pg_sleep(0.8)"))).scalar() == 7
    await db.close()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_who_follows_the_replicas_tries_again_where_a_name_is_not_looked_up(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, heard = list[object](), asyncio.Event()

    async def hangs_at_first(*args: object, **more: object) -> psycopg.AsyncConnection[object]:
        tries.append(args)
        if len(tries) == 1:
            try:
                await asyncio.Event().wait()
            finally:
                monkeypatch.setattr(postgres, "_CONNECT_S", 60.0)  # the next one is a real connection
        return await connect(*args, **more)  # type: ignore[arg-type]

    connect = psycopg.AsyncConnection.connect
    monkeypatch.setattr(psycopg.AsyncConnection, "connect", hangs_at_first)
    monkeypatch.setattr(postgres, "_CONNECT_S", 0.1)
    with db.bus.listening(topics.FEED, lambda _: heard.set()):
        db.follow()
        async with asyncio.timeout(60):
            await heard.wait()
    assert len(tries) == 2


async def test_what_is_read_is_of_one_moment(db: Database) -> None:
    async with db.read() as reading:
        before = await current(reading, "world")
        async with db.write() as conn:
            assert await advance(conn, "world") == before + 1
        assert await current(reading, "world") == before
    async with db.read() as reading:
        assert await current(reading, "world") == before + 1


async def test_a_database_of_a_newer_version_is_left_alone(db: Database) -> None:
    async with db.write() as conn:
        await conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match=r"newer version of Tidegate \(revision 9999\)"):
        await migrate(db)


async def test_replicas_that_start_at_once_migrate_once(postgres_server: str) -> None:
    with databases.postgres_database(postgres_server) as url:
        replicas = [Database.at(url) for _ in range(4)]
        ran = await asyncio.gather(*(migrate(one) for one in replicas))
        assert sorted(before for before, _ in ran)[:2] == ["", ran[0][1]]
        for one in replicas:
            await one.close()


async def test_a_file_that_is_no_database_is_told_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "tidegate.db").write_bytes(b"what a disk gave back" * 500)
    db = Database.at(f"sqlite:///{tmp_path}/tidegate.db")
    with pytest.raises(StoreError, match=r"is none .* restore the backup"):
        await migrate(db)
    await db.close()
