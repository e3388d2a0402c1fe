"""Each verb of the port on a real engine."""

import asyncio
import io
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.docker import docker
from tests.support.engines import FOREVER, unique
from tests.support.images import build
from tests.support.registry import Registry

from tidegate.engine.docker import DockerEngine
from tidegate.engine.errors import (
    ConflictError,
    NameTakenError,
    NotFoundError,
    PortTakenError,
    PullError,
    SubnetTakenError,
)
from tidegate.engine.model import Event, Health
from tidegate.engine.port import Engine

OLD_API = "1.41"


@pytest.fixture(scope="module")
def image(registry: Registry) -> Iterator[str]:
    """An image that runs until it is told to stop."""
    name = f"{unique('contract')}:one"
    pushed = build(registry, name, labels={"team": "shop"}, Entrypoint=["/bin/sh", "-c"], Cmd=[FOREVER])
    docker("pull", "-q", pushed.reference)
    yield pushed.reference
    docker("rmi", "-f", pushed.reference)


@pytest.fixture(params=["negotiated", OLD_API])
async def engine(request: pytest.FixtureRequest, engine_url: str) -> AsyncIterator[Engine]:
    opened = await DockerEngine.open(engine_url, None if request.param == "negotiated" else OLD_API)
    yield opened
    await opened.close()


@pytest.fixture
async def made(engine: Engine, image: str) -> AsyncIterator[str]:
    """A container that was created and not started."""
    name = unique("box")
    await engine.create(name, {"Image": image})
    yield name
    await engine.remove(name, force=True, volumes=True)


@pytest.fixture
async def box(engine: Engine, made: str) -> str:
    """A container that runs."""
    await engine.start(made)
    return made


@pytest.fixture
async def network(engine: Engine) -> AsyncIterator[str]:
    name = unique("net")
    await engine.create_network(name, internal=True, labels={"tidegate.test": name}, subnet=None)
    yield name
    with suppress(ConflictError):
        await engine.remove_network(name)


async def test_version_tells_the_engine_and_the_api_that_was_agreed_on(engine: Engine) -> None:
    version = await engine.version()
    assert version.engine.startswith(("20.10", "26.1"))
    assert version.api_used in {OLD_API, version.api_max}
    assert (version.os, version.architecture) == ("linux", "amd64")


async def test_containers_are_found_by_their_labels(engine: Engine, image: str) -> None:
    name = unique("labelled")
    made = await engine.create(name, {"Image": image, "Labels": {"tidegate.test": name}})
    by_value = await engine.containers(labels={"tidegate.test": name, "team": ""})
    running = await engine.containers(labels={"tidegate.test": name}, running_only=True)
    await engine.remove(name)
    assert [(found.id, found.name, found.state, found.labels["team"]) for found in by_value] == [
        (made, name, "created", "shop")
    ]
    assert running == []


async def test_a_container_is_inspected_by_name_id_and_short_id(engine: Engine, box: str) -> None:
    found = await engine.container(box)
    assert (await engine.container(found.id)).name == box
    assert (await engine.container(found.id[:12])).name == box
    assert (found.running, found.status, found.health, found.stop_signal) == (True, "running", Health.NONE, None)


async def test_a_few_letters_that_begin_an_id_are_no_name(engine: Engine, box: str) -> None:
    beginning = (await engine.container(box)).id[:6]
    with pytest.raises(NotFoundError, match=beginning):
        await engine.container(beginning)


async def test_a_missing_container_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFoundError, match="no-such-box"):
        await engine.container("no-such-box")


async def test_a_name_cannot_be_had_twice(engine: Engine, made: str, image: str) -> None:
    with pytest.raises(NameTakenError, match=made):
        await engine.create(made, {"Image": image})


async def test_a_container_needs_an_image_that_is_there(engine: Engine) -> None:
    with pytest.raises(NotFoundError, match="no-such-image"):
        await engine.create(unique("box"), {"Image": "no-such-image:1"})


async def test_starting_what_runs_changes_nothing(engine: Engine, box: str) -> None:
    before = (await engine.container(box)).started_at
    await engine.start(box)
    assert (await engine.container(box)).started_at == before


