"""Enrolling an agent: what is to be pasted is shown once, and the token is nowhere else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml  # type: ignore[import-untyped]
from sqlalchemy import select
from tests.manager.console.conftest import Visitors
from tests.support.bare_agent import BareAgent
from tests.support.databases import sqlite_copy
from tests.support.manager import Manager, People, people, serving
from tests.support.manager_fleet import ManagerFleet
from tests.support.visitor import Shown, visiting

from tidegate.agent.settings import load_settings
from tidegate.manager.store.database import Database
from tidegate.manager.store.schema import metadata

REPOSITORY = Path(__file__).parents[3]
MARKUP = "<b>why</b>&\"'"
KEY: Any = {"Idempotency-Key": "k1"}


def pasted(shown: Shown) -> dict[str, Any]:
    """The Compose file of an answer."""
    (text,) = (one for one in shown.main.one("pre", class_="once").children if isinstance(one, str))
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def environment(shown: Shown) -> dict[str, str]:
    """What the agent is told there."""
    found: dict[str, str] = pasted(shown)["services"]["tidegate"]["environment"]
    return found


async def enrol(visitors: Visitors, **fields: str) -> Shown:
    """Fill in the form."""
    return await visitors.admin.submit(await visitors.admin.get("/agents/enrol"), "/agents/enrol", **fields)


async def test_what_is_pasted_is_the_compose_file_that_is_shipped_with_nothing_left_to_set(visitors: Visitors) -> None:
    shipped = yaml.safe_load((REPOSITORY / "deploy" / "docker-compose.managed.yml").read_text())
    theirs, ours = shipped["services"]["tidegate"], pasted(await enrol(visitors, name="berlin1"))
    service = ours["services"]["tidegate"]
    assert service["image"] == re.sub(r"\$\{TIDEGATE_IMAGE:-(.*)\}", r"\1", theirs["image"])
    for same in ("restart", "command", "stop_grace_period", "volumes"):
        assert service[same] == theirs[same]
    assert ours["volumes"] == shipped["volumes"]
    assert "${" not in json.dumps(ours)


async def test_the_agent_takes_it_and_is_let_in_with_the_token_and_labels(
    visitors: Visitors, manager_running: Manager, people: People
) -> None:
    shown = await enrol(visitors, name="berlin1", labels="ring=canary\n\n region = eu \r\n", expires_in="86400")
    given = environment(shown)
    settings = load_settings([], given)
    assert (settings.manager, settings.agent_name) == (manager_running.url, "berlin1")
    agent = BareAgent(manager_running.url, visitors.nobody.session, "berlin1")
    assert (await agent.enrol(given["TIDEGATE_ENROL_TOKEN"])).status == 200
    assert (await people.viewer.get("/agents/berlin1")).json["labels"] == {"ring": "canary", "region": "eu"}
    another = BareAgent(manager_running.url, visitors.nobody.session, "berlin1")
    assert (await another.enrol(given["TIDEGATE_ENROL_TOKEN"])).status != 200


async def test_the_answer_is_kept_nowhere_and_the_token_is_in_no_address_no_log_and_no_row(
    visitors: Visitors, manager_db: Database
) -> None:
    with structlog.testing.capture_logs() as logs:
        shown = await enrol(visitors, name="berlin1")
    token = environment(shown)["TIDEGATE_ENROL_TOKEN"]
    assert (shown.status, shown.path, shown.headers["Cache-Control"]) == (200, "/agents/enrol", "no-store")
    assert shown.html.count(token) == 1
    assert token not in json.dumps(dict(shown.headers)) + json.dumps(logs, default=str)
    secret = token.split("_", 2)[2]  # it may have such a line in it, too
    async with manager_db.read() as conn:
        for table in metadata.sorted_tables:
            assert secret not in str((await conn.execute(select(table))).all()), table.name
    assert token not in (await visitors.admin.get("/agents/enrol")).html


async def test_a_form_that_is_sent_twice_under_one_key_leaves_no_token_behind(
    visitors: Visitors, manager_db: Database
) -> None:
    first = await visitors.admin.send("/agents/enrol", {"name": "berlin1"}, follow=True, **{"Idempotency-Key": "k1"})
    token = environment(first)["TIDEGATE_ENROL_TOKEN"]
    again = await visitors.admin.send("/agents/enrol", {"name": "berlin1"}, follow=True, **{"Idempotency-Key": "k1"})
    assert (again.status, token in again.html) == (200, False)
    async with manager_db.read() as conn:
        kept = str((await conn.execute(select(metadata.tables["idempotency"]))).all())
    assert token not in kept


async def test_the_address_for_agents_is_the_one_that_was_set(sqlite_template: Path, tmp_path: Path) -> None:
    url = sqlite_copy(sqlite_template, tmp_path)
    with serving(url, tmp_path, TIDEGATE_PUBLIC_URL="https://tidegate.example.com/") as manager:
        db = Database.at(url)
        async with people(manager, db) as some, visiting(manager.url, some.admin.token) as admin:
            shown = await admin.submit(await admin.get("/agents/enrol"), "/agents/enrol", name="berlin1")
        await db.close()
    assert environment(shown)["TIDEGATE_MANAGER"] == "https://tidegate.example.com"
    assert "leads a container to itself" not in shown.text


async def test_it_warns_where_the_address_is_this_machine_or_the_name_is_taken(
    visitors: Visitors, fleet: ManagerFleet
) -> None:
    await fleet.settle(1)
    shown = await enrol(visitors, name="host0")
    assert "leads a container to itself" in shown.text
    assert "An agent called host0 is let in already" in shown.text
    assert "is let in already" not in (await enrol(visitors, name="host1")).text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "  "}, "name: it is missing"),
        ({"name": MARKUP}, "name: no agent can be called that"),
        ({"name": "a", "labels": MARKUP}, "labels: "),
        ({"name": "a", "labels": "-=x"}, "labels"),
        ({"name": "a", "expires_in": "9"}, "expires_in: it takes one of"),
    ],
)
async def test_what_cannot_be_is_said_beside_what_was_typed_and_no_token_is_made(
    visitors: Visitors, people: People, fields: dict[str, str], said: str
) -> None:
    shown = await enrol(visitors, **fields)
    assert (shown.status, said in shown.main.one(role="alert").text) == (422, True)
    assert shown.main.one("input", name="name").attributes["value"] == fields["name"]
    assert shown.main.one("textarea").text == fields.get("labels", "")
    assert (await people.admin.get("/agents/enrolments")).json["items"] == []


async def test_tokens_that_nobody_has_used_are_listed_and_withdrawn(visitors: Visitors, people: People) -> None:
    await enrol(visitors, name="berlin1", labels=f"note={MARKUP}")
    shown = await visitors.admin.get("/agents/enrol")
    (row,) = shown.main.one("tbody").all("tr")
    assert f"note={MARKUP}" in row.text
    after = await visitors.admin.submit(shown, "/agents/enrolments/1/withdraw")
    assert (after.path, after.main.all("tbody")) == ("/agents/enrol", [])
    assert (await people.admin.get("/agents/enrolments")).json["items"][0]["revoked_at"] is not None
    assert (await visitors.operator.send("/agents/enrolments/1/withdraw")).status == 403
