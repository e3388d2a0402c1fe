"""Keeping the background work going."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog

from tidegate.manager.parts import Service
from tidegate.manager.store.errors import StoreUnavailableError

_RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
_WELL_S = 60.0
"""Who has run for so long begins again with the first delay."""
_log = structlog.get_logger(__name__)


@asynccontextmanager
async def at_work(services: Iterable[Service]) -> AsyncIterator[None]:
    """Run services until the block ends."""
    tasks = [asyncio.create_task(keep_going(one), name=name_of(one)) for one in services]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def keep_going(service: Service, delays_s: tuple[float, ...] = _RETRY_S) -> None:
    """Run a service, again and again as it fails, until it ends by itself or is cancelled."""
    loop, name, failures = asyncio.get_running_loop(), name_of(service), 0
    while True:
        began = loop.time()
        try:
            await service.run()
        except StoreUnavailableError as error:
            raise_if_cancelled()
            _log.warning("background work waits for the database", service=name, reason=str(error))
        except Exception:  # noqa: BLE001 - whatever it is, the others go on, and so does this one
            raise_if_cancelled()
            _log.exception("background work failed and is begun again", service=name)
        else:
            return
        failures = 0 if loop.time() - began > _WELL_S else failures
        await asyncio.sleep(delays_s[min(failures, len(delays_s) - 1)])
        failures += 1


def raise_if_cancelled() -> None:
    """Raise `CancelledError` where this task was told to end, and what it did then has raised something else."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def name_of(service: Service) -> str:
    """What logs call it."""
    return str(getattr(service, "name", type(service).__name__))
