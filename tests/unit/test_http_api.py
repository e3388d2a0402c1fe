import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from tidegate.agent.http_api import HttpApi, Update
from tidegate.agent.metrics import Metrics, UpdateOutcome
from tidegate.engine.errors import EngineUnavailableError

TOKEN = {"Authorization": "Bearer s3cret"}


@dataclass
class ApiSettings:
    http_api_update: bool = True
    http_api_metrics: bool = True
    http_api_token: str | None = "s3cret"
    http_listen: tuple[str, int] = ("127.0.0.1", 0)


@dataclass
class Updates:
    """Remembers what was asked for; each update ends when `gate` is open."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, images: tuple[str, ...]) -> None:
        self.asked.append(images)
        self.begun.set()
        await self.gate.wait()


@asynccontextmanager
async def served(
    updates: Update, metrics: Metrics | None = None, settings: ApiSettings | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    api = HttpApi(settings or ApiSettings(), updates, metrics or Metrics(), asyncio.Lock())
    await api.start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{api.port}") as session:
            yield session
    finally:
        if isinstance(updates, Updates):
            updates.gate.set()
        await api.close()


def open_updates() -> Updates:
    updates = Updates()
    updates.gate.set()
    return updates


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "s3cret"}, {"Authorization": "Bearer s3cret "[:-2]}],
)
@pytest.mark.parametrize("path", ["/v1/update", "/v1/metrics"])
async def test_without_the_token_the_answer_is_401_with_an_empty_body(path: str, headers: dict[str, str]) -> None:
    updates = open_updates()
    async with served(updates) as session, session.get(path, headers=headers) as answer:
        assert (answer.status, await answer.read()) == (401, b"")
    assert updates.asked == []


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
async def test_an_update_may_be_asked_for_with_any_method(method: str) -> None:
    updates = open_updates()
    async with served(updates) as session, session.request(method, "/v1/update", headers=TOKEN) as answer:
        assert answer.status == 200
    assert updates.asked == [()]


async def test_images_may_be_repeated_and_separated_by_commas() -> None:
    updates = open_updates()
    async with served(updates) as session:
        await session.post("/v1/update?image=a,b&image=localhost:5000/c", headers=TOKEN)
    assert updates.asked == [("a", "b", "localhost:5000/c")]


async def test_an_image_that_is_no_reference_is_left_out_and_the_others_are_looked_at() -> None:
    updates = open_updates()
    with capture_logs() as logs:
        async with served(updates) as session, session.post("/v1/update?image=BAD,acme/x", headers=TOKEN) as answer:
            assert answer.status == 200
    assert updates.asked == [("acme/x",)]
    assert ["'BAD' is not an image reference" in line["reason"] for line in logs] == [True]


async def test_images_of_which_none_is_a_reference_are_refused_with_the_reason() -> None:
    updates = open_updates()
    async with served(updates) as session, session.post("/v1/update?image=BAD", headers=TOKEN) as answer:
        assert answer.status == 400
        assert "'BAD' is not an image reference" in await answer.text()
    assert updates.asked == []


async def test_the_answer_waits_for_the_update() -> None:
    updates = Updates()
    async with served(updates) as session:
        call = asyncio.create_task(session.post("/v1/update", headers=TOKEN))
        await updates.begun.wait()
        assert not call.done()
        updates.gate.set()
        assert (await call).status == 200


async def test_an_untargeted_call_answers_at_once_while_an_update_runs() -> None:
    updates, metrics = Updates(), Metrics()
    async with served(updates, metrics) as session:
        running = asyncio.create_task(session.post("/v1/update", headers=TOKEN))
        await updates.begun.wait()
        async with session.post("/v1/update", headers=TOKEN) as answer:
            assert answer.status == 200
        assert not running.done()
        assert (updates.asked, metrics.scans_skipped) == ([()], 1)
        updates.gate.set()
        await running


async def test_a_targeted_call_waits_for_its_turn_while_an_update_runs() -> None:
    updates = Updates()
    async with served(updates) as session:
        running = asyncio.create_task(session.post("/v1/update", headers=TOKEN))
        await updates.begun.wait()
        targeted = asyncio.create_task(session.post("/v1/update?image=a", headers=TOKEN))
        done, _ = await asyncio.wait({targeted}, timeout=0.2)
        assert (done, updates.asked) == (set(), [()])
        updates.gate.set()
        await asyncio.gather(running, targeted)
    assert updates.asked == [(), ("a",)]


@pytest.mark.parametrize(
    ("settings", "absent"),
    [(ApiSettings(http_api_update=False), "/v1/update"), (ApiSettings(http_api_metrics=False), "/v1/metrics")],
)
async def test_only_what_is_switched_on_is_served(settings: ApiSettings, absent: str) -> None:
    async with served(open_updates(), settings=settings) as session, session.get(absent, headers=TOKEN) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("token", [None, ""])
def test_it_does_not_start_without_a_token(token: str | None) -> None:
    with pytest.raises(ValueError, match="WATCHTOWER_HTTP_API_TOKEN"):
        HttpApi(ApiSettings(http_api_token=token), Updates(), Metrics(), asyncio.Lock())


async def test_an_address_that_cannot_be_had_is_told_with_the_setting_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at: tuple[str, int] = taken.getsockname()
        api = HttpApi(ApiSettings(http_listen=at), open_updates(), Metrics(), asyncio.Lock())
        with pytest.raises(OSError, match=rf"listen at 127.0.0.1:{at[1]} .*address already in use.* TIDEGATE_HTTP"):
            await api.start()
        await api.close()


async def test_a_look_for_which_the_engine_does_not_answer_is_a_503_and_the_next_one_is_taken() -> None:
    engine_is_back = False

    async def update(_: tuple[str, ...]) -> None:
        if not engine_is_back:
            raise EngineUnavailableError("the engine does not answer")

    async with served(update) as session:
        async with session.post("/v1/update", headers=TOKEN) as answer:
            assert (answer.status, await answer.read()) == (503, b"")
        engine_is_back = True
        async with session.post("/v1/update", headers=TOKEN) as answer:
            assert answer.status == 200


async def test_metrics_are_prometheus_text_with_watchtowers_names() -> None:
    metrics = Metrics()
    metrics.scanned(scanned=7, updated=2, failed=1)
    metrics.skipped()
    async with served(open_updates(), metrics) as session, session.get("/v1/metrics", headers=TOKEN) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = await answer.text()
    for line in (
        "watchtower_containers_scanned 7",
        "watchtower_containers_updated 2",
        "watchtower_containers_failed 1",
        "watchtower_scans_total 2",
        "watchtower_scans_skipped 1",
    ):
        assert line in text.splitlines()


def test_transactions_are_counted_by_outcome_and_by_how_long_they_took() -> None:
    metrics = Metrics()
    metrics.transaction(UpdateOutcome.COMMITTED, 1.0)
    metrics.transaction(UpdateOutcome.ROLLED_BACK, 45.0)
    metrics.transaction(UpdateOutcome.ROLLED_BACK, 9000.0)
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(metrics.exposition())
        for sample in family.samples
    }
    assert samples["tidegate_updates_total", "committed"] == 1
    assert samples["tidegate_updates_total", "rolled_back"] == 2
    assert samples["tidegate_updates_total", "failed"] == 0
    assert samples["tidegate_transaction_seconds_bucket", "1"] == 1
    assert samples["tidegate_transaction_seconds_bucket", "60"] == 2
    assert samples["tidegate_transaction_seconds_bucket", "+Inf"] == 3
    assert samples["tidegate_transaction_seconds_count",] == 3
    assert samples["tidegate_transaction_seconds_sum",] == 9046.0
