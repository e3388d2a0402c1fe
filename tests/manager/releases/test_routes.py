"""What people are told of releases over the API."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from tests.support.manager import People

from tidegate.manager.releases.views import compare_rollout
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
A, B, C = ("sha256:" + letter * 64 for letter in "abc")
AMD = "linux/amd64"


async def made(db: Database, table: Any, **values: Any) -> int:
    async with db.write() as conn:
        return int((await conn.execute(insert(table).values(values).returning(table.c.id))).scalar_one())


async def channel(db: Database, tag: str = "live") -> int:
    name = "reg.test/acme/web"
    return await made(db, schema.channels, name=f"{name}:{tag}", repository=name, tag=tag, created_at=NOON)


async def release(db: Database, of: int, digest: str, at: float = 0, **values: Any) -> int:
    moment = NOON + timedelta(minutes=at)
    given = {"channel_id": of, "digest": digest, "seen_at": moment, "named_at": moment, "told_by": "registry"}
    return await made(db, schema.releases, **given | values)


async def target(db: Database, of: int, digests: list[str]) -> list[int]:
    async with db.write() as conn:
        await conn.execute(insert(schema.agents).values(id="1", name="berlin1", public_key="", enrolled_at=NOON))
    cluster = await made(db, schema.clusters, name="web@berlin1", project="web", agent_id="1", created_at=NOON)
    given = {"cluster_id": cluster, "service": "s", "channel_id": of, "seen_at": NOON}
    return [
        await made(db, schema.targets, name=f"t{number}", digest=digest, **given)
        for number, digest in enumerate(digests)
    ]


async def test_releases_are_listed_the_newest_first_with_who_runs_them(people: People, manager_db: Database) -> None:
    of = await channel(manager_db)
    await release(manager_db, of, A)
    await release(manager_db, of, B, 1, version="2")
    await target(manager_db, of, [A, A, B])
    await made(manager_db, schema.quarantine, digest=A, by="ann", at=NOON)
    answer = await people.viewer.get("/releases")
    rows = [(one["digest"], one["newest"], one["quarantined"], one["running"]) for one in answer.json["items"]]
    assert rows == [(B, True, False, 1), (A, False, True, 2)]
    first = answer.json["items"][0]
    assert (first["channel"], first["version"]) == ({"id": of, "name": "reg.test/acme/web:live"}, "2")
    assert first["seen_at"] == "2026-11-25T12:01:00Z"


async def test_a_list_is_filtered_and_comes_in_pages(people: People, manager_db: Database) -> None:
    one, other = await channel(manager_db), await channel(manager_db, "next")
    await release(manager_db, one, A)
    await release(manager_db, one, B)
    await release(manager_db, other, A)
    assert len((await people.viewer.get(f"/releases?channel={one}")).json["items"]) == 2
    assert len((await people.viewer.get(f"/releases?channel={one}&digest={A}")).json["items"]) == 1
    page = (await people.viewer.get("/releases?limit=2")).json
    assert len(page["items"]) == 2
    assert len((await people.viewer.get(f"/releases?limit=2&after={page['next']}")).json["items"]) == 1


async def test_a_release_is_shown_with_its_labels_and_platforms(people: People, manager_db: Database) -> None:
    configs = {AMD: {"User": "app"}}
    number = await release(manager_db, await channel(manager_db), A, labels={"team": "tide"}, configs=configs)
    answer = await people.viewer.get(f"/releases/{number}")
    assert (answer.json["labels"], answer.json["platforms"]) == ({"team": "tide"}, [AMD])
    assert "configs" not in answer.json


async def test_changes_are_those_from_what_most_targets_run(people: People, manager_db: Database) -> None:
    of = await channel(manager_db)
    await release(manager_db, of, A, configs={AMD: {"User": "app"}}, version="1")
    await release(manager_db, of, B, configs={AMD: {"User": "b"}})
    number = await release(manager_db, of, C, configs={AMD: {}}, version="3")
    await target(manager_db, of, [A, A, B, C])
    answer = (await people.viewer.get(f"/releases/{number}/changes")).json
    assert (answer["before"]["digest"], answer["after"]["digest"], answer["note"]) == (A, C, "")
    rows = [(one["field"], one["before"], one["after"], one["dangerous"]) for one in answer["changes"]]
    assert rows == [("user", "app", "", True), ("version", "1", "3", False)]
    other = (await people.viewer.get(f"/releases/{number}/changes?from={B}")).json
    assert [one["before"] for one in other["changes"]] == ["b", ""]


async def test_the_revision_in_an_annotation_is_compared_too(people: People, manager_db: Database) -> None:
    of, source = await channel(manager_db), "https://github.com/acme/web"
    await release(manager_db, of, A, configs={AMD: {"User": "app"}}, revision="0123456789ab", source=source)
    number = await release(manager_db, of, B, configs={AMD: {"User": "app"}}, revision="ba9876543210", source=source)
    answer = (await people.viewer.get(f"/releases/{number}/changes?from={A}")).json
    assert [one["link"] for one in answer["changes"]] == [f"{source}/compare/0123456789ab...ba9876543210"]


async def test_where_less_is_known_it_is_said_why(people: People, manager_db: Database) -> None:
    of = await channel(manager_db)
    number = await release(manager_db, of, A)
    nothing = (await people.viewer.get(f"/releases/{number}/changes")).json
    assert (nothing["before"], nothing["changes"]) == (None, [])
    assert "nothing runs" in nothing["note"]
    await release(manager_db, of, B, trouble="reg.test is gone", configs={})
    notes = [(await people.viewer.get(f"/releases/{number}/changes?from={one}")).json["note"] for one in (B, C)]
    assert "could not be read: reg.test is gone" in notes[0]
    assert "has not been read from its registry yet" in notes[0]
    assert "was not seen on this channel" in notes[1]


async def test_what_a_rollout_changes_is_told_by_what_ran_before_it(manager_db: Database) -> None:
    of = await channel(manager_db)
    await release(manager_db, of, A, configs={AMD: {"User": "a"}})
    await release(manager_db, of, B, configs={AMD: {"User": "b"}})
    targets = await target(manager_db, of, [B, B])  # it has gone out meanwhile
    given = {"kind": "update", "state": "running", "requested_by": "ann", "created_at": NOON}
    rollout = await made(manager_db, schema.rollouts, channel_id=of, digest=B, **given)
    async with manager_db.write() as conn:
        rows = [
            {"rollout_id": rollout, "target_id": number, "target": "t", "before": A, "progress": "healthy"}
            for number in targets
        ]
        await conn.execute(insert(schema.rollout_targets), rows)
        found = await compare_rollout(conn, rollout)
        assert await compare_rollout(conn, rollout + 1) is None
    assert found is not None
    assert [(one.before, one.after) for one in found.changes] == [("a", "b")]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/releases/9", 404),
        ("/releases/9/changes", 404),
        ("/releases/0", 422),
        ("/releases/99999999999999999999", 422),
        ("/releases/9/changes?from=latest", 422),
        ("/releases?channel=web", 422),
        ("/releases?chanel=1", 422),
    ],
)
async def test_what_is_not_there_or_makes_no_sense_is_refused(people: People, path: str, status: int) -> None:
    answer = await people.viewer.get(path)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_who_has_no_token_is_told_nothing(people: People) -> None:
    for path in ("/releases", "/releases/1", "/releases/1/changes"):
        assert (await people.nobody.get(path)).status == 401
