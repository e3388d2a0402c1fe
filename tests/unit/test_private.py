"""Which services are kept off a private network, and where such networks come from."""

import ipaddress
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from tidegate.agent.private import PRIVATE_FOR, PrivateNetworks, dependants, free_subnets
from tidegate.engine.errors import EngineError
from tidegate.engine.model import Network

SERVICE, DEPENDS_ON = "com.docker.compose.service", "com.docker.compose.depends_on"


def labels(service: str, *depends_on: str) -> dict[str, str]:
    return {SERVICE: service, DEPENDS_ON: ",".join(f"{one}:service_started:false" for one in depends_on)}


def test_what_depends_on_a_service_does_so_by_way_of_others_too() -> None:
    cluster = [labels("db"), labels("web", "db"), labels("worker", "web"), labels("report", "worker"), labels("cache")]
    assert dependants("web", cluster) == {"web", "worker", "report"}
    assert dependants("cache", cluster) == {"cache"}


def test_a_circle_of_dependants_has_an_end() -> None:
    assert dependants("a", [labels("a", "b"), labels("b", "a")]) == {"a", "b"}


def test_a_subnet_that_overlaps_with_what_is_in_use_is_passed_over() -> None:
    pool = ipaddress.IPv4Network("10.0.0.0/24")
    taken = ["10.0.0.16/28", "10.0.0.64/26", "fd00::/64"]
    assert list(islice(free_subnets([pool], taken), 2)) == ["10.0.0.32/27", "10.0.0.128/27"]


def test_a_pool_smaller_than_a_subnet_is_taken_whole() -> None:
    assert list(free_subnets([ipaddress.IPv4Network("10.0.0.0/29")], [])) == ["10.0.0.0/29"]


class Stubborn:
    """Has two private networks, and cannot let go of what is on the first."""

    def __init__(self) -> None:
        self.rows = [
            Network(name, name, "bridge", True, {PRIVATE_FOR: f"tx.{name}"}, (), {"one": "one"}) for name in ("a", "b")
        ]
        self.removed: list[str] = []

    async def networks(self, *, labels: dict[str, str]) -> list[Network]:
        return [row for row in self.rows if labels[PRIVATE_FOR] in {"", row.labels[PRIVATE_FOR]}]

    async def network(self, ref: str) -> Network:
        return next(row for row in self.rows if row.id == ref)

    async def containers(self, **_: Any) -> list[Any]:
        return []

    async def disconnect(self, network: str, *_: Any, **__: Any) -> None:
        if network == "a":
            raise EngineError("the endpoint cannot be found in the store")

    async def remove_network(self, network: str) -> None:
        self.removed.append(network)


async def test_a_network_that_cannot_be_removed_keeps_no_other_one() -> None:
    engine = Stubborn()
    private = PrivateNetworks(engine, [])  # type: ignore[arg-type]
    await private.collect(lambda _: True, datetime.now(UTC))
    assert engine.removed == ["b"]
