"""Probes and hooks against real containers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import pytest
from tests.support import images
from tests.support.engines import unique
from tests.support.images import Pushed
from tests.support.registry import Registry

from groundwork.paths import APP
from tidegate.agent.hooks import HookOutcome, HookResult, run_hook
from tidegate.agent.probe import run_probe
from tidegate.domain.policy import Probe, ProbeExec, ProbeHttp, ProbeTcp
from tidegate.domain.verdict import ProbeResult
from tidegate.engine.docker import DockerEngine
from tidegate.engine.errors import NotFoundError
from tidegate.engine.model import Container

pytestmark = pytest.mark.usefixtures("engine_url")


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[DockerEngine]:
    opened = await DockerEngine.open(engine_url)
    yield opened
    await opened.close()


@pytest.fixture
async def box(engine: DockerEngine, app_image: Pushed) -> AsyncIterator[str]:
    """The application, running."""
    name = unique("probed")
    await engine.pull(app_image.reference, auth=None)
    await engine.create(name, {"Image": app_image.reference})
    await engine.start(name)
    yield name
    await engine.remove(name, force=True, volumes=True)


@pytest.fixture
async def bare(engine: DockerEngine, registry: Registry, repository: str) -> AsyncIterator[str]:
    """The application without a shell, running."""
    layer = images.layer_of({"/app": (APP / "app").read_bytes(), "/state/x": b""}, mode=0o755)
    image = images.push(
        registry,
        f"{repository}:bare",
        {"Entrypoint": ["/app"], "Cmd": ["serve"]},
        [layer],
        architecture=images.ARCHITECTURE,
    )
    name = unique("bare")
    await engine.pull(image.reference, auth=None)
    await engine.create(name, {"Image": image.reference})
    await engine.start(name)
    yield name
    await engine.remove(name, force=True, volumes=True)


async def probe(engine: DockerEngine, name: str, what: Probe) -> ProbeResult:
    container = await engine.container(name)
    address = next((end.ip_address for end in container.endpoints.values()), "")
    return await run_probe(what, address, engine, container.id)


async def hook(engine: DockerEngine, name: str, command: str, timeout_s: float | None = 20) -> HookResult:
    return await run_hook(engine, await engine.container(name), command, timeout_s)


async def until_listening(engine: DockerEngine, name: str) -> None:
    for _ in range(100):
        if (await probe(engine, name, ProbeTcp(8000, 1, 5))).ok:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the application never listened")


async def test_an_http_probe_tells_a_well_application_from_a_sick_one(engine: DockerEngine, box: str) -> None:
    await until_listening(engine, box)
    healthz = ProbeHttp(8000, "/healthz", 1, 5)
    assert (await probe(engine, box, healthz)).ok
    await engine.execute(box, ["touch", "/state/sick"], timeout_s=20)
    sick = await probe(engine, box, healthz)
    assert (sick.ok, sick.conclusive) == (False, True)
    assert "503" in sick.detail


async def test_a_port_that_nobody_listens_on_is_sick(engine: DockerEngine, box: str) -> None:
    result = await probe(engine, box, ProbeTcp(8001, 1, 5))
    assert (result.ok, result.conclusive) == (False, True)


async def test_an_address_that_nobody_has_is_inconclusive(engine: DockerEngine, box: str) -> None:
    container = await engine.container(box)
    first = next(end.ip_address for end in container.endpoints.values())
    nobody = f"{first.rpartition('.')[0]}.254"
    result = await run_probe(ProbeTcp(8000, 1, 5), nobody, engine, container.id)
    assert (result.ok, result.conclusive) == (False, False)


@pytest.mark.parametrize(
    ("command", "ok", "conclusive"),
    [
        ("true", True, True),
        ("echo not yet; exit 3", False, True),
        ("no-such-command", False, False),
        ("/etc/passwd", False, False),
    ],
)
async def test_an_exec_probe_goes_by_the_exit_code(
    engine: DockerEngine, box: str, command: str, *, ok: bool, conclusive: bool
) -> None:
    result = await probe(engine, box, ProbeExec(command, 1, 20))
    assert (result.ok, result.conclusive) == (ok, conclusive)


async def test_an_exec_probe_that_takes_too_long_is_sick(engine: DockerEngine, box: str) -> None:
    result = await probe(engine, box, ProbeExec("sleep 5", 1, 0.3))
    assert result == ProbeResult(ok=False, conclusive=True, detail="'sleep 5' took longer than 300ms")


async def test_an_exec_probe_without_a_shell_is_inconclusive(engine: DockerEngine, bare: str) -> None:
    result = await probe(engine, bare, ProbeExec("true", 1, 20))
    assert (result.ok, result.conclusive) == (False, False)


async def test_an_exec_probe_of_what_does_not_run_is_inconclusive(engine: DockerEngine, box: str) -> None:
    await engine.kill(box, signal="KILL")
    await engine.wait_exit(box)
    result = await probe(engine, box, ProbeExec("true", 1, 20))
    assert (result.ok, result.conclusive) == (False, False)


async def test_a_hook_runs_in_a_shell_inside_its_container(engine: DockerEngine, box: str) -> None:
    assert await hook(engine, box, "echo $VERSION | tr 1 I") == HookResult(HookOutcome.DONE, "I")


async def test_a_hook_that_exits_with_75_says_busy(engine: DockerEngine, box: str) -> None:
    assert await hook(engine, box, "echo two jobs left; exit 75") == HookResult(HookOutcome.BUSY, "two jobs left")


async def test_a_hook_that_fails_says_how(engine: DockerEngine, box: str) -> None:
    result = await hook(engine, box, "echo no backup >&2; exit 2")
    assert result.outcome is HookOutcome.FAILED
    assert result.output == f"'echo no backup >&2; exit 2' ended with exit code 2 in {box}: no backup"


async def test_a_hook_that_takes_too_long_fails_with_its_limit(engine: DockerEngine, box: str) -> None:
    result = await hook(engine, box, "sleep 5", timeout_s=0.3)
    assert result.outcome is HookOutcome.FAILED
    assert "took longer than 300ms" in result.output


async def test_a_hook_without_a_limit_is_waited_for(engine: DockerEngine, box: str) -> None:
    assert (await hook(engine, box, "sleep 0.5", timeout_s=None)).outcome is HookOutcome.DONE


async def test_a_hook_in_an_image_without_a_shell_fails_with_a_remedy(engine: DockerEngine, bare: str) -> None:
    result = await hook(engine, bare, "true")
    assert result.outcome is HookOutcome.FAILED
    assert "has no sh" in result.output
    assert "remove the hook's label" in result.output


async def test_a_hook_is_skipped_in_a_stopped_container(engine: DockerEngine, box: str) -> None:
    await engine.kill(box, signal="KILL")
    await engine.wait_exit(box)
    assert (await hook(engine, box, "true")).outcome is HookOutcome.SKIPPED


async def test_a_hook_is_skipped_in_a_restarting_container(engine: DockerEngine, push: Callable[..., Pushed]) -> None:
    image, name = push(env={"EXIT": "1"}), unique("restarting")
    await engine.pull(image.reference, auth=None)
    await engine.create(name, {"Image": image.reference, "HostConfig": {"RestartPolicy": {"Name": "always"}}})
    try:
        await engine.start(name)
        container = await restarting(engine, name)
        assert (await run_hook(engine, container, "true", 20)).outcome is HookOutcome.SKIPPED
    finally:
        with suppress(NotFoundError):
            await engine.remove(name, force=True, volumes=True)


async def restarting(engine: DockerEngine, name: str) -> Container:
    for _ in range(500):
        container = await engine.container(name)
        if container.status == "restarting":
            return container
    raise AssertionError("it never restarted")


async def test_a_hook_whose_container_went_away_fails_without_an_error(engine: DockerEngine, box: str) -> None:
    container = await engine.container(box)
    await engine.remove(box, force=True)
    result = await run_hook(engine, container, "true", 20)
    assert result.outcome is HookOutcome.FAILED
