"""What is around every answer: limits, headers, the client's address and TLS."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from tests.support.bare_agent import AT, BareAgent, inventory, target
from tests.support.manager import Caller, Manager, People, asked, serving
from tests.support.registry_tls import make_certificates

from tidegate.agent.link.log import _QUEUE
from tidegate.manager.agents.letting_in import Asked, LettingIn
from tidegate.manager.api import bodies
from tidegate.manager.api.bodies import SMALL
from tidegate.manager.api.routes.health import Readiness
from tidegate.protocol.messages import EVENTS_PATH, MOST_EVENTS, POLL_PATH

WINDOW = {"name": "nights", "window": "0 2 * * * 4h"}
SLOW = {"TIDEGATE_RATE": "1/s", "TIDEGATE_RATE_ADDRESS": "1/s"}


@pytest.fixture
def slow(url: str, tmp_path: Path) -> Iterator[Manager]:
    with serving(url, tmp_path, **SLOW) as one:
        yield one


# how often


async def test_a_token_that_asks_too_often_is_told_when_to_come_again(slow: Manager) -> None:
    async with asked(slow) as people:
        began_s = time.monotonic()
        answers = await asyncio.gather(*(people.viewer.get("/me") for _ in range(12)))
        took_s = time.monotonic() - began_s
        refused = [one for one in answers if one.status == 429]
        assert 8 - took_s <= len(refused) <= 8  # four at once, and one a second
        assert {one.headers["Retry-After"] for one in refused} == {"1"}
        assert {one.json["code"] for one in refused} == {"too-many-requests"}
        assert (await people.admin.get("/me")).status == 200


async def test_who_guesses_tokens_is_slowed_down_and_keeps_nobody_else_out(slow: Manager) -> None:
    async with asked(slow) as people:
        guesser = Caller(people.nobody.session, slow.url, f"tg_1_{'x' * 43}")
        answers = await asyncio.gather(*(guesser.get("/me") for _ in range(12)))
        assert sorted({one.status for one in answers}) == [401, 429]
        assert (await people.viewer.get("/me")).status == 200


@pytest.mark.parametrize("path", ["//openapi.json", "/docs", "//nothing", "/nothing", "//metrics", "/webhooks/generic"])
async def test_whatever_asks_for_no_token_counts_for_the_address(url: str, tmp_path: Path, path: str) -> None:
    slow = {"TIDEGATE_RATE_ADDRESS": "6/m"}  # however long one answer takes
    with serving(url, tmp_path, **slow, TIDEGATE_METRICS_PUBLIC="true") as manager:
        async with asked(manager) as people:
            method = "POST" if "webhooks" in path else "GET"
            answers = [await people.nobody(method, path) for _ in range(8)]
            assert [one.status for one in answers][-1] == 429
            assert answers[0].status != 429
            assert (await people.viewer.get("/me")).status == 200


@pytest.mark.parametrize("path", ["//healthz", "//readyz"])
async def test_probes_are_answered_however_often_they_ask(slow: Manager, path: str) -> None:
    async with asked(slow) as people:
        answers = await asyncio.gather(*(people.nobody.get(path) for _ in range(20)))
        assert {one.status for one in answers} == {200}


async def test_probes_that_ask_together_ask_the_database_once(slow: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, ask = list[None](), Readiness._ask

    async def counted(self: Readiness) -> None:
        looks.append(None)
        await ask(self)

    monkeypatch.setattr(Readiness, "_ask", counted)
    async with asked(slow) as people:
        await asyncio.gather(*(people.nobody.get("//readyz") for _ in range(50)))
    assert 0 < len(looks) < 25


async def test_who_forges_enrolments_is_slowed_down_before_anything_is_written_for_it(
    slow: Manager, monkeypatch: pytest.MonkeyPatch
) -> None:
    took_part = list[Asked]()
    let_in = LettingIn.__call__

    async def counted(self: LettingIn, some: Sequence[Asked]) -> list[Any]:
        took_part.extend(some)
        return await let_in(self, some)

    monkeypatch.setattr(LettingIn, "__call__", counted)
    async with aiohttp.ClientSession() as session:
        forgers = [BareAgent(slow.url, session, f"berlin{each}") for each in range(16)]
        began_s = time.monotonic()
        answers = await asyncio.gather(*(one.enrol(f"te_9_{'x' * 43}") for one in forgers))
        took_s = time.monotonic() - began_s
    codes = [one.code for one in answers]
    assert set(codes) == {"bad-token", "too-many-requests"}
    assert codes.count("bad-token") == len(took_part) <= 4 + took_s  # four at once, and one a second


async def test_agents_that_are_let_in_do_not_count_for_the_address_that_they_share(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path, TIDEGATE_RATE_ADDRESS="1/s") as manager:
        async with asked(manager) as people, aiohttp.ClientSession() as session:
            for each in range(12):
                made = await people.admin.post("/agents/enrolments", {"name": f"berlin{each}"})
                agent = BareAgent(manager.url, session, f"berlin{each}")
                assert (await agent.enrol(made.json["token"])).status == 200


async def test_an_agent_that_asks_too_often_is_told_when_to_come_again_and_no_other_one_is(
    url: str, tmp_path: Path
) -> None:
    with serving(url, tmp_path, TIDEGATE_RATE_AGENT="1/m") as manager:
        async with asked(manager) as people, aiohttp.ClientSession() as session:
            some = [await joined(manager, people, session, name) for name in ("berlin1", "paris1")]
            forged = [await some[1].signed(EVENTS_PATH, {}, agent=some[0].id) for _ in range(3)]
            assert {one.code for one in forged} == {"bad-signature"}  # who is not the agent does not use it up
            assert (await some[0].ask()).status == 200
            refused = await some[0].events(1)
            assert (refused.status, refused.code) == (429, "too-many-requests")
            assert "Agent berlin1" in refused.body["detail"]
            assert (await some[1].events(1)).status == 200


async def test_an_agent_that_catches_up_at_its_own_pace_is_not_slowed_down(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path) as manager:
        async with asked(manager) as people, aiohttp.ClientSession() as session:
            agent = await joined(manager, people, session, "berlin1")
            batches = -(-_QUEUE // MOST_EVENTS) * 4  # of all that it keeps, though every one is refused and halved
            answers = [await agent.events(number) for number in range(1, batches + 1)]
            assert {one.status for one in answers} <= {200, 409}


async def joined(manager: Manager, people: People, session: aiohttp.ClientSession, name: str) -> BareAgent:
    made = await people.admin.post("/agents/enrolments", {"name": name})
    agent = BareAgent(manager.url, session, name)
    assert (await agent.enrol(made.json["token"])).status == 200
    return agent


async def test_an_inventory_of_too_many_targets_is_refused_in_words_and_what_was_known_stays(
    url: str, tmp_path: Path
) -> None:
    with serving(url, tmp_path, TIDEGATE_AGENT_TARGETS="2") as manager:
        async with asked(manager) as people, aiohttp.ClientSession() as session:
            agent = await joined(manager, people, session, "berlin1")
            some = [target(f"shop/web{each}") for each in range(3)]
            assert (await agent.events(1, inventory(*some[:2]))).status == 200
            refused = await agent.events(2, inventory(*some))
            assert (refused.status, refused.body["errors"][0]["field"]) == (400, "events[0].targets")
            assert "at most 2 are accepted here (TIDEGATE_AGENT_TARGETS)" in refused.body["detail"]
            assert len((await people.viewer.get("/targets")).json["items"]) == 2


async def test_an_agent_that_names_ever_new_targets_and_channels_is_told_to_wait_and_no_other_one_is(
    url: str, tmp_path: Path
) -> None:
    with serving(url, tmp_path, TIDEGATE_AGENT_TARGETS="2") as manager:
        async with asked(manager) as people, aiohttp.ClientSession() as session:
            agent, other = [await joined(manager, people, session, name) for name in ("berlin1", "paris1")]
            first = [target("shop/web", tag="1"), target("shop/db", tag="2")]
            assert (await agent.events(1, inventory(*first))).status == 200  # as much as one may tell at once
            for new in (target("shop/api", tag="1"), target("shop/web", tag="3")):
                refused = await agent.events(2, inventory(new))
                assert (refused.status, refused.code) == (429, "too-many-requests")
                assert 890 <= int(refused.retry_after or 0) <= 900  # a fourth of an hour
                assert "Agent berlin1" in refused.body["detail"]
            assert len((await people.viewer.get("/targets")).json["items"]) == 2
            assert len((await people.viewer.get("/channels")).json["items"]) == 2
            assert (await agent.events(2, inventory())).status == 200
            assert (await agent.events(3, inventory(*first))).status == 200  # what was gone is not new
            assert (await other.events(1, inventory(*first))).status == 200


async def test_addresses_of_one_network_of_ipv6_count_together(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path, **SLOW, TIDEGATE_TRUSTED_PROXIES="127.0.0.1") as manager:
        async with asked(manager) as people:

            async def statuses(addresses: list[str]) -> set[int]:
                some = [await people.nobody.get("/me", headers={"X-Forwarded-For": one}) for one in addresses]
                return {one.status for one in some}

            assert await statuses([f"2001:db8:{each}::1" for each in range(9)]) == {401}
            assert await statuses([f"2001:db8:0:7::{each}" for each in range(9)]) == {401, 429}
            assert await statuses([f"192.0.2.{each}" for each in range(9)]) == {401}


# how much


@pytest.mark.parametrize("path", ["/windows", "/agent/events"])
async def test_a_body_that_is_too_large_is_refused_before_it_is_read(url: str, tmp_path: Path, path: str) -> None:
    with serving(url, tmp_path, TIDEGATE_MAX_REQUEST="1KiB") as manager:
        async with asked(manager) as people:
            for body in (b"x" * 2000, chunks(2000)):
                headers = {"Content-Type": "application/json"}
                answer = await people.operator("POST", path, headers=headers, data=body)
                assert (answer.status, answer.json["code"]) == (413, "too-large")
            assert (await people.operator.post("/windows", WINDOW)).status == 201


LARGE = SMALL + 1


@pytest.mark.parametrize("query", ["", "?x=1"], ids=["short way", "long way"])
@pytest.mark.parametrize("path", ["/agent/enrol", "/agent/poll", "/agent/events"])
async def test_of_who_is_not_known_no_large_body_is_read(url: str, tmp_path: Path, path: str, query: str) -> None:
    with serving(url, tmp_path) as manager:
        async with asked(manager) as people:
            for named in ({}, {"Tidegate-Agent": "' OR 1=1"}):
                for body in (b"x" * LARGE, chunks(LARGE)):
                    answer = await people.nobody("POST", f"{path}{query}", headers=named, data=body)
                    assert (answer.status, answer.json["code"]) == (413, "too-large"), named
            assert (await people.nobody("POST", f"{path}{query}", data=b"x" * SMALL)).status in {400, 401}


@pytest.mark.parametrize("query", ["", "?x=1"], ids=["short way", "long way"])
@pytest.mark.parametrize("path", ["/agent/poll", "/agent/events"])
async def test_of_an_agent_that_is_not_let_in_nothing_is_read(url: str, tmp_path: Path, path: str, query: str) -> None:
    """It is told so, and not that its events are too large: those it would leave out."""
    with serving(url, tmp_path) as manager:
        address = urlsplit(manager.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        headers = f"Host: x\r\nTidegate-Agent: {'f' * 32}\r\nContent-Length: {LARGE}"
        writer.write(f"POST /api/v1{path}{query} HTTP/1.1\r\n{headers}\r\n\r\n".encode())
        async with asyncio.timeout(60):
            answer = (await reader.read()).decode()
        writer.close()
    assert answer.startswith("HTTP/1.1 401")
    assert "unknown-agent" in answer


async def test_an_agent_that_is_known_sends_large_batches_and_small_polls(url: str, tmp_path: Path) -> None:
    with serving(url, tmp_path) as manager:
        async with asked(manager) as people, aiohttp.ClientSession() as session:
            agent = await joined(manager, people, session, "berlin1")
            many = [{"kind": "novelty", "at": AT, "more": "x" * 4000}] * 100
            assert (await agent.events(1, *many)).body == {"applied": 100}
            assert (await agent.signed(POLL_PATH, b"x" * LARGE)).code == "too-large"


async def test_bodies_of_strangers_that_do_not_end_take_so_much_room_and_none_from_who_is_known(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "ROOM_STRANGERS", 20_000)
    open_fast = {"TIDEGATE_RATE_ADDRESS": "9999/s", "TIDEGATE_MAX_REQUEST": "20000"}
    with serving(url, tmp_path, **open_fast) as manager:
        async with asked(manager) as people:
            address = urlsplit(manager.url)
            _, slow = await asyncio.open_connection(address.hostname, address.port)
            slow.write(b"POST /api/v1/agent/enrol HTTP/1.1\r\nHost: x\r\nContent-Length: 16000\r\n\r\n" + b"x" * 15_999)
            async with asyncio.timeout(60):
                while (refused := await people.nobody("POST", "/agent/enrol", data=b"x" * 9000)).status != 503:
                    pass
            assert (refused.json["code"], refused.headers["Retry-After"]) == ("busy", "5")
            assert (await people.nobody("POST", "/agent/enrol", data=b"x" * 4000)).status == 400
            assert (await people.operator.post("/windows", WINDOW | {"more": "x" * 10_000})).status == 422
            slow.close()
            async with asyncio.timeout(60):
                while (await people.nobody("POST", "/agent/enrol", data=b"x" * 9000)).status != 400:
                    pass


async def chunks(size: int) -> AsyncIterator[bytes]:
    for start in range(0, size, 100):
        yield b"x" * min(100, size - start)


# what is no good request


async def test_what_is_not_there_is_a_problem(people: People) -> None:
    for path in ("//nothing", "//api/v1/nothing", "/windows/", "/windows/999"):
        answer = await people.viewer.get(path)
        assert (answer.status, answer.json["code"]) == (404, "not-found"), path


async def test_a_method_that_is_not_taken_is_told_with_those_that_are(people: People) -> None:
    answer = await people.viewer("PATCH", "/windows/1")
    assert (answer.status, answer.json["code"], answer.headers["Allow"]) == (
        405,
        "method-not-allowed",
        "DELETE, GET, PUT",
    )


BODIES: list[tuple[bytes, str, int]] = [
    (b"{", "application/json", 422),
    (b"", "application/json", 422),
    (b"[]", "application/json", 422),
    (b'"x"', "application/json", 422),
    (b"name=x", "application/x-www-form-urlencoded", 415),
    (b"{}", "text/plain", 415),
    (b"\xff\xfe{}", "application/json", 422),
    ('{"name": "x"}'.encode("utf-16"), "application/json", 422),
    (b"[" * 100_000, "application/json", 422),
    (b'{"name": NaN}', "application/json", 422),
    (b'{"name": "a\\u0000"}', "application/json", 422),
    (b'{"na\\u0000me": 1}', "application/json", 422),
    (b'{"name": ' + b"9" * 5000 + b"}", "application/json", 422),
]


@pytest.mark.parametrize(("body", "kind", "status"), BODIES)
async def test_a_body_that_cannot_be_read_is_refused(people: People, body: bytes, kind: str, status: int) -> None:
    answer = await people.operator("POST", "/windows", data=body, headers={"Content-Type": kind})
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"


# headers and addresses


async def test_every_answer_carries_headers_that_keep_browsers_from_harm(people: People) -> None:
    for path in ("/me", "//healthz", "//nothing", "/tokens"):
        headers = (await people.viewer.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Cache-Control"] == "no-store"
        assert "Server" not in headers
        assert "Strict-Transport-Security" not in headers


FORWARDED = {"X-Forwarded-For": "203.0.113.7, 198.51.100.9, 127.0.0.1", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize("host", ["127.0.0.1", ""], ids=["one address", "every address"])
@pytest.mark.parametrize(
    ("trusted", "source"),
    [
        ("", "127.0.0.1"),
        ("10.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "198.51.100.9"),
        ("127.0.0.1,198.51.100.0/24", "203.0.113.7"),
    ],
)
async def test_only_a_trusted_proxy_is_believed_where_a_request_comes_from(
    url: str, tmp_path: Path, trusted: str, source: str, host: str
) -> None:
    with serving(url, tmp_path, host=host, TIDEGATE_TRUSTED_PROXIES=trusted) as manager:
        async with asked(manager) as people:
            answer = await people.operator.post("/windows", WINDOW, headers=FORWARDED)
            assert answer.status == 201
            assert ("Strict-Transport-Security" in answer.headers) is (source != "127.0.0.1")
            entry = (await people.viewer.get("/audit")).json["items"][0]
            assert entry["source"] == source


@pytest.mark.parametrize("said", ["garbage", "x" * 5000, "fe80::1%" + "x" * 5000, "1.2.3", "é"])
async def test_what_is_no_address_is_not_believed_of_a_trusted_proxy_either(
    url: str, tmp_path: Path, said: str
) -> None:
    with serving(url, tmp_path, TIDEGATE_TRUSTED_PROXIES="127.0.0.0/8") as manager:
        async with asked(manager) as people:
            answer = await people.operator.post("/windows", WINDOW, headers={"X-Forwarded-For": said})
            assert answer.status == 201
            assert (await people.viewer.get("/audit")).json["items"][0]["source"] == "127.0.0.1"


async def test_it_speaks_tls_by_itself(url: str, tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=made.authority)
    with serving(url, tmp_path, TIDEGATE_TLS_CERT=str(made.certificate), TIDEGATE_TLS_KEY=str(made.key)) as manager:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)) as session:
            answer = await Caller(session, manager.url).get("//healthz")
    assert manager.url.startswith("https://")
    assert (answer.status, answer.headers["Strict-Transport-Security"]) == (200, "max-age=31536000")
