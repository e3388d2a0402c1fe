"""`tidegate agent run`: the image's entry point. Loads nothing that the idle agent does not need."""

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

import structlog

from tidegate import __version__
from tidegate.agent.command_port import agent_commands
from tidegate.agent.logs import configure_logs
from tidegate.agent.pull_reporter import PullReporter
from tidegate.agent.settings import Settings, SettingsError, load_settings
from tidegate.cli.failures import FAILED, OK, USAGE, complain, ended
from tidegate.cli.health import agent_runs

_log = structlog.get_logger(__name__)


def run_agent(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Do what flags and environment say; the exit code."""
    if _asks_for_help(argv):
        return _help()
    try:
        settings = load_settings(argv, environ)
    except SettingsError as error:
        complain(str(error))
        return USAGE
    if settings.show_help:
        return _help()
    if settings.show_version:
        print(f"tidegate {__version__}")
        return OK
    if settings.health_check:
        return _health_check(settings)
    prepare(settings)
    for warning in settings.warnings:
        _log.warning(warning)
    with pulls_shown(settings) if settings.run_once else nullcontext() as pulls:
        return ended(lambda: agent_commands().run(settings, pulls=pulls))


def prepare(settings: Settings, *, quiet: bool = False) -> None:
    """What holds for the whole process: the log, and TLS to the engine, which its client reads from the environment."""
    configure_logs(settings, quiet=quiet)
    os.environ["DOCKER_TLS_VERIFY"] = "1" if settings.docker_tls_verify else ""


def _help() -> int:
    from tidegate.agent.settings_help import help_text  # noqa: PLC0415 - only for people

    with suppress(BrokenPipeError):  # a pager or `head` that has seen enough
        print(help_text(), flush=True)
    return OK


def _asks_for_help(argv: Sequence[str]) -> bool:
    """Help is given even where the other settings are wrong."""
    flags = list(argv[: argv.index("--")]) if "--" in argv else list(argv)
    return "--help" in flags or "-h" in flags


def _health_check(settings: Settings) -> int:
    if os.getpid() == 1:
        complain("--health-check belongs in a health check, not in the command of the agent's own container.")
        return USAGE
    if agent_runs(settings.state):
        return OK
    complain(f"No agent runs with the state in {settings.state}.")
    return FAILED


def pulls_shown(settings: Settings) -> AbstractContextManager[PullReporter | None]:
    """Progress bars for a person who waits at a terminal; else None, and the log has lines for each pull."""
    if sys.stderr.isatty():
        from tidegate.cli.progress import PullBars  # noqa: PLC0415 - only for people

        return PullBars(no_color=settings.no_color)
    return nullcontext()
