"""Whatever is asked, of every operation in the document: no fault of the manager, and only answers that it lists."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks
from sqlalchemy import insert
from tests.support.manager import Manager, empty, token
from tests.support.manager_fleet import NEW, OLD, ManagerFleet

from tidegate.manager.parts import now
from tidegate.manager.people.roles import Role
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

# the manager's thread draws jitter while a strategy is drawn from, which Hypothesis takes for the strategy's doing
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

LIBRARY_WORDS = re.compile(
    r"Input should|should (?:have|match|be)|Field required|Extra inputs|valid (?:string|integer)"
)


def refused_in_our_words(_ctx: CheckContext, response: Response, _case: Case[Any]) -> None:
    """No fault of a value is told in the words of the library that found it: they do not say what is accepted."""
    assert not LIBRARY_WORDS.search(response.text), response.text


CHECKS = [
    refused_in_our_words,
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
ENDLESS = {"/api/v1/events"}
THERE = {"id": 1, "name": "shop@host0", "cluster": "shop@host0", "service": "web"}


@dataclass(frozen=True)
class Fleet:
    """A manager with something of everything, and who asks it."""

    url: str
    headers: dict[str, str]
    session: requests.Session


@pytest.fixture
def fleet(manager_running: Manager) -> Iterator[Fleet]:
    async def fill() -> str:
        db = Database.at(manager_running.database_url)
        await empty(db)
        some = await ManagerFleet(db).settle(2)
        await some.release(OLD)
        await some.start(NEW)  # first, or the planner may send it out before
        await some.release(NEW)
        async with db.write() as conn:
            made = {"created_at": now(), "starts_at": now(), "ends_at": now()}
            await conn.execute(insert(schema.windows).values(name="a", window="0 2 * * * 4h UTC", created_at=now()))
            await conn.execute(insert(schema.freezes).values(name="a", **made))
            await conn.execute(insert(schema.quarantine).values(digest=OLD, by="a", at=now()))
            alert = {"rule": "drift", "subject": "x", "severity": "info", "opened_at": now()}
            await conn.execute(insert(schema.alerts).values(alert))
            text = await token(conn, Role.ADMIN)
        await db.close()
        return text

    headers = {"Authorization": f"Bearer {asyncio.run(fill())}"}
    with requests.Session() as session:
        yield Fleet(manager_running.url, headers, session)


MANY = 10


def ask(fleet: Fleet, mode: GenerationMode, *, examples: int, there: bool) -> int:
    """Ask every operation so many times; how often it was asked. `there`: for what there is.

    A few are the same each time.
    """
    document = schemathesis.openapi.from_url(f"{fleet.url}/openapi.json")
    asked = 0
    for result in document.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()
        if operation.path in ENDLESS or (there and "{" not in operation.path):
            continue
        names = {one for one in THERE if f"{{{one}}}" in operation.path}
        real: dict[str, Any] = {"path_parameters": {one: THERE[one] for one in names}} if there else {}

        @given(case=operation.as_strategy(mode, **real))
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=examples < MANY,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def one(case: Case[Any]) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(
                base_url=fleet.url, session=fleet.session, headers=fleet.headers, checks=CHECKS, timeout=20
            )

        try:
            one()
        except Unsatisfiable:
            continue  # there is nothing to get wrong
    return asked


FEW_AND_MANY = pytest.mark.parametrize(
    "examples", [2, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)


@FEW_AND_MANY
def test_requests_that_fit_the_document_are_answered_as_it_says(fleet: Fleet, examples: int) -> None:
    assert ask(fleet, GenerationMode.POSITIVE, examples=examples, there=False) > 50


@FEW_AND_MANY
def test_requests_about_what_is_there_are_answered_as_the_document_says(fleet: Fleet, examples: int) -> None:
    assert ask(fleet, GenerationMode.POSITIVE, examples=examples, there=True) > 25


@FEW_AND_MANY
def test_requests_that_do_not_fit_the_document_are_answered_as_it_says(fleet: Fleet, examples: int) -> None:
    assert ask(fleet, GenerationMode.NEGATIVE, examples=examples, there=False) > 50
