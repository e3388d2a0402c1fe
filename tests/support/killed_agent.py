"""An agent that ends itself with SIGKILL at one point of its journal: `python -m tests.support.killed_agent POINT`.

A point is `MOMENT:KIND`, `MOMENT:step:STEP`, either with `@NUMBER` for the replacement it belongs to (`@1`, `@0-back`).
The moment `at` is before the record is written: what came before it has been done, and nothing says so. The moment
`in` is after the record is on disk and before it is acted on; `amid` is 30 ms later. At the moment `term` it is told
to stop by SIGTERM instead, as soon as the record is on disk.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidegate.agent.loop import Agent, run_until_told
from tidegate.agent.parts import assemble
from tidegate.agent.settings import load_settings
from tidegate.agent.store.journal import Journal

_AMID_S = 0.03


@dataclass(frozen=True)
class Point:
    """Where the agent dies."""

    moment: str
    kind: str
    step: str
    number: str

    @classmethod
    def parse(cls, text: str) -> Point:
        """From `MOMENT:KIND[:STEP][@NUMBER]`."""
        where, _, number = text.partition("@")
        moment, kind, *step = where.split(":")
        return cls(moment, kind, "".join(step), number)

    def is_at(self, record: Mapping[str, Any]) -> bool:
        """Whether this is the record."""
        id_ = str(record.get("id") or record.get("replacement", {}).get("id", ""))
        here = record["kind"] == self.kind and (not self.step or record.get("doing") == self.step)
        return here and (not self.number or id_.endswith(f".{self.number}"))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _mine(journal: Journal, point: Point) -> None:
    """Let the journal's writes end this process at the point."""
    written = {"begin": journal.begin, "append": journal.append}

    def write(how: str, txid: str, record: Mapping[str, Any]) -> None:
        here = point.is_at(record)
        if here and point.moment == "at":
            _die()
        written[how](txid, record)
        if here and point.moment == "in":
            _die()
        if here and point.moment == "amid":
            threading.Timer(_AMID_S, _die).start()
        if here and point.moment == "term":
            os.kill(os.getpid(), signal.SIGTERM)

    journal.begin = lambda txid, record: write("begin", txid, record)  # type: ignore[method-assign]
    journal.append = lambda txid, record: write("append", txid, record)  # type: ignore[method-assign]


async def _main(point: Point) -> None:
    parts = await assemble(load_settings((), os.environ))
    parts.state.check_writable()
    assert parts.state.lock.try_acquire()
    _mine(parts.state.journal, point)
    agent = Agent(parts)
    await (run_until_told(agent.run()) if point.moment == "term" else agent.once())
    await parts.close()


if __name__ == "__main__":
    asyncio.run(_main(Point.parse(sys.argv[1])))
