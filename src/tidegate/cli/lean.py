"""Keeps out of the idle agent what it has no use for."""

import sys
from typing import Any, cast


def load_structlog_without_rich() -> None:
    """Structlog loads rich wherever it finds it, for tracebacks that the agent never shows: 5 MB of memory."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    modules = cast("dict[str, Any]", sys.modules)
    modules["rich"] = None  # so an import of it fails as if it were not installed
    try:
        import structlog  # noqa: F401, PLC0415 - loaded here so that it is loaded without rich
    finally:
        del modules["rich"]
