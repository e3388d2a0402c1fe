"""Webhooks of registries, sent to a manager that runs."""

import asyncio
import base64
import hashlib
import hmac
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select
from tests.manager.releases.conftest import NOON
from tests.support.manager import serving
from tests.support.registry_fake import FakeRegistry
from tests.support.registry_push import Pusher
from tests.support.webhooks import DISTRIBUTION, DOCKER_HUB, GITHUB, HARBOR

from tidegate.agent.logs import configure_logs
from tidegate.agent.settings import load_settings
from tidegate.domain.webhook import Kind
from tidegate.manager.releases.authentic import is_authentic
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

SECRET = "tide-and-time"
NAMES = {
    Kind.GITHUB: "ghcr.io/acme/orchestrator:autonomy-latest",
    Kind.DISTRIBUTION: "reg.test:5000/acme/web:live",
    Kind.DOCKER_HUB: "docker.io/acme/web:live",
    Kind.HARBOR: "harbor.test:8443/acme/web:live",
    Kind.GENERIC: "reg.test/acme/web:live",
}
BODIES: dict[Kind, Any] = {
    Kind.GITHUB: GITHUB,
    Kind.DISTRIBUTION: DISTRIBUTION,
    Kind.DOCKER_HUB: DOCKER_HUB,
    Kind.HARBOR: HARBOR,
    Kind.GENERIC: {"image": "reg.test/acme/web:live"},
}
"""GitHub's and the others' are as they were recorded, or as their makers document them."""


@dataclass(frozen=True)
class Answer:
    status: int
    json: Any


@dataclass(frozen=True)
class Sender:
    """Sends webhooks to a manager that has SECRET for every kind; `db` is its database."""

    url: str
    db: Database
    session: aiohttp.ClientSession

    async def send(
        self, kind: str, body: bytes, headers: Mapping[str, str] | None = None, *, query: str = ""
    ) -> Answer:
        where = f"{self.url}/api/v1/webhooks/{kind}{query}"
        given = {"Content-Type": "application/json"} | dict(headers or {})
        async with self.session.post(where, data=io.BytesIO(body), headers=given) as got:
            return Answer(got.status, await got.json(content_type=None))

    async def follow(self, *names: str) -> None:
        async with self.db.write() as conn:
            for name in names:
                repository, _, tag = name.rpartition(":")
                row = {"name": name, "repository": repository, "tag": tag, "created_at": NOON}
                await conn.execute(insert(schema.channels).values(row))

    async def asked_now(self) -> list[str]:
        """The channels whose registries are to be asked."""
        due = select(schema.channels.c.name).where(schema.channels.c.poll_at.is_not(None))
        async with self.db.read() as conn:
            return list((await conn.execute(due)).scalars())


def shown(kind: Kind, body: bytes, secret: str = SECRET) -> dict[str, str]:
    """The headers by which a request of this kind shows its secret."""
    if kind is Kind.GITHUB:
        return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}
    return {"Authorization": f"Bearer {secret}"}


def body_of(kind: Kind) -> bytes:
    return json.dumps(BODIES[kind]).encode()


SECRETS = {f"TIDEGATE_WEBHOOK_{kind.upper()}": SECRET for kind in Kind}


@asynccontextmanager
async def sending(url: str, db: Database) -> AsyncIterator[Sender]:
    async with aiohttp.ClientSession() as session:
        yield Sender(url, db, session)


@pytest.fixture
async def sender(
    db: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Sender]:
    """To a manager without its background work, so that no registry is really asked."""
    monkeypatch.setattr("tidegate.manager.serve.services", lambda _: [])
    with serving(database_url, tmp_path / "data", **SECRETS) as one:
        async with sending(one.url, db) as found:
            yield found


