"""Recreation on a real engine: what comes back is what was there."""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.support.docker import docker, inspect, remove
from tests.support.engines import FOREVER, unique
from tests.support.images import build
from tests.support.registry import Registry

from tidegate.domain.recreate import CreateRequest, create_request, incumbent_request
from tidegate.domain.recreate_candidate import for_candidate, restart_policy_of, split
from tidegate.domain.recreate_networks import endpoint_settings, endpoints_of
from tidegate.engine.docker import DockerEngine
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

PER_CONTAINER = {
    *("Id", "Created", "State", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "GraphDriver"),
    *("NetworkSettings", "ExecIDs", "AppArmorProfile"),
}


@pytest.fixture(scope="module")
def images(registry: Registry) -> Iterator[dict[str, str]]:
    """Ids of two releases, `one` and `two`, of repository `name`."""
    repository = unique("recreate")
    made = {"name": f"{registry.address}/{repository}"}
    for release in ("one", "two"):
        pushed = build(
            registry,
            f"{repository}:{release}",
            env={"RELEASE": release, "MODE": "standard"},
            labels={"release": release},
            healthcheck={"Test": ["CMD", "true"], "Interval": 5 * 10**9},
            volumes=["/var/lib/app"],
            WorkingDir=f"/{release}",
            Entrypoint=["/bin/sh", "-c"],
            Cmd=[FOREVER],
        )
        docker("pull", "-q", pushed.reference)
        made[release] = pushed.image_id
    yield made
    docker("rmi", "-f", f"{made['name']}:one", f"{made['name']}:two", f"{made['name']}:live", check=False)


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[Engine]:
    opened = await DockerEngine.open(engine_url)
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def _volumes(engine_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remove the volumes of a test's containers: one that was given by name is not removed with its container."""
    assert engine_url
    made: set[str] = set()
    create = DockerEngine.create

    async def note(self: DockerEngine, name: str, request: Any) -> str:
        id_ = await create(self, name, request)
        made.update(mount.get("Name", "") for mount in inspect(id_)["Mounts"])
        return id_

    monkeypatch.setattr(DockerEngine, "create", note)
    yield
    remove("volume", made - {""})


@pytest.fixture
def network() -> Iterator[str]:
    name = unique("net")
    docker("network", "create", name)
    yield name
    docker("network", "rm", name)


@pytest.fixture
def box() -> Iterator[str]:
    """A name for a container, which is removed afterwards with its volumes."""
    name = unique("box")
    yield name
    docker("rm", "-f", "-v", name)


async def replace(engine: Engine, old: Container, request: CreateRequest) -> Container:
    """Remove the old one, and make the new one as a transaction does."""
    await engine.remove(old.id, force=True)
    made = await created(engine, old.name, request)
    if old.running:
        await engine.start(made)
    await engine.set_restart_policy(made, restart_policy_of(request.body))
    return await engine.container(made)


async def created(engine: Engine, name: str, request: CreateRequest) -> str:
    """A container on every network of its request, not started; its id."""
    first = next(iter(request.endpoints), None)
    made = await engine.create(name, for_candidate(request.body, {}, first, request.endpoints.get(first or "", {})))
    for network, settings in request.endpoints.items():
        await engine.connect(network, made, settings)
    return made


async def next_release(engine: Engine, images: Mapping[str, str], old: Container, **options: Any) -> CreateRequest:
    """The request for release two, called as the container's image was."""
    documents = [(await engine.image(images[release])).document for release in ("one", "two")]
    api = (await engine.version()).api_used
    return create_request(old.document, *documents, image_reference=old.image, api=api, **options)


def lasting(container: Container) -> dict[str, Any]:
    """An inspect document without what differs between any two containers."""
    document = container.document
    seen = {key: value for key, value in document.items() if key not in PER_CONTAINER}
    config = dict(seen["Config"])
    if config["Hostname"] == container.id[:12]:
        config["Hostname"] = ""
    config["Env"] = sorted(config["Env"])
    places = {name: endpoint_settings(document, name) for name in endpoints_of(document)}
    mounts = [{**mount, "Mode": ""} for mount in document["Mounts"]]
    volumes = {mount["Destination"]: mount for mount in mounts}
    policy = seen["HostConfig"]["RestartPolicy"]
    # an older engine keeps the empty name that Compose gives it, and means the same
    host = {**seen["HostConfig"], "Mounts": None, "RestartPolicy": {**policy, "Name": policy["Name"] or "no"}}
    return {**seen, "Config": config, "HostConfig": host, "Mounts": volumes, "places": places}


def differences(old: Any, new: Any, path: str = "") -> dict[str, tuple[Any, Any]]:
    """Where two documents differ, by path."""
    if isinstance(old, dict) and isinstance(new, dict):
        found: dict[str, tuple[Any, Any]] = {}
        for key in [*old, *(key for key in new if key not in old)]:
            found |= differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
        return found
    return {} if old == new else {path: (old, new)}


RICH = """
--add-host h:1.2.3.4 --cap-add NET_ADMIN --cap-drop MKNOD --cpu-shares 512 --cpus 0.5 --cpuset-cpus 0
--device /dev/null:/dev/mynull:r --device-cgroup-rule c~1:3~r --dns 9.9.9.9 --dns-option ndots:2
--dns-search example.test --domainname dom --entrypoint /bin/sh -e A=1 -e RELEASE=one -e MODE=mine --expose 7777
--group-add 5 --health-cmd true --health-interval 7s --health-retries 9 --hostname hosty --init --ipc shareable
-l a=b --log-driver json-file --log-opt max-size=1m --memory 64m --memory-reservation 32m
--mount type=volume,dst=/anonymous --mount type=volume,src=named-NAME,dst=/named,readonly
--mount type=tmpfs,dst=/t1,tmpfs-size=1000000 --oom-score-adj 100 --pids-limit 99
-p 127.0.0.1::8000 -p 9001 --read-only --restart on-failure:3 --security-opt no-new-privileges --shm-size 1m
--security-opt systempaths=unconfined --stop-signal SIGINT --stop-timeout 33 --sysctl net.ipv4.ip_forward=1
--tmpfs /t2:size=1m -t -i --ulimit nofile=100:200 --user 0:0 -v /anonymous2 -v other-NAME:/other:ro -w /w
--network-alias shop --network-alias till --cgroupns host
"""


def run(name: str, image: str, options: str, *command: str, start: bool = True) -> None:
    """Make a container from words of `docker run`; `~` is a space and NAME the container's name."""
    words = [word.replace("~", " ") for word in options.replace("NAME", name).split()]
    docker(*(["run", "-d"] if start else ["create"]), "--name", name, *words, image, *command)


@pytest.fixture
def rich(network: str, box: str, images: dict[str, str]) -> Iterator[str]:
    """A container with every option there is, on two networks."""
    second = unique("net")
    docker("network", "create", second)
    run(box, f"{images['name']}:one", f"{RICH} --network {network}", "-c", FOREVER)
    docker("network", "connect", "--alias", "second", second, box)
    yield box
    docker("rm", "-f", "-v", box)
    docker("network", "rm", second)
    docker("volume", "rm", f"named-{box}", f"other-{box}")


async def test_the_incumbent_comes_back_exactly_as_it_was(engine: Engine, rich: str) -> None:
    old = await engine.container(rich)
    request = incumbent_request(old.document, api=(await engine.version()).api_used, image=old.image)
    assert differences(lasting(old), lasting(await replace(engine, old, request))) == {}


async def test_what_the_old_image_gave_comes_back_from_an_image_that_gives_it_too(
    engine: Engine, rich: str, images: dict[str, str]
) -> None:
    old = await engine.container(rich)
    new = await replace(engine, old, await next_release(engine, images, old))
    assert new.image_id == images["one"]  # what the container's reference still names
    assert differences(lasting(old), lasting(new)) == {}


async def test_the_users_values_stay_and_the_images_values_follow(
    engine: Engine, box: str, images: dict[str, str]
) -> None:
    name = f"{images['name']}:live"
    docker("tag", images["one"], name)
    run(box, name, "-e MODE=mine -l team=shop")
    old = await engine.container(box)
    docker("tag", images["two"], name)
    new = await replace(engine, old, await next_release(engine, images, old))
    assert new.image_id == images["two"]
    assert new.image == name
    assert {"RELEASE=two", "MODE=mine"} <= set(new.document["Config"]["Env"])
    assert (new.labels["release"], new.labels["team"]) == ("two", "shop")
    assert new.document["Config"]["WorkingDir"] == "/two"


async def test_anonymous_volumes_keep_their_data(engine: Engine, box: str, images: dict[str, str]) -> None:
    run(box, f"{images['name']}:one", "--mount type=volume,dst=/one -v /two")
    for folder in ("/one", "/two", "/var/lib/app"):
        docker("exec", box, "sh", "-c", f"echo kept > {folder}/file")
    old = await engine.container(box)
    await replace(engine, old, await next_release(engine, images, old))
    assert docker("exec", box, "cat", "/one/file", "/two/file", "/var/lib/app/file").split() == ["kept"] * 3


async def test_an_emptied_entry_point_comes_back_empty(engine: Engine, box: str, images: dict[str, str]) -> None:
    docker("run", "-d", "--name", box, "--entrypoint", "", f"{images['name']}:one", "sleep", "1000")
    old = await engine.container(box)
    new = await replace(engine, old, await next_release(engine, images, old))
    assert not new.document["Config"]["Entrypoint"]
    assert new.document["Config"]["Cmd"] == ["sleep", "1000"]


@pytest.mark.parametrize(
    "options",
    [
        "--network host",
        "--network none",
        "--uts host",
        "--privileged",
        "--pid host --ipc host",
        "-P",
        "--rm",
        "--gpus all",
    ],
)
async def test_containers_of_every_mode_come_back(
    engine: Engine, box: str, images: dict[str, str], options: str
) -> None:
    run(box, f"{images['name']}:one", options, start=False)  # not every machine may run a privileged one, or has a GPU
    old = await engine.container(box)
    new = await replace(engine, old, await next_release(engine, images, old))
    assert differences(lasting(old), lasting(new)) == {}


async def test_a_container_in_anothers_network_finds_it_by_name(
    engine: Engine, box: str, images: dict[str, str]
) -> None:
    owner = unique("owner")
    run(owner, f"{images['name']}:one", "")
    owner_id = (await engine.container(owner)).id
    run(box, f"{images['name']}:one", f"--network container:{owner_id}")
    old = await engine.container(box)
    new = await replace(engine, old, await next_release(engine, images, old, names={owner_id: owner}))
    docker("rm", "-f", "-v", owner)
    assert old.network_mode == f"container:{owner_id}"
    assert new.running


async def test_volumes_and_links_of_another_container_come_back(
    engine: Engine, box: str, images: dict[str, str]
) -> None:
    owner = unique("owner")
    run(owner, f"{images['name']}:one", "-v /shared")
    run(box, f"{images['name']}:one", f"--volumes-from {owner}:ro --link {owner}:db")
    old = await engine.container(box)
    new = await replace(engine, old, await next_release(engine, images, old))
    found = differences(lasting(old), lasting(new))
    docker("rm", "-f", "-v", owner)
    assert found == {}


async def test_a_static_address_and_a_mac_address_come_back(engine: Engine, box: str, images: dict[str, str]) -> None:
    name = unique("net")
    docker("network", "create", "--subnet", "10.213.77.0/24", name)
    place = {"Aliases": ["shop"], "IPAMConfig": {"IPv4Address": "10.213.77.40"}}
    mac = "02:42:77:11:22:33"
    body = {"Image": f"{images['name']}:one", "HostConfig": {"NetworkMode": name}}
    newer = (await engine.version()).api_used != "1.41"
    await engine.create(
        box,
        body
        | ({} if newer else {"MacAddress": mac})
        | {"NetworkingConfig": {"EndpointsConfig": {name: place | ({"MacAddress": mac} if newer else {})}}},
    )
    await engine.start(box)
    old = await engine.container(box)
    new = await replace(engine, old, await next_release(engine, images, old))
    docker("rm", "-f", "-v", box)
    docker("network", "rm", name)
    endpoint = new.endpoints[name]
    assert (endpoint.ip_address, endpoint.mac_address) == ("10.213.77.40", mac)
    assert endpoint.settings == old.endpoints[name].settings


async def test_a_mac_address_on_the_default_network_is_a_candidates_too(
    engine: Engine, box: str, images: dict[str, str]
) -> None:
    mac = "02:42:77:11:22:44"
    if (await engine.version()).api_used == "1.41":  # today's docker command asks no older engine for one
        await engine.create(box, {"Image": f"{images['name']}:one", "MacAddress": mac})
        await engine.start(box)
    else:
        run(box, f"{images['name']}:one", f"--mac-address {mac}")
    old = await engine.container(box)
    body, endpoints = split(await next_release(engine, images, old), ("bridge",))
    await engine.remove(old.id, force=True)
    await engine.create(box, for_candidate(body, {}, "bridge", endpoints["bridge"]))
    await engine.start(box)
    assert (await engine.container(box)).endpoints["bridge"].mac_address == mac


async def test_a_second_container_beside_the_first_gets_addresses_of_its_own(
    engine: Engine, network: str, box: str, images: dict[str, str]
) -> None:
    run(box, f"{images['name']}:one", f"--network {network}")
    old = await engine.container(box)
    made = await created(engine, f"{box}-next", await next_release(engine, images, old))
    await engine.start(made)
    new = await engine.container(made)
    await engine.remove(made, force=True, volumes=True)
    assert old.endpoints[network].mac_address != new.endpoints[network].mac_address
    assert old.endpoints[network].ip_address != new.endpoints[network].ip_address


async def test_a_container_that_waits_on_a_private_network_serves_as_before_once_it_joins(
    engine: Engine, network: str, box: str, images: dict[str, str]
) -> None:
    run(box, f"{images['name']}:one", f"--network {network} --network-alias shop")
    old = await engine.container(box)
    private = unique("private")
    docker("network", "create", "--internal", private)
    request = await next_release(engine, images, old)
    await engine.remove(old.id, force=True)
    made = await engine.create(box, for_candidate(request.body, {}, private, {}))
    await engine.start(made)
    waiting = await engine.container(made)
    await engine.connect(network, made, request.endpoints[network])
    await engine.disconnect(private, made)
    docker("network", "rm", private)
    docker("restart", "-t", "0", box)
    served = await engine.container(made)
    assert list(waiting.endpoints) == [private]
    assert differences(lasting(old), lasting(served)) == {}


COMPOSE = """
services:
  db:
    image: IMAGE:one
    networks: [back]
  web:
    image: IMAGE:live
    command: ["FOREVER"]
    environment: {MODE: mine}
    labels: {team: shop}
    depends_on: [db]
    links: ["db:database"]
    networks:
      front: {aliases: [shop], ipv4_address: 10.214.SUBNET.40}
      back: {}
    ports: ["127.0.0.1::8000"]
    configs: [{source: settings, target: /etc/settings}]
    secrets: [password]
    volumes: ["/scratch", "data:/data", "./bound:/bound:ro", {type: tmpfs, target: /fast}]
    tmpfs: [/quick]
    sysctls: {net.ipv4.ip_forward: 1}
    ulimits: {nofile: {soft: 100, hard: 200}}
    cap_add: [NET_ADMIN]
    extra_hosts: ["h:1.2.3.4"]
    stop_grace_period: 3s
    init: true
networks:
  front: {ipam: {config: [{subnet: 10.214.SUBNET.0/24}]}}
  back: {}
volumes: {data: {}}
configs: {settings: {file: ./settings.txt}}
secrets: {password: {file: ./password.txt}}
"""


@pytest.fixture
def project(tmp_path: Path, images: dict[str, str]) -> Iterator[Path]:
    """A Compose project that is up, with everything a Compose file can ask for and release one live."""
    docker("tag", images["one"], f"{images['name']}:live")
    subnet = str(hash(images["name"]) % 250)
    text = COMPOSE.replace("IMAGE", images["name"]).replace("SUBNET", subnet)
    file = tmp_path / "compose.yml"
    file.write_text(text.replace("FOREVER", FOREVER))
    (tmp_path / "settings.txt").write_text("a setting")
    (tmp_path / "password.txt").write_text("a password")
    (tmp_path / "bound").mkdir()
    docker("compose", "-f", str(file), "up", "-d")
    yield file
    docker("compose", "-f", str(file), "down", "-v", "-t", "0")


def web_of(project: Path) -> str:
    return docker("compose", "-f", str(project), "ps", "-q", "web")


async def test_after_a_recreation_compose_finds_nothing_to_do(
    engine: Engine, project: Path, images: dict[str, str]
) -> None:
    old = await engine.container(web_of(project))
    docker("tag", images["two"], f"{images['name']}:live")
    new = await replace(engine, old, await next_release(engine, images, old))
    docker("compose", "-f", str(project), "up", "-d")
    assert web_of(project) == new.id
    assert new.image_id == images["two"]


async def test_a_compose_service_comes_back_with_everything_its_file_asks_for(
    engine: Engine, project: Path, images: dict[str, str]
) -> None:
    old = await engine.container(web_of(project))
    docker("tag", images["two"], f"{images['name']}:live")
    new = await replace(engine, old, await next_release(engine, images, old))
    found = differences(lasting(old), lasting(new))
    assert set(found) == {
        "Image",
        "Config.Env",
        "Config.Labels.release",
        "Config.Labels.com.docker.compose.image",
        "Config.WorkingDir",
    }
    seen = docker("exec", new.id, "cat", "/etc/settings", "/run/secrets/password")
    assert seen == "a settinga password"


async def test_compose_itself_would_have_made_the_same_container(
    engine: Engine, project: Path, images: dict[str, str]
) -> None:
    old = await engine.container(web_of(project))
    docker("tag", images["two"], f"{images['name']}:live")
    ours = await replace(engine, old, await next_release(engine, images, old))
    docker("compose", "-f", str(project), "up", "-d", "--force-recreate", "web")
    theirs = await engine.container(web_of(project))
    found = differences(lasting(ours), lasting(theirs))
    assert set(found) <= {"Config.Labels.com.docker.compose.replace"}


async def test_a_rollback_from_the_saved_request_is_what_compose_made(
    engine: Engine, project: Path, images: dict[str, str]
) -> None:
    first = await engine.container(web_of(project))
    saved = incumbent_request(first.document, api=(await engine.version()).api_used, image=first.image)
    docker("tag", images["two"], f"{images['name']}:live")
    second = await replace(engine, first, await next_release(engine, images, first))
    docker("tag", images["one"], f"{images['name']}:live")
    kept = CreateRequest(**json.loads(json.dumps(asdict(saved))))
    third = await replace(engine, second, kept)
    docker("compose", "-f", str(project), "up", "-d")
    assert differences(lasting(first), lasting(third)) == {}
    assert web_of(project) == third.id


async def test_a_removed_incumbent_is_not_there(engine: Engine, box: str, images: dict[str, str]) -> None:
    run(box, f"{images['name']}:one", "")
    old = await engine.container(box)
    await replace(engine, old, await next_release(engine, images, old))
    with pytest.raises(NotFoundError):
        await engine.container(old.id)
