"""What of an image's config is kept."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from tests.manager.releases.conftest import NOON

from tidegate.manager.releases import sealed
from tidegate.manager.releases.fixed_tag import candidates
from tidegate.manager.releases.image_config import config_document, packed_size
from tidegate.manager.releases.sealed import MOST_SECRETS, Seal
from tidegate.manager.store import schema
from tidegate.manager.store.database import Database

NAMES = [
    "config", "Env", "Cmd", "Entrypoint", "User", "ExposedPorts", "Volumes", "Healthcheck", "Test", "Interval",
    "Labels", "created", "StopSignal", "WorkingDir", "layers", "size",
]  # fmt: skip
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["A_KEY=x", "9999-12-31T23:00-12"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=5),
    max_leaves=12,
)


def kept(**config: Any) -> dict[str, Any]:
    return config_document({"config": config}, size=None, seal=Seal("reg.test/acme/web"))


@pytest.mark.parametrize("name", ["DB_PASSWORD", "app_secret", "API_TOKEN", "SIGNING_KEY"])
def test_what_may_be_a_secret_is_kept_as_a_hash_by_which_a_change_is_seen(name: str) -> None:
    one, same, other = (kept(Env=[f"{name}={value}"])["Env"][0] for value in ("swordfish", "swordfish", "hunter2"))
    assert one.startswith(f"{name}=hash:")
    assert "swordfish" not in one
    assert one == same != other


def test_the_hash_of_a_secret_says_nothing_of_where_else_it_is_used() -> None:
    one, other = (Seal("reg.test/a").variable(f"{name}=x").partition("=")[2] for name in ("A_KEY", "B_KEY"))
    assert one != other
    assert Seal("reg.test/a").variable("A_KEY=x") != Seal("reg.test/b").variable("A_KEY=x")


def test_an_account_inside_an_address_is_kept_as_a_hash_wherever_it_stands() -> None:
    address = "amqp://me:swordfish@queue/x"
    config = {"Env": [f"BROKER={address}"], "Cmd": ["run", address], "Labels": {"url": address}, "Entrypoint": address}
    document = kept(**config, Healthcheck={"Test": ["CMD", address]})
    assert "swordfish" not in json.dumps(document)
    assert json.dumps(document).count("@queue/x") == 5


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What was hashed, which takes its time."""
    found: list[bytes] = []

    def scrypt(secret: bytes, **_options: Any) -> bytes:
        found.append(secret)
        return hashlib.sha256(secret).digest()[:8]

    monkeypatch.setattr(hashlib, "scrypt", scrypt)
    sealed._hash.cache_clear()
    yield found
    sealed._hash.cache_clear()


@pytest.mark.parametrize("count", [17, 100_000])
def test_a_text_with_very_many_accounts_is_hashed_at_once(hashed: list[bytes], count: int) -> None:
    accounts = "".join(f"://user{number}@" for number in range(count))
    one, other = (kept(Env=[f"URLS={accounts}{end}"])["Env"][0] for end in "ab")
    assert one.startswith("URLS=hash:")
    assert one != other
    assert len(hashed) == 2
    assert max(len(secret) for secret in hashed) <= 64  # nothing large stays in memory


def test_a_long_text_with_an_account_is_hashed_at_once(hashed: list[bytes]) -> None:
    one, other = (kept(Cmd=["x" * 3000 + f"://me:{word}@queue"])["Cmd"][0] for word in ("swordfish", "hunter2"))
    assert one.startswith("hash:")
    assert one != other
    assert len(hashed) == 2


def test_an_image_with_very_many_secrets_has_the_rest_hidden(hashed: list[bytes]) -> None:
    secrets = [f"KEY{number}=swordfish{number}" for number in range(250)]
    commands = [f"x://fish{number}@q" for number in range(250)]
    seal, documents = Seal("reg.test/a"), []
    for _platform in range(2):
        config = {"config": {"Env": secrets, "Cmd": commands, "Entrypoint": commands}}
        documents.append(config_document(config, size=None, seal=seal))
    assert documents[0] == documents[1]
    assert len(hashed) == MOST_SECRETS
    assert documents[0]["Cmd"][-1] == "x://(hidden)@q"
    assert "fish" not in json.dumps(documents)


def test_a_long_text_is_cut_and_a_change_behind_the_cut_is_seen() -> None:
    one, other = (kept(Labels={"x": "a" * 10_000 + end})["Labels"]["x"] for end in "ab")
    assert len(one) < 2100
    assert one != other


def test_sizes_are_summed_only_where_every_layer_tells_its_own() -> None:
    assert packed_size({"layers": [{"size": 1}, {"size": 2}]}) == 3
    bad: list[Any] = [[{"size": 1}, {}], [{"size": 1}, None], [{"size": -1}], [{"size": True}], [{"size": 2**60}], []]
    for layers in bad:
        assert packed_size({"layers": layers}) is None


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=6))
def test_whatever_a_config_is_what_is_kept_of_it_is_small_json(config: dict[str, Any]) -> None:
    document = config_document(config, size=packed_size(config), seal=Seal("x"))
    text = json.dumps(document, ensure_ascii=False)
    assert "\0" not in text
    assert text.encode()  # no half of a character
    assert json.loads(text) == document


async def test_letters_that_a_database_does_not_take_are_replaced(db: Database) -> None:
    document = config_document({"config": {"Labels": {"a\0b": "c\0d", "e": "\ud800"}}}, size=None, seal=Seal("x"))
    async with db.write() as conn:
        await conn.execute(insert(schema.feed).values(number=1, at=NOON, kind="x", data=document))
        found = (await conn.execute(select(schema.feed.c.data))).scalar_one()
    assert found["Labels"] == {"a\ufffdb": "c\ufffdd", "e": "\ufffd"}


@given(st.text(), st.text())
def test_a_handful_of_tags_is_asked_for_at_most(version: str, revision: str) -> None:
    assert len(candidates(version, revision, "live")) <= 7


@pytest.mark.parametrize("version", ["main", "latest", "7", "live", ""])
def test_a_version_that_moves_is_no_fixed_tag(version: str) -> None:
    assert candidates(version, "", "live") == ()
