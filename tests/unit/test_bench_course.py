"""What became of requests is counted by how they failed, and their latency from when they were due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bench import load
from bench.course import SLOW_S, Course, Failure, Kind, Sent, failures, latencies, percentile, read, told
from bench.downtime import Change, Size
from bench.load import FailedError, Load

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
ANSWER = b"HTTP/1.1 200 X\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"


def quick(due: float, over: float, failure: Failure | None = None) -> Sent:
    return Sent(due, over, Kind.QUICK, failure)


def test_a_request_that_could_not_be_sent_in_time_waited_as_well() -> None:
    assert quick(due=1.0, over=3.5).latency_s == 2.5


def test_a_slow_request_has_the_latency_that_comes_on_top_of_its_own_time() -> None:
    assert Sent(1.0, 1.25 + SLOW_S, Kind.SLOW).latency_s == 0.25


@pytest.mark.parametrize("sent", [quick(1.5, 2.25), Sent(3.0, 4.0, Kind.POST, Failure.CUT)])
def test_a_request_is_read_as_it_was_written(sent: Sent) -> None:
    assert read(sent.line()) == sent


def test_failures_are_counted_by_kind_and_how() -> None:
    sent = [quick(0, 1), quick(0, 1, Failure.REFUSED), quick(0, 1, Failure.REFUSED), Sent(0, 1, Kind.KEPT, Failure.CUT)]
    assert failures(sent) == {"quick": {"refused": 2}, "kept": {"cut": 1}}


@pytest.mark.parametrize(("part", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_a_value_that_was_seen(part: float, value: int) -> None:
    assert percentile(range(1, 101), part) == value


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no request was answered"):
        latencies([quick(0, 1, Failure.REFUSED)])


def test_figures_are_told_of_all_courses_together() -> None:
    first = Course([quick(0, 0.001), quick(1, 1.002), quick(2, 2.5, Failure.CUT), quick(3, 3.001)], [(0.5, 2.9)])
    second = Course([quick(9, 9.003), quick(10, 14.0), quick(15, 15.001)], [(9.5, 14.5)])
    found = told([first, second])
    assert (found["requests"], found["failed"], found["begun_and_cut"]) == (7, 1, 1)
    assert (found["pause_s"]["min"], found["pause_s"]["max"]) == (1.999, 4.997)
    assert found["before_ms"] == {"p50": 1.0, "p99": 3.0, "max": 3.0}
    assert found["during_ms"] == {"p50": 2.0, "p99": 4000.0, "max": 4000.0}


@pytest.mark.parametrize("failure", [Failure.REFUSED, Failure.UNREACHED, Failure.CLOSED, Failure.STATUS])
def test_a_request_that_nobody_had_begun_to_answer_was_not_cut(failure: Failure) -> None:
    sent = [quick(0, 0.1), quick(1, 1.1, failure), quick(2, 2.1), quick(3, 3.1)]
    assert told([Course(sent, [(0.5, 2.5)])])["begun_and_cut"] == 0


def test_rollbacks_lie_between_updates_and_go_to_the_version_before() -> None:
    changes = list(Size(updates=5, rollbacks=2, rate=1).changes())
    assert changes == [
        *(Change("1"), Change("2"), Change("3"), Change("2", back=True)),
        *(Change("4"), Change("5"), Change("4", back=True)),
    ]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[Load]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        one = Load("127.0.0.1", server.sockets[0].getsockname()[1])
        yield one
        one.close()


async def failure_of(one: Load, kind: Kind) -> Failure | None:
    try:
        await one._exchange(kind)
    except FailedError as error:
        return error.how
    return None


def answering(*answers: bytes) -> Serve:
    """A server that gives so many answers on each connection, and closes it then."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)
            await reader.read(1)  # what is asked beyond that is not answered
        finally:
            writer.close()

    return serve


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (ANSWER, None),
        (ANSWER.replace(b"200", b"503"), Failure.STATUS),
    ],
)
async def test_an_answer_is_good_or_says_that_it_failed(answer: bytes, failure: Failure | None) -> None:
    async with served(answering(answer)) as one:
        assert await failure_of(one, Kind.QUICK) is failure


@pytest.mark.parametrize("kind", [Kind.QUICK, Kind.KEPT, Kind.POST, Kind.SLOW])
@pytest.mark.parametrize("begun", [b"", ANSWER[:20], ANSWER[:-1]], ids=["nothing", "head", "body"])
async def test_a_connection_that_ends_before_the_answer_is_whole_has_cut_it(kind: Kind, begun: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(begun)
        writer.close()

    async with served(serve) as one:
        assert await failure_of(one, kind) is Failure.CUT


async def test_a_kept_connection_that_is_closed_when_it_is_used_again_is_told_apart() -> None:
    async with served(answering(ANSWER)) as one:
        assert await failure_of(one, Kind.KEPT) is None
        assert await failure_of(one, Kind.KEPT) is Failure.CLOSED


async def test_who_gives_no_answer_within_the_limit_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "LIMIT_S", 0.2)
    over = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with served(serve) as one:
        assert await failure_of(one, Kind.POST) is Failure.UNANSWERED
        over.set()


async def test_a_port_that_nobody_listens_on_refuses() -> None:
    async with served(answering()) as one:
        pass
    assert await failure_of(one, Kind.QUICK) is Failure.REFUSED


async def test_requests_are_due_at_the_rate_whatever_became_of_those_before() -> None:
    over = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with served(serve) as one:
        running = asyncio.ensure_future(one.run(200, over))
        while len(one._under_way) < 20:  # none of them has an answer
            await asyncio.sleep(0.01)
        over.set()
        await running
    due = sorted(sent.due for sent in one.sent)
    assert [round(later - due[0], 6) for later in due] == [round(number / 200, 6) for number in range(len(due))]
