"""Releases and rollouts for people's readers: Atom and JSON Feed."""

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from sqlalchemy import insert, update
from tests.support import databases
from tests.support.manager import Answer, Caller, People, asked, serving
from tests.support.manager_fleet import NEW, OLD, ManagerFleet

from tidegate.manager.people.audit import Actor, record
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database
from tidegate.manager.telling.news_formats import JSON_SCHEMA

A = "{http://www.w3.org/2005/Atom}"
BAD = "<script>alert('1')</script> & \"x\" \x08]]>"
T = datetime(2026, 11, 25, 12, tzinfo=UTC)
Make = Callable[..., Awaitable[int]]


@pytest.fixture
async def db(people: People, manager_db: Database) -> Database:
    """A channel and two targets; `people` come after the database was emptied."""
    del people
    await ManagerFleet(manager_db).settle(2)
    return manager_db


@pytest.fixture
def rollout(db: Database) -> Make:
    """Makes a rollout that nobody decides any more; its number."""

    async def make(**values: Any) -> int:
        usual = {"channel_id": 1, "digest": NEW, "kind": "update", "state": "running", "requested_by": "ann"}
        usual |= {"created_at": T, "waves": 2, "counts": {"healthy": 3, "failed": 0}, "policy": {}, "wake_at": None}
        async with db.write() as conn:
            row = insert(schema.rollouts).values(usual | values).returning(schema.rollouts.c.id)
            return int((await conn.execute(row)).scalar_one())

    return make


async def release(db: Database, **values: Any) -> None:
    usual = {"channel_id": 1, "digest": NEW, "seen_at": T, "named_at": T}
    async with db.write() as conn:
        await conn.execute(insert(schema.releases).values(usual | values))


async def feed(caller: Caller, what: str = "json", **headers: str) -> Answer:
    return await caller.get(f"//feed.{what}", headers={name.replace("_", "-"): one for name, one in headers.items()})


async def items(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    got = await feed(caller, f"json{query}")
    assert got.status == 200, got.text
    found: list[dict[str, Any]] = got.json["items"]
    return found


async def kinds(caller: Caller, query: str = "") -> list[str]:
    return [one["tags"][0] for one in await items(caller, query)]


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def minutes(count: int) -> datetime:
    return T + timedelta(minutes=count)


async def test_what_became_of_a_rollout_is_told_the_newest_first(people: People, db: Database, rollout: Make) -> None:
    await release(db, version="2.0", revision="abc")
    number = await rollout(
        begun_at=T, back_since=minutes(3), ended_at=minutes(4), state="rolled_back", reason="1 target failed"
    )
    async with db.write() as conn:
        await record(conn, Actor("bob"), "rollout.pause", f"rollout {number}", minutes(1), after={"reason": "a look"})
        alert = {"rule": "rollout_paused", "subject": f"rollout {number}", "severity": "critical", "text": "it stopped"}
        await conn.execute(insert(schema.alerts).values(alert | {"opened_at": minutes(2), "data": {}}))
    found = [(one["tags"][0], one["title"], one["content_text"]) for one in await items(people.viewer)]
    name = f"Rollout {number} of r/app:1 to 2.0"
    assert found == [
        ("rollout.rolled_back", f"{name} is rolled back", "1 target failed. 3 healthy."),
        ("rollout.rolling_back", f"{name} went back to what ran before", "1 target failed."),
        ("rollout.paused", f"{name} has stopped and waits for a person", "it stopped."),
        ("rollout.paused", f"{name} is paused by bob", "a look."),
        ("rollout.begun", f"{name} has begun", f"Rollout {number} has begun."),
        ("rollout.asked", f"{name} is asked for by ann", "3 targets in 2 waves."),
        ("release.seen", "Release 2.0 of r/app:1", f"{NEW} was seen. revision: abc."),
    ]


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled", "superseded"])
async def test_every_end_is_told(people: People, rollout: Make, state: str) -> None:
    await rollout(state=state, ended_at=minutes(1))
    assert await kinds(people.viewer) == [f"rollout.{state}", "rollout.asked"]


async def test_a_rollback_and_a_policys_rollout_are_called_so(people: People, rollout: Make) -> None:
    await rollout(kind="rollback", digest=OLD)
    await rollout(requested_by="tidegate", created_at=minutes(1), policy={"approvals": 1})
    policys, back = await items(people.viewer)
    assert back["title"] == f"Rollback 1 of r/app:1 back to {OLD[7:19]} is asked for by ann"
    assert policys["title"].endswith("is asked for by its channel's policy")
    assert (policys["content_text"], "authors" in policys) == ("3 targets in 2 waves. 1 approval needed.", False)


async def test_the_newest_fifty_are_told_and_no_more(people: People, db: Database, rollout: Make) -> None:
    for at in range(60):
        await rollout(created_at=minutes(at))
    found = await items(people.viewer)
    assert [one["url"].rpartition("/")[2] for one in found] == [str(at) for at in range(60, 10, -1)]
    await release(db, seen_at=minutes(100))
    assert await kinds(people.viewer) == ["release.seen", *["rollout.asked"] * 49]


@pytest.mark.parametrize("given", ["2", "docker.io/library/nginx:1", "nginx:1", "nginx%3A1"])
async def test_it_is_narrowed_down_to_a_channel(people: People, db: Database, rollout: Make, given: str) -> None:
    name = "docker.io/library/nginx:1"
    async with db.write() as conn:
        channel = {"name": name, "repository": "docker.io/library/nginx", "tag": "1", "policy": {}, "created_at": T}
        await conn.execute(insert(schema.channels).values(channel))
    await release(db)
    await rollout()
    other = await rollout(channel_id=2)
    got = (await feed(people.viewer, f"json?channel={given}")).json
    assert [one["url"].rpartition("/")[2] for one in got["items"]] == [str(other)]
    assert got["title"] == f"Tidegate: {name}"


@pytest.mark.parametrize("given", ["9", "r/other:1", "no%20name", "9" * 30])
async def test_a_channel_that_is_not_there_is_told(people: People, given: str) -> None:
    assert (await feed(people.viewer, f"atom?channel={given}")).status == 404


async def test_what_is_no_such_question_is_refused(people: People) -> None:
    assert (await feed(people.viewer, "atom?chanel=1")).status == 422


# who may


@pytest.mark.parametrize("what", ["atom", "json"])
async def test_a_token_may_be_the_password_of_any_user(people: People, what: str) -> None:
    for user in ("", "ann", "x y:z"):
        shown = basic(user, people.viewer.token or "") if ":" not in user else basic("u", people.viewer.token or "")
        assert (await feed(people.nobody, what, Authorization=shown)).status == 200
    assert (await feed(people.viewer, what)).status == 200


@pytest.mark.parametrize(
    "shown",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Basic /w=="},
        {"Authorization": basic("ann", "")},
        {"Authorization": basic("ann", "tg_1_" + "a" * 43)},
        {"Authorization": "Bearer tg_1_" + "a" * 43},
    ],
)
async def test_who_shows_no_token_is_asked_for_a_password(people: People, shown: dict[str, str]) -> None:
    got = await feed(people.nobody, "atom", **shown)
    assert (got.status, got.json["code"]) == (401, "unauthorized")
    assert got.headers["WWW-Authenticate"] == 'Basic realm="Tidegate", charset="UTF-8"'


