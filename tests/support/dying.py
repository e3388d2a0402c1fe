"""A release that ends by itself at one point of its update, however fast or slow the machine is."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from tests.support.agent import AgentHere
from tests.support.docker import docker


def end(container: str) -> None:
    """Tell the test application in a container to exit with 1."""
    docker("exec", container, *["wget", "-q", "-O", "-", "--post-data=", "http://127.0.0.1:8000/die"], check=False)


def ends_at(here: AgentHere, kind: str, container: str) -> None:
    """What has the container's name ends a moment after the agent's journal has its first record of this kind."""
    append, pending = here.parts.state.journal.append, [container]

    def write(txid: str, record: Mapping[str, Any]) -> None:
        append(txid, record)
        if pending and record["kind"] == kind:
            threading.Thread(target=end, args=[pending.pop()]).start()

    here.parts.state.journal.append = write  # type: ignore[method-assign]
