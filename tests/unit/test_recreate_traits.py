"""What of a container decides how it can be replaced."""

from typing import Any

import pytest

from tidegate.domain.recreate_traits import PublishedPort, traits_of


def document(
    host: dict[str, Any] | None = None,
    networks: dict[str, Any] | None = None,
    mounts: list[dict[str, Any]] | None = None,
    config: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "Id": "f" * 64,
        "Name": "/web",
        "Config": config or {},
        "HostConfig": {"NetworkMode": "front", **(host or {})},
        "Mounts": mounts or [],
        "NetworkSettings": {"Networks": networks or {"front": {}}},
    }


def test_published_ports_are_those_asked_for() -> None:
    host = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}], "81/tcp": None}}
    assert traits_of(document(host)).published_ports == (
        PublishedPort("127.0.0.1", "8080", "80/tcp"),
        PublishedPort("", "", "81/tcp"),
    )


def test_an_exposed_port_is_not_published() -> None:
    assert traits_of(document(config={"ExposedPorts": {"80/tcp": {}}})).published_ports == ()


def test_only_addresses_that_were_asked_for_are_static() -> None:
    networks = {
        "front": {"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "IPAddress": "10.0.0.9"},
        "back": {"IPAMConfig": {}, "IPAddress": "10.1.0.2", "MacAddress": "02:42:0a:01:00:02"},
    }
    assert traits_of(document(networks=networks)).static_addresses == ("front: 10.0.0.9",)


def test_a_mac_address_that_was_asked_for_is_static() -> None:
    assert traits_of(document(config={"MacAddress": "02:00:00:00:00:01"})).static_addresses == (
        "front: 02:00:00:00:00:01",
    )


def test_a_mac_address_on_another_network_is_told_from_generated_ones() -> None:
    networks = {
        "front": {"IPAddress": "10.0.0.2", "MacAddress": "02:42:0a:00:00:02"},
        "back": {"IPAddress": "10.1.0.2", "MacAddress": "02:42:ac:11:65:43"},
    }
    assert traits_of(document(networks=networks)).static_addresses == ("back: 02:42:ac:11:65:43",)


@pytest.mark.parametrize(
    "mount",
    [
        {"Type": "volume", "Name": "v", "Destination": "/d", "RW": False},
        {"Type": "tmpfs", "Destination": "/d", "RW": True},
        {"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/d", "RW": True},
    ],
)
def test_what_two_containers_cannot_spoil_is_no_writable_mount(mount: dict[str, Any]) -> None:
    assert traits_of(document(mounts=[mount])).writable_mounts == ()


@pytest.mark.parametrize(
    ("mount", "told"),
    [
        ({"Type": "volume", "Name": "v", "Destination": "/d", "RW": True}, "v at /d"),
        ({"Type": "bind", "Source": "/srv", "Destination": "/d", "RW": True}, "/srv at /d"),
    ],
)
def test_a_volume_or_bind_that_may_be_written_is_a_writable_mount(mount: dict[str, Any], told: str) -> None:
    assert traits_of(document(mounts=[mount])).writable_mounts == (told,)


def test_a_tmpfs_is_found_whichever_way_it_was_asked_for() -> None:
    mounts = [{"Type": "tmpfs", "Target": "/fast"}, {"Type": "volume", "Source": "v", "Target": "/kept"}]
    assert traits_of(document({"Mounts": mounts, "Tmpfs": {"/quick": "size=1m"}})).tmpfs == ("/fast", "/quick")
    assert traits_of(document({"Mounts": None, "Tmpfs": None})).tmpfs == ()


def test_a_gpu_is_told_in_words() -> None:
    requests = [{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}]
    assert traits_of(document({"DeviceRequests": requests})).device_requests == ("nvidia gpu, all",)
