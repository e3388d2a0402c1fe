"""What an agent may send that is no agent, or is against us: refused in words, and never a fault of the manager."""

from __future__ import annotations

import json
import time
from typing import Any

import aiohttp
import pytest
from tests.support.bare_agent import AT, NEW, OLD, BareAgent, inventory, report, target
from tests.support.planted import count, rows
from tests.support.real_manager import RealManager

from tidegate.protocol import keys, messages, requests

NOT_MESSAGES: list[bytes] = [
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'"text"',
    b"7",
    b"{",
    b"[" * 16_000,
    b'{"a":' * 3_000,
    b"NaN",
    b'{"protocol": true}',
    b'{"protocol": "1"}',
    b'{"protocol": 1e999}',
    b'{"protocol": ' + b"9" * 4000 + b"}",
    b'{"protocol": ' + b"9" * 6000 + b"}",
]
POLL: dict[str, Any] = {"protocol": 1, "cursor": 0, "wait_s": 0, "version": "1"}
BATCH: dict[str, Any] = {"protocol": 1, "stream": "s1", "first": 1, "events": []}
SIGHTING = {"kind": "sighting", "at": AT, "repository": "docker.io/library/web", "tag": "1", "digest": NEW}
WRONG_POLLS: list[dict[str, Any]] = [
    {"cursor": -1},
    {"cursor": True},
    {"cursor": 1.5},
    {"cursor": 2**63},
    {"wait_s": 61},
    {"wait_s": -1},
    {"wait_s": None},
    {"version": "x" * 65},
    {"version": "\x00"},
    {"version": "\ud800"},
]
WRONG_EVENTS: list[Any] = [
    7,
    {},
    {"kind": "sighting"},
    {"kind": ["sighting"], "at": AT},
    SIGHTING | {"at": "2026-11-25T12:00:00"},
    SIGHTING | {"at": "99999-01-01T00:00:00Z"},
    SIGHTING | {"digest": "sha256:" + "Z" * 64},
    SIGHTING | {"repository": "web"},
    SIGHTING | {"repository": "docker.io/library/web:1"},
    SIGHTING | {"tag": "a b"},
    SIGHTING | {"tag": "1@" + NEW},
    inventory(target("web")),
    inventory(target("a/b/c")),
    inventory(target("shop@paris1/web")),
    inventory(target("shop/")),
    inventory(target("shop/a\nb")),
    inventory(target("shop/" + "x" * 300)),
    inventory(target(), target()),
    inventory(target(containers=10**9)),
    inventory(target(state="dead")),
    inventory(target(reason="\x00")),
    inventory(target(reason="\udfff")),
    inventory(target(reason="x" * 5000)),
    report("a1", "exploded"),
    report("a1", "failed", generation=2**60),
    report("a1", "failed", duration_s=-1),
    report("a1", "failed", duration_s=float("inf")),
    report("a1", "failed", duration_s=float("nan")),
    report("a1", "failed", blame="yes"),
]


def is_a_problem(answer: Any) -> bool:
    return bool(answer.body["type"].endswith(answer.body["code"]) and len(answer.body["detail"]) > 12)


@pytest.mark.parametrize("path", [messages.POLL_PATH, messages.EVENTS_PATH, messages.ENROL_PATH])
async def test_what_is_no_message_is_refused_in_words(agent: BareAgent, path: str) -> None:
    for body in NOT_MESSAGES:
        answer = await agent.signed(path, body)
        assert answer.status in {400, 426}, body[:40]
        assert is_a_problem(answer)


async def test_a_value_that_cannot_be_is_refused_by_its_name(agent: BareAgent) -> None:
    for wrong in WRONG_POLLS:
        answer = await agent.signed(messages.POLL_PATH, POLL | wrong)
        assert answer.status == 400, wrong
        assert answer.body["errors"][0]["field"] == next(iter(wrong))
    assert (await agent.signed(messages.POLL_PATH, POLL)).status == 200


async def test_one_wrong_event_has_nothing_of_its_batch_applied(manager: RealManager, agent: BareAgent) -> None:
    for wrong in WRONG_EVENTS:
        answer = await agent.events(1, inventory(target("shop/good")), wrong)
        assert answer.status == 400, str(wrong)[:200]
        assert answer.body["errors"][0]["field"].startswith("events[1]"), answer
    assert await count(manager.parts.db, "targets") == 0
    assert (await agent.events(1, inventory())).body == {"applied": 1}


