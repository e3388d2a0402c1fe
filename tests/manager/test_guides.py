"""Every command of the pages about the manager and its API, run in their order."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.support.absent import cannot
from tests.support.manager import serving
from tests.support.pages import blocks

from tidegate.manager.people.roles import PERMISSIONS, Role
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

ROOT = Path(__file__).parents[2]


def sh(page: str) -> list[str]:
    return [block.text for block in blocks("sh") if block.page == page]


def run(block: str, folder: Path, **environ: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "TIDEGATE_DATA": str(folder)} | environ
    words = ["bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
    return done.stdout


async def test_the_pages_commands_work(database_url: str, tmp_path: Path) -> None:
    if subprocess.run(["bash", "-c", "type jq curl"], capture_output=True, check=False).returncode != 0:
        cannot("jq or curl is not here: `apt-get install jq curl`")
    make_token, _serve = sh("manager.md")
    run(make_token, tmp_path, TIDEGATE_DATABASE_URL=database_url)
    with serving(database_url, tmp_path) as manager:
        printed = [run(block, tmp_path, MANAGER=manager.url) for block in sh("api.md")]
    assert '"user":"anna"' in printed[0]
    assert printed[-1].endswith("true\n")
    db = Database.at(database_url)
    async with db.read() as conn:
        entries = (await conn.execute(select(schema.audit).order_by(schema.audit.c.number))).all()
    await db.close()
    assert [one.action for one in entries] == ["token.create", "window.create", "window.update", "window.delete"]
    made, edited = (one.after["scope"] for one in entries[1:3])
    assert made == edited, "who edits a window as the page does has it hold for what it held for"


def test_the_command_that_serves_is_the_one_that_other_tests_run() -> None:
    assert sh("manager.md")[1] == "tidegate manager serve\n"


@pytest.mark.parametrize("role", Role)
def test_every_role_is_explained(role: Role) -> None:
    page = (ROOT / "docs/manager.md").read_text(encoding="utf-8")
    assert f"\n| `{role}` |" in page
    assert PERMISSIONS[role]
