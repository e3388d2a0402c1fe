"""Create requests from inspect documents."""

from typing import Any

import pytest

from tidegate.domain.recreate import CreateRequest, create_request, incumbent_request
from tidegate.domain.recreate_candidate import for_candidate, split

OLD_ID = "sha256:" + "a" * 64
NEW_ID = "sha256:" + "b" * 64
SELF = "0123456789ab" + "c" * 52


def image(image_id: str = OLD_ID, **config: Any) -> dict[str, Any]:
    return {"Id": image_id, "Config": config}


def container(
    config: dict[str, Any] | None = None,
    host: dict[str, Any] | None = None,
    networks: dict[str, Any] | None = None,
    mounts: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "Id": SELF,
        "Name": "/web",
        "Image": OLD_ID,
        "Config": {"Image": "shop:live", "Labels": {}, **(config or {})},
        "HostConfig": {"NetworkMode": "front", **(host or {})},
        "Mounts": mounts or [],
        "NetworkSettings": {"Networks": {"front": {}} if networks is None else networks},
    }


def remade(
    old: dict[str, Any],
    old_image: dict[str, Any] | None = None,
    new_image: dict[str, Any] | None = None,
    **options: Any,
) -> CreateRequest:
    return create_request(
        old,
        old_image or image(),
        new_image or image(NEW_ID),
        **{"image_reference": "shop:live", "api": "1.41", **options},
    )


@pytest.mark.parametrize("key", ["WorkingDir", "User", "StopSignal", "Shell"])
def test_a_value_of_the_old_image_makes_room_for_the_new_images(key: str) -> None:
    assert key not in remade(container({key: "x"}), image(**{key: "x"})).body


@pytest.mark.parametrize("key", ["WorkingDir", "User", "StopSignal", "StopTimeout", "Domainname"])
def test_a_value_of_the_users_is_kept(key: str) -> None:
    assert remade(container({key: "mine"}), image(**{key: "x"})).body[key] == "mine"


def test_variables_of_the_old_image_are_dropped_pair_by_pair() -> None:
    old = container({"Env": ["A=1", "B=mine", "C=3"]})
    assert remade(old, image(Env=["A=1", "B=2"])).body["Env"] == ["B=mine", "C=3"]


def test_a_changed_label_of_the_image_is_the_users() -> None:
    old = container({"Labels": {"a": "1", "b": "mine"}})
    assert remade(old, image(Labels={"a": "1", "b": "2"})).body["Labels"] == {"b": "mine"}


@pytest.mark.parametrize(
    ("made_from", "named", "expected"),
    [
        ("shop:file", OLD_ID, OLD_ID),  # its first update
        ("shop:live", "sha256:" + "c" * 64, "sha256:" + "c" * 64),  # a later one
        ("shop:live", OLD_ID, NEW_ID),  # the label says what the Compose file says
    ],
)
def test_composes_image_label_stays_where_another_image_is_followed_than_the_compose_files(
    made_from: str, named: str, expected: str
) -> None:
    labels = {"com.centurylinklabs.zodiac.original-image": "shop:live", "com.docker.compose.image": named}
    old = container({"Image": made_from, "Labels": labels})
    assert remade(old).body["Labels"]["com.docker.compose.image"] == expected


def test_the_images_command_and_entry_point_are_both_dropped() -> None:
    body = remade(container({"Entrypoint": ["e"], "Cmd": ["c"]}), image(Entrypoint=["e"], Cmd=["c"])).body
    assert "Entrypoint" not in body
    assert "Cmd" not in body


def test_the_images_command_stays_behind_an_entry_point_of_the_users() -> None:
    body = remade(container({"Entrypoint": ["mine"], "Cmd": ["c"]}), image(Entrypoint=["e"], Cmd=["c"])).body
    assert (body["Entrypoint"], body["Cmd"]) == (["mine"], ["c"])