async def test_strange_values_that_can_be_are_taken_for_what_they_are(manager: RealManager, agent: BareAgent) -> None:
    odd = [
        inventory(target("shop/'; DROP TABLE targets; --", reason="'\"\\%s{}<script>\u202e")),
        SIGHTING | {"at": "0001-01-01T00:00:00Z"},
        SIGHTING | {"at": "0001-01-01T00:00:00Z", "digest": OLD},
        SIGHTING | {"at": "9999-12-31T23:59:59Z", "digest": OLD},
        {"kind": "novelty", "at": AT, "x": [{}] * 100},
        {"kind": "refusal", "at": AT, "assignment": "' OR 1=1", "generation": 2**53},
    ]
    named = odd[0] | {"targets": [odd[0]["targets"][0] | {"target": "shop/';DROP_TABLE_targets;--"}]}
    answer = await agent.events(1, named, *odd[1:], stream="'; --")
    assert answer.body == {"applied": 6}
    assert await rows(manager.parts.db, "targets", "service") == ["';DROP_TABLE_targets;--"]
    assert (await agent.events(1, odd[0])).status == 400  # blanks are in no name


async def test_a_batch_that_says_it_is_far_along_cannot_overflow(agent: BareAgent) -> None:
    assert (await agent.signed(messages.EVENTS_PATH, BATCH | {"first": 2**53})).status in {200, 409}
    assert (await agent.signed(messages.EVENTS_PATH, BATCH | {"first": 2**53 + 1})).status == 400
    assert (await agent.signed(messages.EVENTS_PATH, BATCH | {"first": 0})).status == 400


async def test_a_cursor_that_is_far_ahead_harms_nobody_but_who_says_it(
    manager: RealManager, agent: BareAgent, session: aiohttp.ClientSession
) -> None:
    assert (await agent.signed(messages.POLL_PATH, POLL | {"cursor": 2**53})).status == 200
    await manager.link.flush()
    other = await BareAgent.enrolled(manager, session, "paris1")
    await manager.assign(other.id, "shop/web", NEW)
    await manager.assign(agent.id, "shop/web", NEW)
    assert len(await other.poll()) == 1


async def test_headers_that_claim_nonsense_are_those_of_nobody(agent: BareAgent) -> None:
    body = json.dumps(POLL).encode()
    good = requests.signed_headers(agent.key, agent.id, "POST", messages.POLL_PATH, body, time_s=1_800_000_000)
    for name, value in [
        ("Tidegate-Agent", "' OR 1=1 --"),
        ("Tidegate-Agent", "f" * 32),
        ("Tidegate-Agent", "x" * 5000),
        ("Tidegate-Time", "-1"),
        ("Tidegate-Time", "9" * 12),
        ("Tidegate-Time", "\u0661"),
        ("Tidegate-Signature", "AAAA"),
        ("Tidegate-Signature", "!" * 88),
        ("Tidegate-Signature", ""),
    ]:
        answer = await agent.post(messages.POLL_PATH, body, good | {name: value})
        assert answer.status == 401, (name, value[:40])
        assert answer.code in {"unknown-agent", "bad-signature"}


async def test_a_signature_counts_for_its_path_and_its_query_only(agent: BareAgent) -> None:
    body = json.dumps(BATCH | POLL).encode()
    headers = requests.signed_headers(agent.key, agent.id, "POST", messages.POLL_PATH, body, time_s=_now_s())
    assert (await agent.post(messages.POLL_PATH, body, headers)).status == 200
    assert (await agent.post(messages.EVENTS_PATH, body, headers)).code == "bad-signature"
    assert (await agent.post(messages.POLL_PATH + "?x=1", body, headers)).code == "bad-signature"
    headers = requests.signed_headers(agent.key, agent.id, "POST", messages.POLL_PATH + "?x=1", body, time_s=_now_s())
    assert (await agent.post(messages.POLL_PATH + "?x=1", body, headers)).status == 200


def _now_s() -> int:
    return int(time.time())


async def test_one_agent_is_not_another(manager: RealManager, agent: BareAgent, session: aiohttp.ClientSession) -> None:
    other = await BareAgent.enrolled(manager, session, "paris1")
    answer = await other.signed(messages.EVENTS_PATH, BATCH, agent=agent.id)
    assert (answer.status, answer.code) == (401, "bad-signature")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "a@b"},
        {"name": "a/b"},
        {"name": ""},
        {"name": "x" * 64},
        {"name": "berlin1 (revoked 0123)"},
        {"public_key": "AAAA"},
        {"public_key": keys.public_text(keys.load_key(keys.make_key()))},
        {"proof": "AAAA"},
        {"token": "te_1_x"},
        {"token": "te_99999999999999999999_" + "x" * 43},
        {"token": "tg_1_" + "x" * 43},
        {"token": "te_1_" + "x" * 43 + "\n"},
    ],
    ids=" ".join,
)
async def test_an_enrolment_that_is_wrong_lets_nobody_in(
    manager: RealManager, session: aiohttp.ClientSession, wrong: dict[str, Any]
) -> None:
    one = BareAgent(manager.url, session, "berlin1")
    token = wrong.get("token") or await manager.token()
    answer = await one.enrol(token, **wrong)
    assert answer.status in {400, 401}
    assert is_a_problem(answer)
    assert token not in json.dumps(answer.body)
    assert await count(manager.parts.db, "agents") == 0
