"""What one look at 100 containers of 20 image references costs, on a registry that wants tokens."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import program
from bench.containers import containers
from bench.figures import summary
from bench.relay import Traffic, relay
from tests.support.docker import docker
from tests.support.images import build
from tests.support.registry import Registry
from tests.support.registry_server import PASSWORD, USER, registry_server
from tests.support.registry_tokens import TokenService

from tidegate.agent.parts import Parts, assemble
from tidegate.agent.settings import load_settings

CONTAINERS, REFERENCES = 100, 20
_LOOKS = 5


def measure() -> dict[str, Any]:
    """A first look, which needs a token for each repository, and later ones, which have them still."""
    return asyncio.run(_measure())


async def _measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as name:
        folder = Path(name)
        with registry_server(folder) as address:
            for number in range(REFERENCES):
                build(Registry(address), _tag(number), version=str(number))
        async with TokenService(folder) as tokens:
            with registry_server(folder, tokens=tokens.auth) as address:
                traffic = Traffic()
                async with relay(int(address.rpartition(":")[2]), traffic) as port:
                    return await _on(folder, f"127.0.0.1:{port}", tokens, traffic)


def _tag(number: int) -> str:
    return f"bench-detect/app{number}:latest"


async def _on(folder: Path, address: str, tokens: TokenService, traffic: Traffic) -> dict[str, Any]:
    references = [f"{address}/{_tag(number)}" for number in range(REFERENCES)]
    await asyncio.to_thread(_pull, folder, address, references)
    async with containers(references, created=CONTAINERS):
        environ = {**program.environment(folder / "state"), "REPO_USER": USER, "REPO_PASS": PASSWORD}
        parts = await assemble(load_settings(["--include-stopped"], environ))
        try:
            return await _looks(parts, tokens, traffic)
        finally:
            await parts.close()


def _pull(folder: Path, address: str, references: Sequence[str]) -> None:
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}), encoding="utf-8")
    for reference in references:
        docker("--config", str(folder), "pull", "-q", reference)


async def _looks(parts: Parts, tokens: TokenService, traffic: Traffic) -> dict[str, Any]:
    """The figures are the agent's own counts and, beside them, what the relay and the token service saw."""
    first = await _look(parts, tokens, traffic)
    later = [await _look(parts, tokens, traffic) for _ in range(_LOOKS)]
    return {
        "containers": CONTAINERS,
        "references": REFERENCES,
        "first_look": first,
        "later_look": {**later[-1], "wall_s": summary([look["wall_s"] for look in later])},
    }


async def _look(parts: Parts, tokens: TokenService, traffic: Traffic) -> dict[str, Any]:
    """One survey and decision over everything on the engine."""
    counted, asked = dataclasses.replace(parts.registry.counters), tokens.asked.total()
    sent, received = traffic.sent, traffic.received
    surveyor, decider = parts.surveyor(), parts.decider(remember=False)
    begun = time.monotonic()
    decisions = await decider.decide(await surveyor.survey(), datetime.now(UTC))
    wall_s = time.monotonic() - begun
    found = sum(one.latest_digest is not None for one in decisions)
    if found != CONTAINERS:
        raise RuntimeError(f"{found} of {CONTAINERS} containers have a digest; reasons: {decisions[0].reason}")
    now = parts.registry.counters
    return {
        "wall_s": round(wall_s, 3),
        "heads": now.heads - counted.heads,
        "pings": now.pings - counted.pings,
        "gets": now.gets - counted.gets,
        "tokens": tokens.asked.total() - asked,
        "bytes_to_registry": traffic.sent - sent,
        "bytes_from_registry": traffic.received - received,
    }