async def test_a_webhook_has_the_channel_asked_that_it_tells_of(sender: Sender) -> None:
    await sender.follow(*NAMES.values(), "reg.test/acme/web:next")
    for kind in Kind:
        body = body_of(kind)
        answer = await sender.send(kind, body, shown(kind, body))
        assert (answer.status, answer.json) == (202, {"channels": [NAMES[kind]]})
    assert sorted(await sender.asked_now()) == sorted(NAMES.values())


async def test_a_webhook_that_does_not_show_the_secret_is_refused_and_does_nothing(sender: Sender) -> None:
    await sender.follow(*NAMES.values())
    for kind in Kind:
        body = body_of(kind)
        for headers in ({}, shown(kind, body, "guess"), shown(kind, body, ""), shown(kind, body + b" ")):
            if kind is not Kind.GITHUB and headers == shown(kind, body):
                continue  # not the body is signed, the secret is shown
            answer = await sender.send(kind, body, headers)
            assert (answer.status, answer.json["code"]) == (401, "unauthorized")
            assert f"TIDEGATE_WEBHOOK_{kind.upper()}" in answer.json["detail"]
            assert SECRET not in str(answer.json)
    assert await sender.asked_now() == []


async def test_docker_hub_which_sends_no_header_shows_the_secret_in_its_address(sender: Sender) -> None:
    await sender.follow(NAMES[Kind.DOCKER_HUB])
    body = body_of(Kind.DOCKER_HUB)
    for guess in ("guess", SECRET[:-1], "%20", f"{SECRET}%00"):
        answer = await sender.send(f"dockerhub/{guess}", body)
        assert answer.status in {401, 422}, guess
    assert (await sender.send(f"dockerhub/{SECRET}", body, query="?x=1")).status == 422
    assert (await sender.send(f"harbor/{SECRET}", body_of(Kind.HARBOR))).status == 404
    assert await sender.asked_now() == []
    answer = await sender.send(f"dockerhub/{SECRET}", body)
    assert (answer.status, answer.json) == (202, {"channels": [NAMES[Kind.DOCKER_HUB]]})
    assert await sender.asked_now() == [NAMES[Kind.DOCKER_HUB]]


async def test_a_secret_that_is_in_the_address_is_not_in_the_log(
    sender: Sender, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("it is broken")

    monkeypatch.setattr("tidegate.manager.api.routes.webhooks.hinted", broken)
    body = body_of(Kind.DOCKER_HUB)
    configure_logs(load_settings((), {}))  # as it does for people; tests' own shows what is in every frame
    try:
        assert (await sender.send("dockerhub/guess-work", body)).status == 401
        assert (await sender.send(f"dockerhub/{SECRET}", body)).status == 500
    finally:
        structlog.reset_defaults()
    said = "".join(capfd.readouterr())
    assert "/api/v1/webhooks/dockerhub/***" in said
    assert (SECRET in said, "guess-work" in said) == (False, False)


async def test_without_a_secret_on_the_manager_every_webhook_is_refused(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    with serving(database_url, tmp_path / "data") as manager:
        async with sending(manager.url, db) as sender:
            for kind in Kind:
                body = body_of(kind)
                for secret in ("", SECRET):
                    assert (await sender.send(kind, body, shown(kind, body, secret))).status == 401
            assert (await sender.send(f"dockerhub/{SECRET}", body_of(Kind.DOCKER_HUB))).status == 401


async def test_a_webhook_makes_no_channel_and_tells_of_none(sender: Sender) -> None:
    await sender.follow("reg.test/acme/web:next")
    body = body_of(Kind.GENERIC)
    assert (await sender.send("generic", body, shown(Kind.GENERIC, body))).json == {"channels": []}
    async with sender.db.read() as conn:
        assert (await conn.execute(select(schema.channels.c.name))).scalars().all() == ["reg.test/acme/web:next"]


async def test_a_secret_in_the_address_is_refused(sender: Sender) -> None:
    body = body_of(Kind.GENERIC)
    answer = await sender.send("generic", body, shown(Kind.GENERIC, body), query=f"?token={SECRET}")
    assert (answer.status, "header" in answer.json["detail"]) == (422, True)
    assert SECRET not in str(answer.json)


async def test_what_github_sends_as_a_form_is_read_too(sender: Sender) -> None:
    await sender.follow(NAMES[Kind.GITHUB])
    body = urlencode({"payload": json.dumps(GITHUB)}).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await sender.send("github", body, shown(Kind.GITHUB, body) | form)
    assert answer.json == {"channels": [NAMES[Kind.GITHUB]]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"[" * 100_000, 422),
        (b"\xff", 422),
        (b"{}", 422),
        (b'{"image": "reg.test/a\\u0000b:c"}', 422),
        (b'{"image": "reg.test/web"}', 422),
        (b" " * ((1 << 20) + 1), 413),
    ],
)
async def test_a_body_that_is_none_is_refused_with_what_it_takes(sender: Sender, body: bytes, status: int) -> None:
    answer = await sender.send("generic", body, shown(Kind.GENERIC, body))
    assert (answer.status, bool(answer.json["detail"])) == (status, True)