def test_the_users_command_stays_behind_the_images_entry_point() -> None:
    body = remade(container({"Entrypoint": ["e"], "Cmd": ["mine"]}), image(Entrypoint=["e"], Cmd=["c"])).body
    assert body["Cmd"] == ["mine"]
    assert "Entrypoint" not in body


def test_an_entry_point_given_again_without_a_command_keeps_the_images_command_out() -> None:
    body = remade(container({"Entrypoint": ["e"], "Cmd": None}), image(Entrypoint=["e"], Cmd=["c"])).body
    assert body["Entrypoint"] == ["e"]


def test_an_emptied_entry_point_stays_empty() -> None:
    body = remade(container({"Entrypoint": None, "Cmd": ["c"]}), image(Entrypoint=["e"], Cmd=["c"])).body
    assert (body["Entrypoint"], body["Cmd"]) == ([""], ["c"])


def test_each_field_of_the_health_check_is_compared_by_itself() -> None:
    check = {"Test": ["CMD", "a"], "Interval": 5, "Retries": 3}
    old, new = container({"Healthcheck": {**check, "Interval": 9}}), image(NEW_ID, Healthcheck={"Test": ["CMD", "b"]})
    assert remade(old, image(Healthcheck=check), new).body["Healthcheck"] == {"Interval": 9}


def test_a_health_check_of_the_users_that_names_the_images_command_outlives_the_images() -> None:
    check = {"Test": ["CMD", "a"], "Interval": 5, "Retries": 3}
    old = container({"Healthcheck": {**check, "Interval": 9}})
    assert remade(old, image(Healthcheck=check), image(NEW_ID)).body["Healthcheck"] == {**check, "Interval": 9}


def test_a_health_check_of_the_image_is_left_to_the_image() -> None:
    check = {"Test": ["CMD", "a"]}
    assert "Healthcheck" not in remade(container({"Healthcheck": check}), image(Healthcheck=check)).body


def test_a_health_check_that_was_turned_off_stays_off() -> None:
    old = container({"Healthcheck": {"Test": ["NONE"]}})
    assert remade(old, image(Healthcheck={"Test": ["CMD", "a"]})).body["Healthcheck"] == {"Test": ["NONE"]}


def test_ports_of_the_image_are_dropped_unless_they_are_bound() -> None:
    old = container({"ExposedPorts": {"80/tcp": {}, "81/tcp": {}, "82/tcp": {}}}, {"PortBindings": {"80/tcp": []}})
    body = remade(old, image(ExposedPorts={"80/tcp": {}, "81/tcp": {}})).body
    assert body["ExposedPorts"] == {"80/tcp": {}, "82/tcp": {}}


def test_a_host_name_that_is_the_short_id_is_dropped() -> None:
    assert "Hostname" not in remade(container({"Hostname": SELF[:12]})).body


def test_a_host_name_of_the_users_is_kept() -> None:
    assert remade(container({"Hostname": "shop"})).body["Hostname"] == "shop"


def test_a_shared_network_goes_by_the_containers_name_and_without_a_host_name() -> None:
    old = container({"Hostname": "other"}, {"NetworkMode": "container:123"}, networks={})
    body = remade(old, names={"123": "vpn"}).body
    assert body["HostConfig"]["NetworkMode"] == "container:vpn"
    assert "Hostname" not in body


def test_volumes_from_goes_by_the_containers_name() -> None:
    old = container(host={"VolumesFrom": ["123:ro"]})
    assert remade(old, names={"123": "data"}).body["HostConfig"]["VolumesFrom"] == ["data:ro"]


def test_the_compose_label_names_the_new_image() -> None:
    old = container({"Labels": {"com.docker.compose.image": OLD_ID, "com.docker.compose.service": "web"}})
    assert remade(old).body["Labels"] == {
        "com.docker.compose.image": NEW_ID,
        "com.docker.compose.service": "web",
    }


def test_a_container_that_is_not_composes_gets_no_compose_label() -> None:
    assert remade(container()).body["Labels"] == {}


