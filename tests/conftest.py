"""Fixtures for tests on a real engine, with a real registry. `scripts/ground.py run -- pytest` provides both."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
from tests.support import leaks, registries
from tests.support.absent import PRIVATE, cannot
from tests.support.compose import Compose
from tests.support.daemon import Daemon
from tests.support.images import Pushed, build
from tests.support.registry import Registry

from groundwork import engine

Push = Callable[..., Pushed]

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that uses the engine, however it comes to use it."""
    for item in items:
        if "engine_url" in getattr(item, "fixturenames", ()):
            item.add_marker("engine")


@pytest.fixture(autouse=True)
def _no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves containers, networks or volumes on the engine, and remove them."""
    if not request.node.get_closest_marker("engine"):
        yield
        return
    request.getfixturevalue("engine_url")
    before = leaks.present()
    yield
    if found := leaks.take_away(before):
        pytest.fail("left on the engine: " + "; ".join(found), pytrace=False)


@pytest.fixture(scope="session")
def engine_url() -> str:
    """DOCKER_HOST of an engine that answers."""
    host = os.environ.get("DOCKER_HOST", "")
    if "GROUND_REGISTRY" not in os.environ or not engine.answers(host):
        cannot("no engine and registry here: run `make test`, or `python3 scripts/ground.py run -- pytest`")
    return host


@pytest.fixture(scope="session")
def engine_version(engine_url: str) -> str:
    """The engine's version as the test matrix writes it: 20.10 or 26.1, unless it is a person's own."""
    return engine.version(engine_url)


@pytest.fixture(scope="session")
def registry(engine_url: str) -> Registry:
    """The session's registry: plain HTTP, no password."""
    assert engine_url
    return Registry(os.environ["GROUND_REGISTRY"])


@pytest.fixture(scope="session")
def password_registry(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that wants the user and the password that it carries."""
    assert engine_url
    with registries.with_password(tmp_path_factory.mktemp("password-registry")) as one:
        yield one


@pytest.fixture(scope="session")
def tls_registry(engine_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A registry that speaks TLS with a certificate from a CA of its own."""
    assert engine_url
    with registries.with_tls(tmp_path_factory.mktemp("tls-registry")) as one:
        yield one


@pytest.fixture
def repository() -> str:
    """A repository name that no other test uses."""
    return f"test-{secrets.token_hex(4)}/app"


@pytest.fixture
def push(registry: Registry, repository: str) -> Push:
    """`push(version="2", tag="latest", **options of images.build)`: a release on this test's own channel."""

    def push_release(version: str = "1", tag: str = "latest", **options: object) -> Pushed:
        return build(registry, f"{repository}:{tag}", version=version, **options)  # type: ignore[arg-type]

    return push_release


@pytest.fixture
def app_image(push: Push) -> Pushed:
    """Version 1 of the application on this test's own channel."""
    return push()


@pytest.fixture
def compose(engine_url: str, tmp_path: Path) -> Iterator[Compose]:
    """A Compose project of this test's own, gone when it ends."""
    assert engine_url
    project = Compose(tmp_path, f"tidegate-test-{secrets.token_hex(4)}")
    yield project
    project.clean()


@pytest.fixture
def daemon(engine_url: str) -> Iterator[Daemon]:
    """The engine's process, to be killed or stopped; only where the engine is the ground's own."""
    assert engine_url
    if "GROUND_PRIVATE" not in os.environ:
        cannot(f"this engine is not ours to kill: {PRIVATE}")
    one = Daemon()
    yield one
    one.ensure()
