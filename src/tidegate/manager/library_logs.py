"""What libraries log, in our log."""

import logging
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


def log_libraries() -> None:
    """From now on what they warn of is a line like ours."""
    root = logging.getLogger()
    root.handlers = [_ToOurLog(logging.WARNING)]
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


class _ToOurLog(logging.Handler):
    """Hands on what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        about: dict[str, Any] = {"of": record.name}
        if record.exc_info:
            about["exc_info"] = record.exc_info
        _log.log(record.levelno, record.getMessage(), **about)