async def test_a_kind_that_there_is_none_of_is_refused(sender: Sender) -> None:
    assert (await sender.send("quay", b"{}")).status == 422


async def test_who_sends_too_many_is_told_to_wait(db: Database, database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path / "data", TIDEGATE_RATE_ADDRESS="6/m") as manager:
        async with sending(manager.url, db) as sender:
            statuses = [(await sender.send("generic", b"{}")).status for _ in range(12)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


async def test_after_a_webhook_the_release_is_there_and_read(
    db: Database, database_url: str, tmp_path: Path, fake: FakeRegistry
) -> None:
    pushed = await Pusher(f"http://{fake.address}").image("acme/web", "live", labels={"team": "tide"})
    name = f"{fake.address}/acme/web"
    with serving(database_url, tmp_path / "data", **SECRETS) as manager:
        async with sending(manager.url, db) as sender:
            await sender.follow(f"{name}:live")
            body = json.dumps({"image": f"{name}:live"}).encode()
            assert (await sender.send("generic", body, shown(Kind.GENERIC, body))).status == 202
            async with asyncio.timeout(60):
                while not (rows := await read_releases(db)):
                    await asyncio.sleep(0.05)  # another process's feed cannot be listened to in SQLite
    assert rows == [(pushed.digest, {"team": "tide"})]


async def read_releases(db: Database) -> list[tuple[str, Any]]:
    wanted = select(schema.releases.c.digest, schema.releases.c.labels).where(schema.releases.c.read_at.is_not(None))
    async with db.read() as conn:
        return [tuple(row) for row in await conn.execute(wanted)]


PASSWORD = base64.b64encode(f"anybody:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    ("header", "good"),
    [
        (f"Bearer {SECRET}", True),
        (f"bearer  {SECRET} ", True),
        (SECRET, True),
        (f"Basic {PASSWORD}", True),
        (f"Basic {base64.b64encode(SECRET.encode()).decode()}", False),
        (f"Bearer {SECRET}x", False),
        (f"Token {SECRET}", False),
        ("Basic ===", False),
        ("Bearer", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.GITHUB])
def test_a_secret_is_shown_as_a_bearer_token_a_password_or_the_whole_header(
    kind: Kind, header: str, good: bool
) -> None:
    assert is_authentic(kind, {"authorization": header}, b"", SECRET) is good


@given(st.sampled_from(Kind), st.text(), st.binary(), st.sampled_from([None, ""]))
def test_without_a_secret_nothing_is_authentic(kind: Kind, header: str, body: bytes, secret: str | None) -> None:
    signed = {"x-hub-signature-256": shown(Kind.GITHUB, body, "")["X-Hub-Signature-256"], "authorization": header}
    assert not is_authentic(kind, signed, body, secret)


def test_a_bearer_token_is_no_signature() -> None:
    assert not is_authentic(Kind.GITHUB, {"authorization": f"Bearer {SECRET}"}, b"", SECRET)
