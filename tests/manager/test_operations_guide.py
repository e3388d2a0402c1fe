"""Every command of the page about operating the manager, run in the page's order on both databases."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from tests.support import postgres
from tests.support.absent import cannot
from tests.support.manager import serving
from tests.support.pages import ROOT, blocks, spans_of

from tidegate.cli.failures import USAGE
from tidegate.manager.agents.keys import read_keys
from tidegate.manager.settings import load_manager_settings
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

PAGE = ROOT / "docs/manager-operations.md"
UNIT = ROOT / "deploy/manager/tidegate-manager.service"
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
BLOCKS = [
    block.text
    for block in blocks("sh")
    if block.page == "manager-operations.md" and "docker compose" not in block.text  # those need containers
]


class Operator:
    """Somebody with the page before them."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.data, self.backup, self.url = folder, folder / "backup", database_url
        self.backup.mkdir(mode=0o700)
        self._mark = "sqlite3" if database_url.startswith("sqlite") else "pg_"

    def runs(self, *words: str) -> str:
        """Run the only block that has these words; what it prints."""
        (block,) = [one for one in BLOCKS if all(word in one for word in words)]
        return self.run(block)

    def run(self, block: str) -> str:
        """Run a block; what it prints."""
        ran = subprocess.run(["sh", "-eu", "-c", block], check=False, env=self._env(), capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")
        return ran.stdout

    def backs_up(self) -> str:
        return self.runs("umask", self._mark)

    def restores(self) -> str:
        return self.runs("manager migrate", "signing.key", "rm -f" if self._mark == "sqlite3" else "pg_restore --clean")

    def _env(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{postgres.programs()}:{os.environ['PATH']}"
        given = {"DATA": str(self.data), "TIDEGATE_DATA": str(self.data), "BACKUP": str(self.backup), "PATH": path}
        return postgres.environment() | given | {"TIDEGATE_DATABASE_URL": self.url}


@pytest.fixture
def operator(database_url: str, tmp_path: Path) -> Operator:
    if shutil.which("sqlite3") is None:
        cannot("sqlite3 is not here: `apt-get install sqlite3`")
    return Operator(tmp_path, database_url)


async def add(db: Database, name: str) -> None:
    """A target in a cluster of this name."""
    async with db.write() as conn:
        await conn.execute(insert(schema.agents).values(id=name, name=name, public_key="", enrolled_at=NOON))
        cluster = {"name": name, "project": name, "agent_id": name, "created_at": NOON}
        made = await conn.execute(insert(schema.clusters).values(cluster).returning(schema.clusters.c.id))
        row = {"name": name, "cluster_id": made.scalar_one(), "service": "s", "generation": 7, "seen_at": NOON}
        await conn.execute(insert(schema.targets).values(row))


async def test_what_was_backed_up_while_the_manager_ran_is_what_is_restored(
    operator: Operator, database_url: str, tmp_path: Path
) -> None:
    db = Database.at(database_url)
    await add(db, "before")
    with serving(database_url, tmp_path):
        printed = operator.backs_up()
        await add(db, "after")
    key = (tmp_path / "signing.key").read_bytes()
    (tmp_path / "signing.key").write_text("lost")
    await db.close()
    if database_url.startswith("sqlite"):
        assert printed == "ok\n"
    assert {path.stat().st_mode & 0o077 for path in operator.backup.iterdir()} == {0}
    operator.restores()
    db = Database.at(database_url)
    async with db.read() as conn:
        rows = (await conn.execute(select(schema.targets.c.name, schema.targets.c.generation))).all()
        held = (
            await conn.execute(select(schema.freezes.c.name, schema.freezes.c.ends_at, schema.freezes.c.scope))
        ).all()
    assert [tuple(row) for row in rows] == [("before", 7)]
    assert [(one.name, one.scope) for one in held] == [("on hold", {})]
    assert held[0].ends_at > datetime.now(UTC) + timedelta(days=29)
    assert (tmp_path / "signing.key").read_bytes() == key
    await add(db, "later")  # numbers go on after those of the copy
    await db.close()
    with serving(database_url, tmp_path):
        pass  # it starts


async def test_a_key_is_rotated_and_the_one_before_is_kept(
    operator: Operator, database_url: str, tmp_path: Path
) -> None:
    with serving(database_url, tmp_path):
        before = read_keys(tmp_path / "signing.key")
        said = operator.runs("rotate-key")
    after = read_keys(operator.backup / "signing.key")
    assert after.public in said
    assert after.public != before.public
    assert after.known_as(before.public) is not None


async def test_a_key_that_was_stolen_is_followed_by_another_that_does_not_lead_from_it(
    operator: Operator, database_url: str, tmp_path: Path
) -> None:
    with serving(database_url, tmp_path):
        stolen = read_keys(tmp_path / "signing.key")
    said = operator.runs("adopt-key")
    after = read_keys(operator.backup / "signing.key")
    assert after.public in said
    assert [after.known_as(one) for one in (stolen.public,)] == [None]
    with serving(database_url, tmp_path):
        pass  # it starts


async def test_the_key_that_a_file_begins_with_is_told(operator: Operator, database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path):
        operator.runs("rotate-key")
    assert operator.runs("openssl").strip() == read_keys(tmp_path / "signing.key").public


async def test_the_database_is_brought_up_to_date(operator: Operator) -> None:
    (block,) = [one for one in BLOCKS if one.strip() == "tidegate manager migrate"]
    assert operator.run(block).startswith("The database is at revision")


def test_the_service_runs_what_the_page_of_the_manager_does_with_the_folder_that_is_the_default() -> None:
    lines = [line for line in UNIT.read_text(encoding="utf-8").splitlines() if "=" in line and line[0] != "#"]
    unit = dict(line.split("=", 1) for line in lines)
    _make_token, serves = [block.text.strip() for block in blocks("sh") if block.page == "manager.md"]
    settings = load_manager_settings({})
    assert unit["ExecStart"] == f"/opt/tidegate/bin/{serves}"
    assert Path("/var/lib", unit["StateDirectory"]) == settings.data
    assert int(unit["TimeoutStopSec"]) > settings.shutdown_s
    assert int(unit["RestartPreventExitStatus"]) == USAGE
    assert unit["EnvironmentFile"].removeprefix("-") in spans_of(PAGE)


def test_nothing_of_the_page_is_left_out() -> None:
    assert len(BLOCKS) == 8
