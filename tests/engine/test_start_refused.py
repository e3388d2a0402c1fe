"""A start that the host refuses says nothing about the release; one that the image refuses does."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Push
from tests.support.agent import agent_here
from tests.support.compose import Compose
from tests.support.features import one, services


async def test_a_log_server_that_is_away_puts_no_release_into_quarantine(
    compose: Compose, push: Push, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        logging = {"driver": "syslog", "options": {"syslog-address": address}}
        compose.write(services(web=one(push("1"), logging=logging)))
        compose.up()
    before = compose.container("web")
    push("2")
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["failed"]
        assert "logging driver" in str(here.last()["reason"])
        assert here.parts.state.quarantine.list() == []
    after = compose.container("web")
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])


@pytest.mark.parametrize(
    "broken",
    [
        {"Entrypoint": ["/not-there"]},
        {"Entrypoint": ["not-there"]},
        {"Entrypoint": ["/etc/passwd"]},
        {"User": "nobody-here"},
    ],
)
async def test_an_image_whose_command_or_user_cannot_be_used_is_broken(
    compose: Compose, push: Push, tmp_path: Path, broken: dict[str, Any]
) -> None:
    compose.write(services(web=one(push("1"))))
    compose.up()
    new = push("2", **broken)
    async with agent_here(tmp_path / "state") as here:
        await here.look()
        assert here.outcomes() == ["rolled-back"]
        assert [entry.digest for entry in here.parts.state.quarantine.list()] == [new.digest]
    assert compose.container("web")["State"]["Running"]
