"""How the program's log looks: to the error output, in the format and from the level that the settings say."""

import logging
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

_LEVELS: Mapping[str, int] = {
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}


class LogSettings(Protocol):
    """What the log goes by."""

    @property
    def log_level(self) -> str:
        """The least important lines to show."""

    @property
    def log_format(self) -> str:
        """How lines look."""

    @property
    def no_color(self) -> bool:
        """Whether they have no colours."""


class ErrorOutput:
    """Writes a line to whatever the error output is at that moment."""

    def msg(self, message: str) -> None:
        """Write one line."""
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def configure_logs(settings: LogSettings, *, quiet: bool = False) -> None:
    """Set up structlog. `quiet` is for commands whose output is the answer: only warnings, unless debugging."""
    level = _LEVELS[settings.log_level]
    if quiet and level > logging.DEBUG:
        level = max(level, logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *_renderers(_format(settings), colors=not settings.no_color),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: ErrorOutput(),
        cache_logger_on_first_use=False,
    )


def _format(settings: LogSettings) -> str:
    """As Watchtower's auto: for people on a terminal, else logfmt."""
    if settings.log_format != "auto":
        return settings.log_format
    return "pretty" if sys.stderr.isatty() else "logfmt"


def _renderers(form: str, *, colors: bool) -> list[Any]:
    if form == "pretty":
        from structlog.dev import ConsoleRenderer, plain_traceback  # noqa: PLC0415 - for people only

        colors = colors and sys.stderr.isatty()
        return [ConsoleRenderer(colors=colors, exception_formatter=plain_traceback, timestamp_key="time")]
    last = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.processors.LogfmtRenderer(key_order=["time", "level", "msg"], bool_as_flag=False)
    )
    return [structlog.processors.format_exc_info, structlog.processors.EventRenamer("msg"), last]
