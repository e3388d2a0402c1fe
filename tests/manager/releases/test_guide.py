"""Every command of the page about releases does what the page says."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from tests.support.manager import serving, token
from tests.support.pages import Block, blocks

from tidegate.domain.webhook import Kind
from tidegate.manager.people.roles import Role
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

PAGE = (Path(__file__).resolve().parents[3] / "docs/releases.md").read_text(encoding="utf-8")
BLOCKS = [block for block in blocks("sh") if block.page == "releases.md"]
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
SECRET = "tide"


@pytest.mark.parametrize("block", BLOCKS, ids=str)
async def test_the_commands_of_the_page_are_answered(
    block: Block, db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.manager.serve.services", lambda _: [])  # no registry is asked
    async with db.write() as conn:
        shown = await token(conn, Role.VIEWER)
        row = {"name": "ghcr.io/acme/web:live", "repository": "ghcr.io/acme/web", "tag": "live", "created_at": NOON}
        channel = await conn.execute(insert(schema.channels).values(row).returning(schema.channels.c.id))
        release = {"channel_id": channel.scalar_one(), "digest": "sha256:" + "a" * 64, "told_by": "registry"}
        await conn.execute(insert(schema.releases).values(release | {"seen_at": NOON, "named_at": NOON}))
    with serving(database_url, tmp_path / "data", TIDEGATE_WEBHOOK_GENERIC=SECRET) as manager:
        (tmp_path / "auth.header").write_text(f"Authorization: Bearer {shown}\n")
        (tmp_path / "webhook.secret").write_text(f"{SECRET}\n")
        ran = subprocess.run(
            ["sh", "-eu", "-c", block.text],
            cwd=tmp_path,
            env=os.environ | {"MANAGER": manager.url},
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "acme/web" in ran.stdout or "sha256:aaaa" in ran.stdout
    if "/webhooks/" in block.text:
        async with db.read() as conn:
            assert (await conn.execute(select(schema.channels.c.poll_at))).scalar_one() is not None


def test_every_kind_of_webhook_is_explained() -> None:
    table = PAGE.split("## Webhooks")[1]
    assert {line.split("`")[1] for line in table.splitlines() if line.startswith("| `")} == set(Kind)


@pytest.mark.parametrize("kind", ["channel.trouble", "channel.answers"])
def test_the_events_that_are_named_are_told(kind: str) -> None:
    source = Path(__file__).resolve().parents[3] / "src/tidegate/manager/releases/poller.py"
    assert f"`{kind}`" in PAGE
    assert f'"{kind}"' in source.read_text(encoding="utf-8")
