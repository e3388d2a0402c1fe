"""An open-loop load on one address: each request has a time at which it is due, whatever became of those before it.

bench/load.py HOST:PORT [--rate 250] is a process of its own, so that nobody else's work delays what it measures. It
says `begun`, goes on until its standard input is closed, waits for the last answers, and prints a line for each.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import itertools
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:1] = [str(ROOT), str(ROOT / "scripts")]

from bench.course import SLOW_S, Failure, Kind, Sent, read  # noqa: E402 - the path comes first

RATE = 250.0
LIMIT_S = 5.0
"""For the connection and the answer together, besides the time that a slow answer takes."""
_TURN = (Kind.SLOW, *itertools.chain.from_iterable([(Kind.QUICK, Kind.KEPT, Kind.QUICK, Kind.POST, Kind.QUICK)] * 10))
"""The order of kinds, over and over: of 51 requests one is slow, ten are on kept connections, ten are POSTs."""
_ASKED = {
    Kind.QUICK: ("GET / HTTP/1.1", "close"),
    Kind.KEPT: ("GET / HTTP/1.1", "keep-alive"),
    Kind.POST: ("POST /idle HTTP/1.1", "close"),
    Kind.SLOW: (f"GET /slow?ms={SLOW_S * 1000:.0f} HTTP/1.1", "close"),
}
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class FailedError(Exception):
    """A request has no good answer; `how` says why."""

    def __init__(self, how: Failure) -> None:
        super().__init__(how)
        self.how = how


class Load:
    """What has been sent so far, and the connections that are kept."""

    def __init__(self, host: str, port: int, kinds: Collection[Kind] = tuple(Kind)) -> None:
        self.sent: list[Sent] = []
        self._address = host, port
        self._turn = [kind for kind in _TURN if kind in kinds]
        self._kept: list[Connection] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, over: asyncio.Event) -> None:
        """Send until it is over, and wait for what has been sent."""
        began = time.monotonic()
        for number in itertools.count():
            due = began + number / rate
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(due - time.monotonic(), 0)):
                    await over.wait()
            if over.is_set():
                break
            task = asyncio.create_task(self._send(self._turn[number % len(self._turn)], due))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        await asyncio.gather(*self._under_way)
        self.close()

    def close(self) -> None:
        """Close the connections that are kept."""
        for _, writer in self._kept:
            writer.close()

    async def _send(self, kind: Kind, due: float) -> None:
        failure = None
        try:
            await self._exchange(kind)
        except FailedError as error:
            failure = error.how
        self.sent.append(Sent(due, time.monotonic(), kind, failure))

    async def _exchange(self, kind: Kind) -> None:
        deadline = asyncio.get_running_loop().time() + LIMIT_S + (SLOW_S if kind is Kind.SLOW else 0)
        kept = self._take_kept() if kind is Kind.KEPT else None
        connection = kept or await self._connect(deadline)
        keep = False
        try:
            async with asyncio.timeout_at(deadline):
                keep = await _ask(connection, kind, again=kept is not None)
        except TimeoutError:
            raise FailedError(Failure.UNANSWERED) from None
        finally:
            if keep:
                self._kept.append(connection)
            else:
                connection[1].close()

    def _take_kept(self) -> Connection | None:
        """One that is still open, as far as a client can know."""
        while self._kept:
            reader, writer = self._kept.pop()
            if not (reader.at_eof() or writer.is_closing()):
                return reader, writer
            writer.close()
        return None

    async def _connect(self, deadline: float) -> Connection:
        try:
            async with asyncio.timeout_at(deadline):
                return await asyncio.open_connection(*self._address)
        except ConnectionRefusedError:
            raise FailedError(Failure.REFUSED) from None
        except OSError:  # TimeoutError is one
            raise FailedError(Failure.UNREACHED) from None


async def _ask(connection: Connection, kind: Kind, *, again: bool) -> bool:
    """Send a request and read its answer; whether the connection can be kept."""
    reader, writer = connection
    request, keep = _ASKED[kind]
    head = b""
    try:
        writer.write(f"{request}\r\nHost: bench\r\nConnection: {keep}\r\nContent-Length: 0\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        fields = head.lower().split(b"\r\n")
        length = next(int(field.split(b":")[1]) for field in fields if field.startswith(b"content-length:"))
        await reader.readexactly(length)
    except (OSError, asyncio.IncompleteReadError) as error:
        nothing = not head and not getattr(error, "partial", b"")
        raise FailedError(Failure.CLOSED if again and nothing else Failure.CUT) from None
    if b" 200 " not in fields[0] + b" ":
        raise FailedError(Failure.STATUS)
    return kind is Kind.KEPT and b"connection: close" not in fields


class Running:
    """A load that is under way; `sent` are its requests when it is over."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.sent: list[Sent] = []

    def end(self) -> None:
        """Let it send no more, and wait for what has been sent. Raises RuntimeError if it failed."""
        lines, _ = self._process.communicate(timeout=120)
        if self._process.returncode != 0:
            raise RuntimeError(f"bench/load.py failed with {self._process.returncode}")
        self.sent = [read(line) for line in lines.splitlines()]


@contextmanager
def load(address: str, rate: float = RATE, kinds: Collection[Kind] = tuple(Kind)) -> Iterator[Running]:
    """So many requests a second on HOST:PORT for as long as the block lasts, which begins when they do."""
    command = [sys.executable, __file__, address, "--rate", f"{rate:g}", "--kinds", *kinds]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "begun\n":
            raise RuntimeError(f"{' '.join(command)} did not begin")
        running = Running(process)
        yield running
        running.end()
    finally:
        process.kill()
        process.wait()


async def _until_told(address: str, rate: float, kinds: Collection[Kind]) -> list[Sent]:
    host, _, port = address.rpartition(":")
    one, over = Load(host, int(port), kinds), asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin, over.set)
    print("begun", flush=True)
    await one.run(rate, over)
    return one.sent


def main() -> int:
    """Send, and print what became of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("address", metavar="HOST:PORT")
    parser.add_argument("--rate", type=float, default=RATE, help="requests a second (default: %(default)g)")
    parser.add_argument(
        "--kinds", nargs="+", type=Kind, default=list(Kind), help="how they are made (default: all ways)"
    )
    options = parser.parse_args()
    gc.disable()  # a collection would count as somebody's latency
    for one in asyncio.run(_until_told(options.address, options.rate, options.kinds)):
        print(one.line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