def test_labels_of_an_earlier_replacement_do_not_survive() -> None:
    labels = {"com.docker.compose.replace": "x", "tidegate.transaction": "1"}
    assert remade(container({"Labels": labels})).body["Labels"] == {}


def test_the_image_is_written_as_the_user_wrote_it() -> None:
    assert remade(container(), image_reference="host:5000/shop:live").body["Image"] == "host:5000/shop:live"


def test_an_anonymous_volume_of_compose_gets_its_name_in_the_same_entry() -> None:
    old = container(
        host={"Mounts": [{"Type": "volume", "Target": "/data"}]},
        mounts=[{"Type": "volume", "Name": "v1", "Destination": "/data", "RW": True}],
    )
    assert remade(old).body["HostConfig"]["Mounts"] == [{"Type": "volume", "Target": "/data", "Source": "v1"}]


def test_a_volume_of_the_image_is_mounted_again_by_name() -> None:
    old = container(
        {"Volumes": {"/data": {}}}, mounts=[{"Type": "volume", "Name": "v1", "Destination": "/data", "RW": True}]
    )
    body = remade(old, image(Volumes={"/data": {}})).body
    assert body["HostConfig"]["Mounts"] == [{"Type": "volume", "Source": "v1", "Target": "/data"}]


def test_a_bound_volume_is_not_mounted_twice() -> None:
    old = container(
        {"Volumes": {"/data": {}}},
        {"Binds": ["v1:/data/:ro"]},
        mounts=[{"Type": "volume", "Name": "v1", "Destination": "/data", "RW": False}],
    )
    host = remade(old).body["HostConfig"]
    assert host["Binds"] == ["v1:/data/:ro"]
    assert "Mounts" not in host


def test_a_bind_without_a_source_gets_the_volumes_name() -> None:
    old = container(
        host={"Binds": ["/data"]}, mounts=[{"Type": "volume", "Name": "v1", "Destination": "/data", "RW": True}]
    )
    assert remade(old).body["HostConfig"]["Binds"] == ["v1:/data"]


def test_paths_that_the_engine_masks_are_left_to_the_engine() -> None:
    old = container(host={"MaskedPaths": ["/proc/acpi", "/proc/kcore"], "ReadonlyPaths": ["/proc/sys"]})
    assert not {"MaskedPaths", "ReadonlyPaths"} & remade(old).body["HostConfig"].keys()


def test_paths_that_the_user_unmasked_stay_unmasked() -> None:
    assert remade(container(host={"MaskedPaths": []})).body["HostConfig"]["MaskedPaths"] == []


TWO = {
    "back": {"Aliases": ["web", SELF[:12]], "MacAddress": "02:42:0a:00:00:02", "IPAddress": "10.0.0.2"},
    "front": {"Aliases": ["web", "shop"], "IPAMConfig": {"IPv4Address": "10.1.0.9"}, "IPAddress": "10.1.0.9"},
}


def test_each_network_comes_with_what_it_takes_to_have_the_same_place_there() -> None:
    assert list(remade(container(networks=TWO)).endpoints.items()) == [
        ("front", {"Aliases": ["web", "shop"], "IPAMConfig": {"IPv4Address": "10.1.0.9"}}),
        ("back", {"Aliases": ["web"]}),
    ]


def test_the_network_mode_stays_wherever_a_candidate_boots() -> None:
    made = for_candidate(remade(container(networks=TWO)).body, {}, "tidegate-1", {})
    assert made["NetworkingConfig"] == {"EndpointsConfig": {"tidegate-1": {}}}
    assert made["HostConfig"]["NetworkMode"] == "front"


def test_a_container_of_the_hosts_network_has_no_endpoint() -> None:
    assert remade(container(host={"NetworkMode": "host"}, networks={"host": {}})).endpoints == {}


