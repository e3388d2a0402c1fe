"""The commands for people: everything but `agent run`, which `__main__` starts without these libraries."""

import os
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Annotated, Any, NoReturn

import typer

from tidegate import __version__
from tidegate.agent.command_port import AgentCommands, agent_commands
from tidegate.agent.settings import Settings, SettingsError
from tidegate.cli import tables
from tidegate.cli.beside import agents_flags, settings_beside
from tidegate.cli.failures import FAILED, OK, USAGE, complain, ended
from tidegate.cli.fleet.commands import add_fleet_commands
from tidegate.cli.manager.app import manager
from tidegate.cli.plain import PlainGroup
from tidegate.cli.release.app import release
from tidegate.cli.run import prepare, pulls_shown, run_agent

# Flags of `agent run` (--host, --scope, ...) hold for every command; they are read by `load_settings`, as there.
_PASS_ON = {"ignore_unknown_options": True, "allow_interspersed_args": True}

app = typer.Typer(
    name="tidegate",
    cls=PlainGroup,
    help="Keeps Docker Compose clusters up to date, and puts them back when an update is bad.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
agent = typer.Typer(no_args_is_help=True, help="The agent beside a cluster.")
quarantine = typer.Typer(no_args_is_help=True, help="Releases that failed and are not tried again.")
app.add_typer(agent, name="agent")
app.add_typer(manager, name="manager")
app.add_typer(release, name="release")
agent.add_typer(quarantine, name="quarantine")
add_fleet_commands(app)

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="FLAGS|NAME", help="Names, and any flag of `agent run` (see its --help)."),
]
Target = Annotated[
    list[str],
    typer.Argument(metavar="CLUSTER/SERVICE", help="The target, and any flag of `agent run`."),
]
What = Annotated[
    list[str],
    typer.Argument(metavar="WHAT", help="CLUSTER/SERVICE, a repository, a digest or its beginning, or `all`."),
]
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print JSON.")]


def _show_version(asked: bool) -> None:
    if asked:
        print(f"tidegate {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", metavar="", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@agent.command(context_settings={**_PASS_ON, "help_option_names": []})
def run(arguments: Names = None) -> None:
    """Look after the containers of this engine. Takes Watchtower's flags; see its --help."""
    raise typer.Exit(run_agent(arguments or [], os.environ))


@agent.command(context_settings=_PASS_ON)
def plan(arguments: Names = None, *, as_json: AsJson = False) -> None:
    """Say for every container what would happen to it and why; touch nothing."""

    async def work(commands: AgentCommands, settings: Settings) -> int:
        rows = await commands.plan(settings)
        tables.print_json(rows) if as_json else tables.print_plan(rows, no_color=settings.no_color)
        return OK

    _finish(_settings(arguments, agents_names=True), work)


@agent.command(context_settings=_PASS_ON)
def status(arguments: Names = None, *, as_json: AsJson = False) -> None:
    """Show the selected containers, their last update and what is going on."""

    async def work(commands: AgentCommands, settings: Settings) -> int:
        rows = await commands.status(settings)
        tables.print_json(rows) if as_json else tables.print_status(rows, no_color=settings.no_color)
        return OK

    _finish(_settings(arguments, agents_names=True), work)


@agent.command(context_settings=_PASS_ON)
def history(
    arguments: Names = None,
    *,
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the last to show.")] = 20,
    output: Annotated[bool, typer.Option("--output", help="Show also what containers that failed wrote last.")] = False,
) -> None:
    """Show what was updated and put back; NAME is CLUSTER/SERVICE."""

    async def work(commands: AgentCommands, settings: Settings) -> int:
        rows = await commands.history(settings, limit=limit)
        tables.print_json(rows) if as_json else tables.print_history(rows, no_color=settings.no_color)
        if output and not as_json:
            tables.print_output(rows)
        return OK

    _finish(_settings(arguments), work)


@agent.command(context_settings=_PASS_ON)
def rollback(
    arguments: Target,
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DIGEST", help="Its digest, or the beginning of one that ran here before."),
    ] = None,
) -> None:
    """Put back the release that ran before, or the one with a given digest; what runs now is held."""
    settings = _settings(arguments)
    cluster, slash, service = _only_name(settings, "CLUSTER/SERVICE").partition("/")
    if not (cluster and slash and service):
        _refuse(f"{settings.names[0]!r} is not CLUSTER/SERVICE, such as autonomy/orchestrator.")
    settings = replace(settings, names=())  # the target is no name of a container that narrows the look

    async def work(commands: AgentCommands, settings: Settings) -> int:
        with pulls_shown(settings) as pulls:
            outcome = await commands.rollback(settings, cluster, service, to=to, pulls=pulls)
        if not outcome.ok:
            complain(outcome.message)
            return FAILED
        print(outcome.message)
        return OK

    _finish(settings, work)


@quarantine.command("list", context_settings=_PASS_ON)
def quarantine_list(arguments: Names = None, *, as_json: AsJson = False) -> None:
    """Show the releases that failed."""

    async def work(commands: AgentCommands, settings: Settings) -> int:
        rows = await commands.quarantine_list(settings)
        tables.print_json(rows) if as_json else tables.print_quarantine(rows, no_color=settings.no_color)
        return OK

    _finish(_settings(arguments), work)


@quarantine.command("release", context_settings=_PASS_ON)
def quarantine_release(arguments: What) -> None:
    """Let a release be tried again."""
    settings = _settings(arguments)
    what = _only_name(settings, "what to release")

    async def work(commands: AgentCommands, settings: Settings) -> int:
        gone = await commands.quarantine_release(settings, what)
        for entry in gone:
            print(f"released {entry.digest} of {entry.repository} for {entry.target}")
        if not gone:
            complain(f"Nothing in quarantine is named {what!r}; `tidegate agent quarantine list` shows what is.")
        return OK if gone else FAILED

    _finish(settings, work)


def _settings(arguments: list[str] | None, *, agents_names: bool = False) -> Settings:
    try:
        return settings_beside(arguments or [], os.environ, agents_flags(), agents_names=agents_names)
    except SettingsError as error:
        _refuse(str(error))


def _only_name(settings: Settings, what: str) -> str:
    if len(settings.names) != 1:
        _refuse(f"Give one argument, {what}; there are {len(settings.names)}.")
    return settings.names[0]


def _finish(settings: Settings, work: Callable[[AgentCommands, Settings], Coroutine[Any, Any, int]]) -> NoReturn:
    prepare(settings, quiet=True)
    for warning in settings.warnings:
        complain(warning)
    raise typer.Exit(ended(lambda: work(agent_commands(), settings)))


def _refuse(text: str) -> NoReturn:
    complain(text)
    raise typer.Exit(USAGE)
