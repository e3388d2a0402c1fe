"""An agent that ends itself with SIGKILL at one point of its journal: `python -m tests.support.killed_agent POINT`.

A point is `MOMENT:KIND`, `MOMENT:step:STEP`, either with `@NUMBER` for the replacement it belongs to (`@1`, `@0-back`).
The moment `at` is before the record is written: what came before it has been done, and nothing says so. The moment
`in` is after the record is on disk and before it is acted on; `amid` is 30 ms later. At the moment `term` it is told
to stop by SIGTERM instead, as soon as the record is on disk; it runs as `tidegate agent run` then.

With `ENDS_IN_BAKE=CONTAINER` in its environment the application in that container ends as the bake begins.
With `KEEPS_RUNNING` in its environment it runs as `tidegate agent run` at any moment: a manager is asked then.
With `ROLL_BACK=CLUSTER/SERVICE` in its environment it runs as `tidegate agent rollback CLUSTER/SERVICE`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partialmethod
from typing import Any

from tests.support.dying import end

from tidegate.agent import commands
from tidegate.agent.loop import Agent
from tidegate.agent.parts import assemble
from tidegate.agent.settings import Settings, load_settings
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


def _mine(point: Point) -> None:
    """Let the journals' writes end this process at the point."""
    written = {"begin": Journal.begin, "append": Journal.append}

    def write(how: str, journal: Journal, txid: str, record: Mapping[str, Any]) -> None:
        here = point.is_at(record)
        if here and point.moment == "at":
            _die()
        written[how](journal, txid, record)
        if record["kind"] == "bake" and (mortal := os.environ.get("ENDS_IN_BAKE")):
            end(mortal)
        if here and point.moment == "in":
            _die()
        if here and point.moment == "amid":
            threading.Timer(_AMID_S, _die).start()
        if here and point.moment == "term":
            os.kill(os.getpid(), signal.SIGTERM)

    Journal.begin = partialmethod(lambda *args: write("begin", *args))  # type: ignore[assignment]
    Journal.append = partialmethod(lambda *args: write("append", *args))  # type: ignore[assignment]


async def _look_once(settings: Settings) -> None:
    parts = await assemble(settings)
    parts.state.check_writable()
    assert parts.state.lock.try_acquire()
    await Agent(parts).once()
    await parts.close()


async def _main(point: Point) -> int:
    settings = load_settings((), os.environ)
    _mine(point)
    if target := os.environ.get("ROLL_BACK"):
        cluster, _, service = target.partition("/")
        outcome = await commands.rollback(settings, cluster, service, to=None, pulls=None)
        return 0 if outcome.ok else 1
    if point.moment == "term" or os.environ.get("KEEPS_RUNNING"):
        return await commands.run(settings, pulls=None)
    await _look_once(settings)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(Point.parse(sys.argv[1]))))
