"""From a command line to a connected manager, and from what went wrong to an exit code."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import typer

from tidegate.cli.fleet.client import Manager, Value
from tidegate.cli.fleet.errors import INTERRUPTED, OK, FleetError
from tidegate.cli.fleet.login import Login, find_login, open_to_others
from tidegate.cli.fleet.show import complain, print_json

Work = Callable[[Manager], Awaitable[int | None]]


def finish(work: Work, timeout_s: float) -> NoReturn:
    """Run a command with the manager that the environment or the login names, and end with its exit code."""
    raise typer.Exit(ended(lambda: _connected(work, timeout_s)))


def show_all(
    *path: str, show: Callable[[list[dict[str, Any]]], None], as_json: bool, timeout_s: float, **query: Value
) -> NoReturn:
    """Run a command that shows a list of the manager's, as it is or as `show` prints it."""

    async def work(manager: Manager) -> None:
        items = await manager.every(*path, **query)
        print_json(items) if as_json else show(items)

    finish(work, timeout_s)


def ended(work: Callable[[], Awaitable[int | None]]) -> int:
    """Run something to its end; its exit code, or that of what it raises, which is told."""
    try:
        return asyncio.run(_awaited(work)) or OK
    except FleetError as error:
        complain(str(error))
        return error.code
    except KeyboardInterrupt:
        return INTERRUPTED


async def with_manager(login: Login, work: Work, timeout_s: float) -> int | None:
    """Do something with one manager."""
    async with Manager(login, timeout_s=timeout_s) as manager:
        return await work(manager)


async def _connected(work: Work, timeout_s: float) -> int | None:
    warning = open_to_others(os.environ)
    if warning:
        complain(warning)
    return await with_manager(find_login(os.environ), work, timeout_s)


async def _awaited(work: Callable[[], Awaitable[int | None]]) -> int | None:
    return await work()