async def test_a_host_port_that_is_held_is_told_as_such(engine: Engine, image: str) -> None:
    names = [unique("first"), unique("second")]
    port = {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "18417"}]}}
    for name in names:
        await engine.create(name, {"Image": image, "ExposedPorts": {"80/tcp": {}}, "HostConfig": port})
    await engine.start(names[0])
    with pytest.raises(PortTakenError, match="18417"):
        await engine.start(names[1])
    for name in names:
        await engine.remove(name, force=True)


async def test_a_container_stops_by_its_own_signal_and_is_stopped_again_for_nothing(engine: Engine, box: str) -> None:
    await engine.stop(box, signal=None, timeout_s=None)
    await engine.stop(box, signal=None, timeout_s=None)
    assert (await engine.container(box)).exit_code == 0


async def test_a_given_signal_stops_a_container_and_the_restart_policy_does_not_bring_it_back(
    engine: Engine, image: str
) -> None:
    name = unique("box")
    command = "trap 'exit 7' USR1; while :; do sleep 0.1; done"
    policy = {"RestartPolicy": {"Name": "always"}}
    await engine.create(name, {"Image": image, "Cmd": [command], "StopSignal": "SIGTERM", "HostConfig": policy})
    await engine.start(name)
    await engine.stop(name, signal="SIGUSR1", timeout_s=5)
    await asyncio.sleep(0.5)  # the time after which an engine restarts what died
    found = await engine.container(name)
    await engine.remove(name, force=True)
    assert (found.running, found.restart_count) == (False, 0)
    assert found.restart_policy["Name"] == "always"


async def test_a_container_that_ignores_the_signal_is_killed_after_its_time(engine: Engine, image: str) -> None:
    name = unique("box")
    await engine.create(name, {"Image": image, "Cmd": ["trap '' USR1; while :; do sleep 0.1; done"]})
    await engine.start(name)
    await engine.stop(name, signal="SIGUSR1", timeout_s=1)
    found = await engine.container(name)
    await engine.remove(name, force=True)
    assert (found.running, found.exit_code) == (False, 137)


async def test_a_signal_to_what_does_not_run_is_let_go(engine: Engine, made: str) -> None:
    await engine.kill(made, signal="SIGTERM")
    assert (await engine.container(made)).status == "created"


async def test_waiting_ends_with_the_exit_code(engine: Engine, box: str) -> None:
    waiting = asyncio.create_task(engine.wait_exit(box))
    await engine.kill(box, signal="SIGKILL")
    assert await waiting == 137


async def test_a_container_takes_a_new_name_and_keeps_it_when_told_again(engine: Engine, made: str) -> None:
    await engine.rename(made, f"{made}-new")
    await engine.rename(f"{made}-new", f"{made}-new")
    await engine.rename(f"{made}-new", made)
    assert (await engine.container(made)).name == made


async def test_a_rename_to_a_taken_name_is_refused(engine: Engine, made: str, image: str) -> None:
    other = unique("box")
    await engine.create(other, {"Image": image})
    with pytest.raises(NameTakenError, match=made):
        await engine.rename(other, made)
    await engine.remove(other)


async def test_removing_what_is_gone_changes_nothing(engine: Engine, image: str) -> None:
    name = unique("box")
    await engine.create(name, {"Image": image})
    await engine.remove(name)
    await engine.remove(name)
    assert await engine.containers(labels={"name": name}) == []


async def test_a_running_container_is_removed_by_force_only(engine: Engine, box: str) -> None:
    with pytest.raises(ConflictError, match=box):
        await engine.remove(box)
    await engine.remove(box, force=True)
    with pytest.raises(NotFoundError):
        await engine.container(box)


async def test_the_restart_policy_of_an_existing_container_changes(engine: Engine, box: str) -> None:
    await engine.set_restart_policy(box, {"Name": "always"})
    assert (await engine.container(box)).restart_policy["Name"] == "always"


async def test_a_container_joins_a_network_once_and_leaves_it_once(engine: Engine, box: str, network: str) -> None:
    for _ in range(2):
        await engine.connect(network, box, {"Aliases": ["shop"]})
    place = (await engine.container(box)).endpoints[network]
    assert (place.aliases, place.settings) == (("shop",), {"Aliases": ["shop"]})
    for _ in range(2):
        await engine.disconnect(network, box)
    assert network not in (await engine.container(box)).endpoints


