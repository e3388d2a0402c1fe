"""What is closed is not the engine's to clear away while nobody answers; what is open is left alone."""

import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing

import pytest
from tests.support.absent import need_root
from tests.support.docker import docker
from tests.support.engines import unique
from tests.support.images import build
from tests.support.registry import Registry
from tests.support.waiting import status, wait_for

from tidegate.agent import announce_conntrack
from tidegate.agent.announce_conntrack import connections
from tidegate.agent.announce_container import Announcements
from tidegate.engine.docker import DockerEngine
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

_REQUEST = b"GET / HTTP/1.0\r\n\r\n"


@pytest.fixture
async def engine(engine_url: str) -> AsyncIterator[Engine]:
    need_root("the kernel's tables are changed")
    opened = await DockerEngine.open(engine_url)
    yield opened
    await opened.close()


@pytest.fixture
async def served(engine: Engine, registry: Registry) -> AsyncIterator[Container]:
    """A container with a published port, which answers."""
    reference = build(registry, f"{unique('closed')}:one").reference
    made = docker("run", "-d", "-p", "127.0.0.1::8000", reference)
    container = await engine.container(made)
    wait_for(lambda: status(f"127.0.0.1:{_port(container)}") == 200, "it answers")
    yield container
    await engine.remove(made, force=True)
    docker("rmi", "-f", reference)


def _port(container: Container) -> int:
    (port,) = container.host_ports
    return port


def _ip(container: Container) -> str:
    return container.endpoints["bridge"].ip_address


def _ask(address: tuple[str, int], source: tuple[str, int] | None = None) -> None:
    with closing(socket.create_connection(address, timeout=5, source_address=source)) as connection:
        connection.sendall(_REQUEST)
        while connection.recv(4096):
            pass


def _known(container: Container, *, closed: bool) -> set[bytes]:
    """The kernel's entries of connections to it."""
    return {one.key for one in connections([_ip(container)], [_port(container)]) if one.closed is closed}


def _closed_at(port: int) -> set[bytes]:
    """The kernel's entries of closed connections that loopback made to a port."""
    return {one.key for one in connections([], [port]) if one.closed}


async def test_closed_connections_are_forgotten_before_the_cut_and_an_open_one_is_kept(
    engine: Engine, served: Container
) -> None:
    with closing(socket.create_connection((_ip(served), 8000), timeout=5)) as kept:
        for _ in range(150):  # more than are told to the kernel at once
            _ask(("127.0.0.1", _port(served)))
        # to the engine's proxy, and from there to the container; the proxy closes its own a moment later
        wait_for(lambda: len(_known(served, closed=True)) >= 300, "they are closed")
        wait_for(lambda: len(_known(served, closed=False)) == 1, "only the one that is kept is open")
        held = _known(served, closed=False)
        async with Announcements(engine, None).during_cut(served):
            assert _known(served, closed=True) == set()
            assert _known(served, closed=False) == held
        kept.sendall(_REQUEST)
        assert kept.recv(4096).startswith(b"HTTP/1")


def test_a_closed_connection_to_somebody_else_is_kept(registry: Registry) -> None:
    need_root("the kernel's tables are changed")
    host, _, port = registry.address.rpartition(":")
    with closing(socket.create_server((host, 0))) as free:
        own: int = free.getsockname()[1]
    before = _closed_at(int(port))
    _ask((host, int(port)), (host, own))
    ours = wait_for(lambda: _closed_at(int(port)) - before, "it is closed")
    announce_conntrack.forget_closed([], [own])
    assert ours <= _closed_at(int(port))
    assert list(connections([], [own])) == []


async def test_the_helper_program_forgets_them_too(engine: Engine, served: Container) -> None:
    _ask(("127.0.0.1", _port(served)))
    wait_for(lambda: _known(served, closed=True) and not _known(served, closed=False), "they are closed")
    subnet = (await engine.network("bridge")).subnets[0]
    program = [sys.executable, "-m", "tidegate.agent.announce_watch", subnet, "5", _ip(served), str(_port(served))]
    done = subprocess.run(
        ["setpriv", "--bounding-set=-all,+net_raw,+net_admin", *program], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert _known(served, closed=True) == set()
