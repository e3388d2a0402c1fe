"""`tidegate` against a manager: one in memory, held to the real one."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import databases
from tests.support.fleet_fake import FakeManager
from tests.support.fleet_real import real_world
from tests.support.fleet_world import NGINX, ORCHESTRATOR, WEB, FakeWorld, World

from tidegate.__main__ import main


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def manager() -> Iterator[FakeManager]:
    """A manager in memory, empty."""
    with FakeManager() as one:
        yield one


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What looks into the manager in memory, or has it misbehave, is for that one alone."""
    if "world" in metafunc.fixturenames:
        kinds = ["memory"] if "manager" in metafunc.fixturenames else ["memory", "real"]
        metafunc.parametrize("world", kinds, indirect=True)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database, to be copied."""
    return databases.sqlite_template(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Two hosts: web on both, the orchestrator and nginx on one each."""
    if request.param == "memory":
        yield _with_hosts(FakeWorld(request.getfixturevalue("manager")))
        return
    with real_world(request.getfixturevalue("migrated_file"), tmp_path) as real:
        yield _with_hosts(real)


def _with_hosts(one: World) -> World:
    one.host("berlin1", {"autonomy/orchestrator": (ORCHESTRATOR, "1"), "shop/web": (WEB, "1")}, {"ring": "early"})
    one.host("paris1", {"shop/web": (WEB, "1"), "shop/proxy": (NGINX, "1")})
    one.release(WEB, "2")
    one.release(ORCHESTRATOR, "2")
    return one


@pytest.fixture
def as_user(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """`as_user(role, name)`: whose token the environment has from now on."""

    def change(role: str, name: str = "ann") -> None:
        monkeypatch.setenv("TIDEGATE_TOKEN", world.token(role, name))

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("TIDEGATE_MANAGER_URL", world.url)
    for variable in ("TIDEGATE_TOKEN_FILE", "TIDEGATE_MANAGER_CA", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    change("admin")
    return change


@pytest.fixture
def run(as_user: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `tidegate` with these arguments, as an admin unless `as_user` says otherwise."""
    assert as_user

    def command(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["tidegate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    return command