def test_the_default_network_needs_no_endpoint() -> None:
    old = container(host={"NetworkMode": "default"}, networks={"bridge": {"IPAddress": "10.0.0.2"}})
    request = remade(old)
    assert "NetworkingConfig" not in for_candidate(request.body, {}, "bridge", request.endpoints["bridge"])


def test_a_mac_address_of_the_users_stays_in_the_settings_on_older_engines() -> None:
    assert remade(container({"MacAddress": "02:00:00:00:00:01"})).body["MacAddress"] == "02:00:00:00:00:01"


def test_a_mac_address_of_the_users_goes_to_its_network_on_newer_engines() -> None:
    request = remade(container({"MacAddress": "02:00:00:00:00:01"}), api="1.44")
    assert "MacAddress" not in request.body
    assert request.endpoints["front"] == {"MacAddress": "02:00:00:00:00:01"}


@pytest.mark.parametrize("mode", ["default", "bridge"])
def test_a_candidate_on_the_default_network_has_the_mac_address_of_the_users(mode: str) -> None:
    old = container({"MacAddress": "02:00:00:00:00:01"}, {"NetworkMode": mode}, {"bridge": {}})
    body, endpoints = split(remade(old, api="1.44"), ("bridge",))
    made = for_candidate(body, {}, "bridge", endpoints["bridge"])
    assert made["NetworkingConfig"]["EndpointsConfig"] == {"bridge": {"MacAddress": "02:00:00:00:00:01"}}
    assert made["HostConfig"]["NetworkMode"] == "bridge"


def test_a_generated_mac_address_is_never_frozen() -> None:
    assert "MacAddress" not in remade(container(networks=TWO), api="1.45").endpoints["back"]


def test_the_host_name_among_an_older_engines_aliases_is_not_an_alias() -> None:
    old = container({"Hostname": "shop"}, networks={"front": {"Aliases": ["web", SELF[:12], "shop"]}})
    assert remade(old).endpoints["front"] == {"Aliases": ["web"]}


def test_the_incumbents_request_names_its_image_by_id_and_keeps_everything() -> None:
    old = container({"Env": ["A=1"], "Entrypoint": ["e"], "Cmd": ["c"], "User": "u"})
    body = incumbent_request(old, api="1.41").body
    assert (body["Image"], body["Env"], body["Entrypoint"], body["User"]) == (OLD_ID, ["A=1"], ["e"], "u")


def test_the_incumbents_compose_label_still_names_its_own_image() -> None:
    old = container({"Labels": {"com.docker.compose.image": OLD_ID}})
    assert incumbent_request(old, api="1.41").body["Labels"] == {"com.docker.compose.image": OLD_ID}


def test_the_old_document_is_left_as_it_was() -> None:
    old = container({"Env": ["A=1"]}, {"Mounts": [{"Type": "volume", "Target": "/d"}]}, TWO)
    before = repr(old)
    remade(old, image(Env=["A=1"]))
    assert repr(old) == before


# pinned


PIN = f"ghcr.io/acme/shop@sha256:{'d' * 64}"
FOLLOWS = "tidegate.follows"


def test_a_pinned_container_is_made_by_digest_and_tells_what_it_follows() -> None:
    body = remade(container({"Labels": {"own": "1"}}), pin=PIN).body
    assert (body["Image"], body["Labels"]) == (PIN, {"own": "1", FOLLOWS: "shop:live"})


def test_the_next_release_by_tag_follows_it_again_without_a_label() -> None:
    pinned = container({"Image": PIN, "Labels": {FOLLOWS: "shop:live"}})
    body = remade(pinned).body
    assert (body["Image"], body["Labels"]) == ("shop:live", {})


def test_the_way_back_of_a_pinned_container_is_pinned() -> None:
    pinned = container({"Image": PIN, "Labels": {FOLLOWS: "shop:live"}})
    body = incumbent_request(pinned, api="1.41", image="shop:live", pin=PIN).body
    assert (body["Image"], body["Labels"]) == (PIN, {FOLLOWS: "shop:live"})
