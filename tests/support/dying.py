"""A release that ends, or turns sick, at one point of its update, however fast or slow the machine is."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tests.support.agent import AgentHere
from tests.support.docker import docker


def end(container: str) -> None:
    """Tell the test application in a container to exit with 1."""
    tell(container, "die")


def tell(container: str, what: str) -> None:
    """Post one of its requests to the test application in a container."""
    docker("exec", container, *["wget", "-q", "-O", "-", "--post-data=", f"http://127.0.0.1:8000/{what}"], check=False)


def ends_at(here: AgentHere, kind: str, container: str) -> None:
    """What has the container's name ends a moment after the agent's journal has its first record of this kind."""
    told_at(here, kind, container, "die")


def told_at(here: AgentHere, kind: str, container: str, what: str) -> None:
    """What has the container's name is told something at that point, such as to turn `sick`."""
    append, pending = here.parts.state.journal.append, [container]

    def write(txid: str, record: Mapping[str, Any]) -> None:
        append(txid, record)
        if pending and record["kind"] == kind:
            threading.Thread(target=tell, args=[pending.pop(), what]).start()

    here.parts.state.journal.append = write  # type: ignore[method-assign]