async def test_a_network_tells_its_members(engine: Engine, box: str, network: str) -> None:
    await engine.connect(network, box, {})
    found = await engine.network(network)
    await engine.disconnect(network, box, force=True)
    assert list(found.members.values()) == [box]
    assert (found.internal, found.driver, len(found.subnets)) == (True, "bridge", 1)


async def test_networks_are_found_by_their_labels(engine: Engine, network: str) -> None:
    assert [found.name for found in await engine.networks(labels={"tidegate.test": network})] == [network]


async def test_a_network_in_use_is_not_removed_and_a_gone_one_is(engine: Engine, box: str, network: str) -> None:
    await engine.connect(network, box, {})
    with pytest.raises(ConflictError, match="active endpoints"):
        await engine.remove_network(network)
    await engine.disconnect(network, box)
    await engine.remove_network(network)
    await engine.remove_network(network)
    with pytest.raises(NotFoundError):
        await engine.network(network)


async def test_two_networks_share_neither_name_nor_addresses(engine: Engine, network: str) -> None:
    taken = (await engine.network(network)).subnets[0]
    with pytest.raises(NameTakenError):
        await engine.create_network(network, internal=False, labels={}, subnet=None)
    with pytest.raises(SubnetTakenError):
        await engine.create_network(unique("net"), internal=False, labels={}, subnet=taken)


async def test_an_image_is_found_by_tag_and_by_id(engine: Engine, image: str) -> None:
    found = await engine.image(image)
    assert (await engine.image(found.id)).tags == (image,)
    assert found.id in {row.id for row in await engine.images()}
    assert (found.os, found.architecture) == ("linux", "amd64")


async def test_a_tag_is_put_on_and_taken_off_an_image(engine: Engine, image: str) -> None:
    repository = unique("other")
    await engine.tag(image, repository, "two")
    assert (await engine.image(f"{repository}:two")).id == (await engine.image(image)).id
    await engine.remove_image(f"{repository}:two")
    await engine.remove_image(f"{repository}:two")
    with pytest.raises(NotFoundError):
        await engine.image(f"{repository}:two")


@pytest.mark.usefixtures("box")
async def test_an_image_in_use_is_not_removed(engine: Engine, image: str) -> None:
    with pytest.raises(ConflictError, match="conflict"):
        await engine.remove_image((await engine.image(image)).id)


async def test_a_pull_from_where_nothing_listens_names_the_reference(engine: Engine) -> None:
    with pytest.raises(PullError, match=r"127\.0\.0\.1:9/shop:one"):
        await engine.pull("127.0.0.1:9/shop:one", auth=None)


