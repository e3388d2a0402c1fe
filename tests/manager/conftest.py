"""Fixtures of the manager's tests: each runs on SQLite and on a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import databases, postgres
from tests.support.absent import cannot
from tests.support.manager import Manager, People, empty, serving
from tests.support.manager import people as people_of

from groundwork.paths import GroundError
from tidegate.manager.api.app import create_app
from tidegate.manager.parts import make_parts
from tidegate.manager.settings import load_manager_settings
from tidegate.manager.store.database import Database


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a private PostgreSQL server, without a database."""
    try:
        postgres.programs()
    except GroundError as error:
        cannot(str(error))
    with postgres.server(tmp_path_factory.mktemp("postgres")) as address:
        yield address


@pytest.fixture(scope="session")
def postgres_template(postgres_server: str) -> str:
    """A migrated database, to be copied."""
    return databases.postgres_template(postgres_server)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file, to be copied."""
    return databases.sqlite_template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The OpenAPI document."""
    folder = tmp_path_factory.mktemp("document")
    return create_app(make_parts(load_manager_settings({"TIDEGATE_DATA": str(folder)}))).openapi()


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a migrated database of this test's own."""
    if request.param == "sqlite":
        yield databases.sqlite_copy(request.getfixturevalue("sqlite_template"), tmp_path)
        return
    server, template = (request.getfixturevalue(name) for name in ("postgres_server", "postgres_template"))
    with databases.postgres_database(server, template) as url:
        yield url


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A migrated database of this test's own."""
    one = Database.at(database_url)
    yield one
    await one.close()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def managers_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a migrated database for the tests of a module."""
    if request.param == "sqlite":
        yield databases.sqlite_copy(request.getfixturevalue("sqlite_template"), tmp_path_factory.mktemp("database"))
        return
    server, template = (request.getfixturevalue(name) for name in ("postgres_server", "postgres_template"))
    with databases.postgres_database(server, template) as url:
        yield url


@pytest.fixture(scope="module")
def manager_running(managers_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    """A manager for the tests of a module; `manager_db` empties its database for each."""
    folder = tmp_path_factory.mktemp("manager")
    with serving(managers_url, folder) as one:
        yield one


@pytest.fixture
async def manager_db(manager_running: Manager) -> AsyncIterator[Database]:
    """The database of the running manager, empty; of the test's own event loop."""
    one = Database.at(manager_running.database_url)
    await empty(one)
    yield one
    await one.close()


@pytest.fixture
async def people(manager_running: Manager, manager_db: Database) -> AsyncIterator[People]:
    """Callers of the running manager, one for each role."""
    async with people_of(manager_running, manager_db) as some:
        yield some


@pytest.fixture
def url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated SQLite database of the test's own."""
    return databases.sqlite_copy(sqlite_template, tmp_path)
