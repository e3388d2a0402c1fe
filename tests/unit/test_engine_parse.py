"""From the engine's JSON to the model."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tidegate.engine.model import Health
from tidegate.engine.parse import container, event, image, moment, network, summary
from tidegate.engine.pulls import progress_of, split_reference

DOCUMENT: dict[str, Any] = {
    "Id": "ab" * 32,
    "Name": "/web",
    "Created": "2026-11-23T15:12:46.123456789Z",
    "Image": "sha256:1",
    "RestartCount": 2,
    "State": {
        "Status": "running",
        "Running": True,
        "ExitCode": 0,
        "OOMKilled": False,
        "StartedAt": "2026-11-23T15:12:47Z",
        "Health": {"Status": "unhealthy", "Log": [{"Output": "first"}, {"Output": "last\n"}]},
    },
    "Config": {"Image": "shop:live", "Labels": None, "StopSignal": "", "StopTimeout": 33},
    "HostConfig": {"NetworkMode": "front", "RestartPolicy": {"Name": "always"}},
    "NetworkSettings": {"Networks": {"front": {"NetworkID": "n1", "IPAddress": "10.0.0.2", "Aliases": ["web"]}}},
}


def test_a_container_is_read_with_its_health_and_places() -> None:
    found = container(DOCUMENT)
    assert (found.name, found.image, found.image_id, found.labels) == ("web", "shop:live", "sha256:1", {})
    assert (found.health, found.health_output, found.restart_count) == (Health.UNHEALTHY, "last", 2)
    assert (found.stop_signal, found.stop_timeout_s, found.network_mode) == (None, 33, "front")
    assert found.endpoints["front"].settings == {"Aliases": ["web"]}


@pytest.mark.parametrize("health", [None, {}, {"Status": "none"}, {"Status": "of another age"}])
def test_a_container_without_a_known_health_has_none(health: dict[str, Any] | None) -> None:
    assert container({**DOCUMENT, "State": {"Health": health}}).health is Health.NONE


def test_the_hosts_ports_are_those_bound_now_and_of_tcp() -> None:
    bound = [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}]
    ports = {"80/tcp": bound, "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "53"}], "81/tcp": None}
    assert container({**DOCUMENT, "NetworkSettings": {"Ports": ports}}).host_ports == {8080}


def test_times_with_nanoseconds_are_read() -> None:
    assert moment("2026-11-23T15:12:46.123456789Z") == datetime(2026, 11, 23, 15, 12, 46, 123456, UTC)


def test_the_name_in_a_list_is_the_containers_and_not_a_links() -> None:
    assert summary({"Id": "1", "Names": ["/other/alias", "/web"]}).name == "web"


def test_an_image_without_tags_has_none() -> None:
    found = image({"Id": "1", "RepoTags": ["<none>:<none>"], "RepoDigests": None})
    assert (found.tags, found.repo_digests) == ((), ())


def test_a_network_without_addresses_is_read() -> None:
    found = network({"Id": "1", "Name": "none", "IPAM": {"Config": None}, "Containers": {"c": {"Name": "web"}}})
    assert (found.subnets, found.members) == ((), {"c": "web"})


def test_the_ipv4_subnets_of_a_network_come_first() -> None:
    found = network({"Id": "1", "Name": "n", "IPAM": {"Config": [{"Subnet": "fd00::/64"}, {"Subnet": "10.0.0.0/24"}]}})
    assert found.subnets == ("10.0.0.0/24", "fd00::/64")


def test_a_line_that_is_no_event_is_none() -> None:
    assert event({"status": "x"}) is None


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("shop", ("shop", "latest")),
        ("shop:two", ("shop", "two")),
        ("host:5000/shop", ("host:5000/shop", "latest")),
        ("host:5000/shop:two", ("host:5000/shop", "two")),
        ("host:5000/shop@sha256:ab", ("host:5000/shop", "sha256:ab")),
        ("host:5000/shop:two@sha256:ab", ("host:5000/shop", "sha256:ab")),
    ],
)
def test_a_reference_is_split_behind_the_registrys_port(reference: str, parts: tuple[str, str]) -> None:
    assert split_reference(reference) == parts


def test_progress_without_byte_counts_is_zero_of_zero() -> None:
    found = progress_of({"status": "Pulling fs layer", "progressDetail": {}, "id": "ab"})
    assert (found.layer, found.status, found.current, found.total) == ("ab", "Pulling fs layer", 0, 0)
