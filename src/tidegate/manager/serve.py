"""The manager as a process: its server and its background work, until it is told to end."""

import asyncio
import contextlib
import math
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterable, Iterator

import structlog
import uvicorn

from tidegate import __version__
from tidegate.manager.agents.newest_key import claim
from tidegate.manager.api.app import create_app
from tidegate.manager.api.forwarded import Forwarded
from tidegate.manager.garbage import collect_rarely
from tidegate.manager.library_logs import log_libraries
from tidegate.manager.parts import Parts, Service, make_parts
from tidegate.manager.services import in_server, services
from tidegate.manager.settings import ManagerSettings
from tidegate.manager.store.migrate import migrate
from tidegate.manager.store.sole import sole_manager
from tidegate.manager.supervision import at_work
from tidegate.manager.wire import Connection
from tidegate.manager.worker.process import Worker

_BACKLOG = 4096
_KEEP_ALIVE_S = 75
_SWITCH_S = 0.0005
"""How long a thread that computes (rows of the database by the thousand) may keep the one that answers waiting."""
_log = structlog.get_logger(__name__)


class ListenError(Exception):
    """The address cannot be listened at."""


async def serve(settings: ManagerSettings) -> None:
    """Run until a signal. Raises `StoreError`, `KeysError` and `ListenError` where it cannot begin."""
    log_libraries()
    _take_many_connections()
    sys.setswitchinterval(_SWITCH_S)
    collect_rarely()
    parts = make_parts(settings)
    _end_at_signals(parts.stopping)
    try:
        with sole_manager(parts.db):
            before, after = await migrate(parts.db)
            if before != after:
                _log.info("the database was brought up to date", before=before or None, after=after)
            async with parts.db.write() as conn:
                await claim(conn, settings.signing_key_file, parts.clock())
            with listening(*settings.listen) as sock:
                await run(parts, sock, work=[*in_server(parts), Worker(parts)])
    finally:
        await parts.db.close()


async def run(parts: Parts, sock: socket.socket, *, work: Iterable[Service] | None = None) -> None:
    """Serve at this socket until `parts.stopping` is set. The database has been migrated.

    `work`: this background work, and not all that there is, in this process.
    """
    server = _Server(_config(parts), parts.stopping)
    parts.db.follow()
    async with at_work(services(parts) if work is None else work), asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(server.end_when_told())
        await server.serve(sockets=[sock])
        watching.cancel()
    _log.info("the manager has ended")


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there. Raises `ListenError`."""
    family = socket.AF_INET6 if ":" in host or (not host and socket.has_dualstack_ipv6()) else socket.AF_INET
    both = family == socket.AF_INET6 and not host
    try:
        made = socket.create_server((host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=both)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise ListenError(f"cannot listen at {host}:{port}: {why}") from error
    with made as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an answer's body does not wait for an ACK
        yield sock


def _end_at_signals(stopping: asyncio.Event) -> None:
    """From now on a signal ends the process in order; a second one at once."""
    loop = asyncio.get_running_loop()
    for one in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(one, _told, one, stopping)


def _told(number: signal.Signals, stopping: asyncio.Event) -> None:
    if stopping.is_set():
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)
    stopping.set()


class _Server(uvicorn.Server):
    """Uvicorn's, which ends as soon as it is told to."""

    def __init__(self, config: uvicorn.Config, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to us: uvicorn's own would kill the process before the background work has ended."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets)
        host, port = (sockets or [])[0].getsockname()[:2]
        _log.info("the manager listens", version=__version__, host=host, port=port, tls=self.config.is_ssl)

    async def end_when_told(self) -> None:
        """Stop listening once the process is to end."""
        await self._stopping.wait()
        self.should_exit = True


def _config(parts: Parts) -> uvicorn.Config:
    settings = parts.settings
    trusted = [str(network) for network in settings.trusted_proxies]
    app = create_app(parts)
    return uvicorn.Config(
        Forwarded(app, trusted) if trusted else app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, math.ceil(settings.shutdown_s)),
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )


def _take_many_connections() -> None:
    """Each agent holds one, so as many as the system lets us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