async def test_a_command_tells_its_exit_code_and_both_its_streams(engine: Engine, box: str) -> None:
    result = await engine.execute(box, ["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=30)
    assert result.exit_code == 3
    assert sorted(result.output.split()) == ["err", "out"]


async def test_a_command_that_does_not_exist_fails_with_a_reason(engine: Engine, box: str) -> None:
    result = await engine.execute(box, ["no-such-command"], timeout_s=30)
    assert result.exit_code in {126, 127}
    assert "no-such-command" in result.output


async def test_a_long_output_is_cut_at_its_beginning(engine: Engine, box: str) -> None:
    result = await engine.execute(box, ["sh", "-c", "seq 1 20000"], timeout_s=60)
    assert len(result.output) == 4096
    assert result.output.endswith("20000\n")


async def test_a_command_that_takes_too_long_is_given_up(engine: Engine, box: str) -> None:
    with pytest.raises(TimeoutError):
        await engine.execute(box, ["sleep", "20"], timeout_s=0.3)


async def test_a_command_needs_a_running_container(engine: Engine, made: str) -> None:
    with pytest.raises(ConflictError, match="not running"):
        await engine.execute(made, ["true"], timeout_s=30)


@pytest.mark.parametrize("tty", [False, True])
async def test_logs_are_the_last_lines_of_both_streams(engine: Engine, image: str, *, tty: bool) -> None:
    name = unique("box")
    await engine.create(name, {"Image": image, "Cmd": ["echo a; echo b >&2; echo c"], "Tty": tty})
    await engine.start(name)
    await engine.wait_exit(name)
    text = await engine.logs(name, tail=10)
    last = await engine.logs(name, tail=1)
    await engine.remove(name)
    assert sorted(text.split()) == ["a", "b", "c"]
    assert len(last.split()) == 1


async def test_events_tell_what_happened_to_containers_and_networks(engine: Engine, box: str, network: str) -> None:
    started = await first(engine, box, "start")
    await engine.connect(network, box, {})
    await engine.disconnect(network, box)
    seen = await until(engine, started.time_ns, ("network", "disconnect"))
    assert {("container", "start"), ("network", "connect")} <= {(event.kind, event.action) for event in seen}
    assert all(event.time_ns >= started.time_ns for event in seen)


async def test_an_engine_tells_how_far_its_memory_of_events_reaches(engine: Engine, image: str) -> None:
    began_ns, name = time.time_ns(), unique("forget")
    for _ in range(300):
        await engine.tag(image, name, "live")
    assert began_ns < await engine.forgot_before_ns() < time.time_ns()
    await engine.remove_image(f"{name}:live")


async def test_a_change_of_health_is_an_event_and_shown(engine: Engine, image: str) -> None:
    name = unique("box")
    check = {"Test": ["CMD-SHELL", "echo fine"], "Interval": 10**8, "Retries": 1}
    await engine.create(name, {"Image": image, "Healthcheck": check})
    await engine.start(name)
    await first(engine, name, "health_status: healthy")
    found = await engine.container(name)
    await engine.remove(name, force=True)
    assert (found.health, found.health_output) == (Health.HEALTHY, "fine")


async def test_free_space_is_known_where_the_engines_files_are_seen(engine: Engine) -> None:
    folder = Path(docker("info", "-f", "{{.DockerRootDir}}"))
    free = await engine.free_bytes()
    assert (free is not None) == folder.exists()
    assert free is None or free > 0


async def first(engine: Engine, name: str, action: str) -> Event:
    """The first such event of a container since the epoch."""
    async with asyncio.timeout(30):
        async for event in engine.events(since_ns=0):
            if event.action == action and event.attributes.get("name") == name:
                return event
    raise AssertionError(f"no {action} of {name}")


async def until(engine: Engine, since_ns: int, last: tuple[str, str]) -> list[Event]:
    """The events since a moment up to the first one of a kind and action."""
    seen = []
    async with asyncio.timeout(30):
        async for event in engine.events(since_ns=since_ns):
            seen.append(event)
            if (event.kind, event.action) == last:
                return seen
    raise AssertionError(f"no {last}")


def tar_of(name: str, content: bytes, **more: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o440
        for key, value in more.items():
            setattr(member, key, value)
        tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("start", [False, True])
async def test_a_file_is_put_in_and_taken_out_with_its_owner_and_its_mode(
    engine: Engine, made: str, *, start: bool
) -> None:
    await engine.unpack(made, tar_of("etc/shop/note", b"hush", uid=7, gid=8, mtime=1_800_000_000))
    if start:
        await engine.start(made)
    found = await engine.file_stat(made, "/etc/shop/note")
    assert (found.size, found.regular, found.modified.timestamp()) == (4, True, 1_800_000_000)
    with tarfile.open(fileobj=io.BytesIO(await engine.packed(made, "/etc/shop/note"))) as tar:
        (member,) = tar.getmembers()
        assert (member.uid, member.gid, member.mode & 0o777) == (7, 8, 0o440)
        assert (tar.extractfile(member) or io.BytesIO()).read() == b"hush"


async def test_what_differs_from_the_image_is_told_but_not_what_was_deleted(engine: Engine, box: str) -> None:
    await engine.execute(box, ["sh", "-c", "echo a >/added; rm /bin/vi"], timeout_s=10)
    changed = await engine.changed_paths(box)
    assert "/added" in changed
    assert "/bin/vi" not in changed


async def test_a_container_that_was_only_created_differs_in_nothing(engine: Engine, made: str) -> None:
    assert await engine.changed_paths(made) == []


async def test_a_folder_and_a_link_are_no_regular_files(engine: Engine, box: str) -> None:
    await engine.execute(box, ["ln", "-s", "/nowhere", "/link"], timeout_s=10)
    assert not (await engine.file_stat(box, "/bin")).regular
    assert not (await engine.file_stat(box, "/link")).regular


async def test_a_path_that_is_not_there_is_not_found(engine: Engine, made: str) -> None:
    with pytest.raises(NotFoundError, match="/nothing"):
        await engine.file_stat(made, "/nothing")
    with pytest.raises(NotFoundError, match="/nothing"):
        await engine.packed(made, "/nothing")
