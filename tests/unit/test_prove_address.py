"""Where a container is probed."""

from typing import Any, cast

import pytest

from tidegate.agent.output import Output
from tidegate.agent.private import PrivateNetworks
from tidegate.agent.prove import HealthProver
from tidegate.engine import parse
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

NO_ENGINE = cast("Engine", None)
FOUR, SIX = {"IPAddress": "10.0.0.2"}, {"IPAddress": "", "GlobalIPv6Address": "fd00::2"}


def container(**networks: dict[str, str]) -> Container:
    document: dict[str, Any] = {"Id": "c", "Name": "/web", "Config": {}, "State": {}, "HostConfig": {}}
    return parse.container({**document, "NetworkSettings": {"Networks": networks}})


@pytest.mark.parametrize(
    ("networks", "address"),
    [({"a": SIX, "b": FOUR}, "10.0.0.2"), ({"a": SIX}, "fd00::2"), ({}, "")],
)
async def test_an_address_of_ipv6_will_do_where_there_is_no_other(networks: dict[str, Any], address: str) -> None:
    prover = HealthProver(NO_ENGINE, PrivateNetworks(NO_ENGINE, ()), Output(NO_ENGINE, 0))
    assert await prover._address(container(**networks), None) == address