@pytest.mark.parametrize("path", ["//api/v1/status", "//metrics", "//api/v1/overview"])
async def test_a_password_opens_nothing_else(people: People, path: str) -> None:
    got = await people.nobody.get(path, headers={"Authorization": basic("ann", people.admin.token or "")})
    assert (got.status, got.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_token_that_was_revoked_reads_no_more(people: People, db: Database) -> None:
    shown = basic("ann", people.viewer.token or "")
    async with db.write() as conn:
        await conn.execute(update(schema.tokens).values(revoked_at=T))
    assert (await feed(people.nobody, "atom", Authorization=shown)).status == 401


# what is not sent twice


@pytest.mark.parametrize("what", ["atom", "json"])
async def test_what_has_not_changed_is_not_sent_again(people: People, rollout: Make, what: str) -> None:
    await rollout()
    first = await feed(people.viewer, what)
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert parsedate_to_datetime(first.headers["Last-Modified"]) == T
    for sent in (
        {"If_None_Match": first.headers["ETag"]},
        {"If_None_Match": f'"x", W/{first.headers["ETag"]}'},
        {"If_None_Match": "*"},
        {"If_Modified_Since": first.headers["Last-Modified"]},
    ):
        again = await feed(people.viewer, what, **sent)
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", first.headers["ETag"]), sent
    await rollout(created_at=minutes(1))
    for sent in (
        {"If_None_Match": first.headers["ETag"]},
        {"If_Modified_Since": first.headers["Last-Modified"]},
        {"If_None_Match": '"x"', "If_Modified_Since": format_datetime(minutes(60), usegmt=True)},
        {"If_Modified_Since": "yesterday"},
    ):
        assert (await feed(people.viewer, what, **sent)).status == 200, sent


async def test_what_came_this_second_is_not_told_by_its_time(people: People, rollout: Make) -> None:
    await rollout(created_at=datetime.now(UTC) + timedelta(seconds=30))
    assert "Last-Modified" not in (await feed(people.viewer)).headers


async def test_a_head_has_no_body(people: People) -> None:
    got = await people.viewer("HEAD", "//feed.atom")
    assert (got.status, got.text, bool(got.headers["ETag"])) == (200, "", True)


# as the formats want it


async def everything(db: Database, rollout: Make) -> None:
    await release(db, version=BAD, revision=BAD, source=BAD, read_at=minutes(9))
    await rollout(reason=BAD, begun_at=T, ended_at=minutes(4), state="cancelled", requested_by=BAD)
    async with db.write() as conn:
        await record(conn, Actor("bob"), "rollout.pause", "rollout 1", minutes(1), after={"reason": BAD})
        await conn.execute(update(schema.channels).values(name=f"r/app:1{BAD}"))


@pytest.mark.parametrize("full", [True, False])
async def test_the_atom_is_one_by_rfc_4287(people: People, db: Database, rollout: Make, full: bool) -> None:
    if full:
        await everything(db, rollout)
    got = await feed(people.viewer, "atom")
    assert got.headers["Content-Type"].partition(";")[0] == "application/atom+xml"
    root = ET.fromstring(got.text)
    assert root.tag == f"{A}feed"
    ids = [_checked(one) for one in [root, *root.findall(f"{A}entry")]]
    assert len(set(ids)) == len(ids) == (6 if full else 1)
    assert [one.get("rel") for one in root.findall(f"{A}link")] == ["self", "alternate"]
    assert root.find(f"{A}author/{A}name") is not None
    known = {"id", "title", "updated", "published", "link", "author", "category", "summary", "entry", "name", "feed"}
    assert {one.tag.removeprefix(A) for one in root.iter()} <= known
    for entry in root.findall(f"{A}entry"):
        assert len(entry.findall(f"{A}link[@rel='alternate']")) == 1
        assert entry.findtext(f"{A}summary")
    if full:
        assert "<script>" not in got.text
        assert BAD.replace("\x08", "\ufffd") in (root.findtext(f"{A}entry/{A}title") or "")


def _checked(it: ET.Element) -> str:
    """What a feed and each of its entries have once; its id."""
    for name in ("id", "title", "updated"):
        assert len(it.findall(f"{A}{name}")) == 1, name
    for name in ("updated", "published"):
        for one in it.findall(f"{A}{name}"):
            assert datetime.fromisoformat(one.text or "").tzinfo is not None
    name = it.findtext(f"{A}id") or ""
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", name)
    for link in it.findall(f"{A}link"):
        assert re.match(r"https?://", link.get("href", ""))
    return name


async def test_the_json_is_one_by_version_1_1(people: People, db: Database, rollout: Make) -> None:
    await everything(db, rollout)
    got = await feed(people.viewer)
    assert got.headers["Content-Type"].partition(";")[0] == "application/feed+json"
    assert got.json["version"] == "https://jsonfeed.org/version/1.1"
    assert got.json["title"]
    assert got.json["feed_url"].endswith("/feed.json")
    jsonschema_rs.validator_for(JSON_SCHEMA).validate(got.json)
    assert set(got.json) == set(JSON_SCHEMA["properties"])
    found = got.json["items"]
    assert len({one["id"] for one in found}) == len(found) == 5
    for one in found:
        assert set(one) | {"authors"} == set(JSON_SCHEMA["properties"]["items"]["items"]["properties"])
        assert datetime.fromisoformat(one["date_published"]) <= datetime.fromisoformat(one["date_modified"])
    assert any(BAD in one["title"] for one in found)


async def test_names_of_entries_stay_and_are_those_of_no_other_manager(
    people: People, db: Database, rollout: Make
) -> None:
    await release(db)
    await rollout(begun_at=T)
    before = [one["id"] for one in await items(people.viewer)]
    async with db.write() as conn:
        await conn.execute(update(schema.rollouts).values(state="completed", ended_at=minutes(1)))
        await conn.execute(update(schema.releases).values(version="2.0", read_at=minutes(1)))
    after = [one["id"] for one in await items(people.viewer)]
    assert after[1:] == before
    async with db.write() as conn:  # the same number and release elsewhere, a moment later
        await conn.execute(update(schema.rollouts).values(created_at=T + timedelta(microseconds=1)))
        await conn.execute(update(schema.releases).values(seen_at=T + timedelta(microseconds=1)))
    assert not set(after) & {one["id"] for one in await items(people.viewer)}


async def test_links_lead_to_the_address_that_was_asked(people: People, rollout: Make) -> None:
    await rollout()
    [one] = await items(people.viewer)
    assert one["url"] == f"{people.viewer.url}/rollouts/1"


async def test_links_lead_to_the_address_that_people_have_where_it_is_set(
    sqlite_template: Path, tmp_path: Path
) -> None:
    url = databases.sqlite_copy(sqlite_template, tmp_path)
    with serving(url, tmp_path, TIDEGATE_PUBLIC_URL="https://tidegate.example.com/t") as running:
        async with asked(running) as some:
            got = (await feed(some.viewer)).json
    assert (got["home_page_url"], got["feed_url"]) == (
        "https://tidegate.example.com/t/",
        "https://tidegate.example.com/t/feed.json",
    )
