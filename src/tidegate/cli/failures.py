"""How a command ends: exit codes, and one clear line on the error output for what went wrong."""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from tidegate.agent.command_rows import CommandError, CommandRefusedError
from tidegate.agent.settings import SettingsError
from tidegate.agent.store.files import StateError
from tidegate.engine.errors import EngineError, EngineUnavailableError, EngineVersionError

OK = 0
FAILED = 1
USAGE = 2
REFUSED = 3
INTERRUPTED = 130

_REFUSALS = (CommandRefusedError, EngineUnavailableError, EngineVersionError)
_FAILURES = (CommandError, EngineError, StateError, OSError)


def complain(text: str) -> None:
    """One line, or several, on the error output."""
    for line in text.splitlines():
        print(f"tidegate: {line}", file=sys.stderr)


def ended(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Run a command to its end; the exit code. What it raises and is no fault of the program's is told in a line."""
    try:
        return asyncio.run(work())
    except SettingsError as error:
        complain(str(error))
        return USAGE
    except _REFUSALS as error:
        complain(_line(error))
        return REFUSED
    except _FAILURES as error:
        complain(_line(error))
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
