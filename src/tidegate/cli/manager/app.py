"""The commands. The manager's libraries are loaded by those that need them."""

import os
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, NoReturn

import typer

from tidegate.cli.failures import FAILED, complain
from tidegate.cli.manager.help import ServeCommand

EXTRA = ("aiosqlite", "alembic", "fastapi", "httptools", "psycopg", "pydantic", "sqlalchemy", "uvicorn", "uvloop")
_ROLES = "viewer, operator, approver or admin"

manager = typer.Typer(no_args_is_help=True, help="The manager of a fleet: its process, its database, its key.")


@manager.command(cls=ServeCommand)
def serve() -> None:
    """Run the manager until it is told to end. It is set up by the variables below."""
    _run(lambda work, settings: work.serve(settings))


@manager.command()
def migrate() -> None:
    """Bring the database to what this version needs; `serve` does so, too."""
    _run(lambda work, settings: work.migrate(settings))


@manager.command("create-token")
def create_token(
    name: Annotated[str, typer.Argument(help="The user whose token it is, such as anna or ci.")],
    *,
    role: Annotated[str, typer.Option("--role", help=f"What it allows: {_ROLES}.")],
) -> None:
    """Make a token in the database at hand and print it, once; that is how the first administrator comes to be."""
    _run(lambda work, settings: work.create_token(settings, name, role))


@manager.command()
def hold() -> None:
    """Let no update begin until somebody has looked: for before the manager starts on a database that was restored."""
    _run(lambda work, settings: work.hold(settings))


@manager.command("rotate-key")
def rotate_key() -> None:
    """Sign what agents are told with a new key from now on; they come to know it by the old one's word."""
    _run(lambda work, settings: work.rotate_key(settings))


@manager.command("adopt-key")
def adopt_key() -> None:
    """Have the key in the file sign from now on, though the database knows a newer one, which was lost or stolen.

    Where there is no file, a key is made. Agents that know no key of the file have to be enrolled anew.
    """
    _run(lambda work, settings: work.adopt_key(settings))


def _run(what: Callable[[Any, Any], Coroutine[Any, Any, None]]) -> NoReturn:
    try:
        from tidegate.cli.manager import work  # noqa: PLC0415 - it loads the manager's libraries
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA:
            raise
        how = "pip install '.[manager]' in the folder of Tidegate's sources"
        complain(f"The manager is not installed here ({error.name} is missing): {how}.")
        raise typer.Exit(FAILED) from None
    raise typer.Exit(work.ended(what, os.environ))
