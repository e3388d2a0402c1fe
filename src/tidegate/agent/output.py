"""What a container wrote last, kept when it has failed: it is removed before anybody can ask it."""

import asyncio
import re

import structlog

from tidegate.domain.masking import MOST_OUTPUT, masked
from tidegate.engine.errors import EngineError
from tidegate.engine.model import Container
from tidegate.engine.port import Engine

_WITHIN_S = 2.0
"""What ran before may be down meanwhile."""
_ENGINES_MOST = 200_000
"""The engine's side begins in the midst of a line where there is more than about this."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]{0,40}[ -/]{0,10}[@-~]|\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)|[ -/]{0,4}[0-~])")
_UNSHOWN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_log = structlog.get_logger(__name__)


class Output:
    """Reads what containers wrote last. `lines` 0: nothing is kept."""

    def __init__(self, engine: Engine, lines: int) -> None:
        self._engine = engine
        self._lines = lines

    async def last(self, container: str | None) -> str:
        """The last lines of its output, without secrets; empty where they cannot be had. It never fails an update."""
        if container is None or self._lines == 0:
            return ""
        try:
            async with asyncio.timeout(_WITHIN_S):
                it = await self._engine.container(container)
                text = await self._engine.logs(it.id, tail=self._lines)
        except (EngineError, TimeoutError) as error:
            _log.info("what a failed container wrote could not be read", container=container[:64], reason=str(error))
            return ""
        return shown(text, variables_of(it))


def shown(text: str, variables: dict[str, str]) -> str:
    """At most `MOST_OUTPUT` characters of whole lines, the last, as text that a page and a terminal can show.

    What is cut off goes after the masking: half a secret is not found.
    """
    if len(text) > _ENGINES_MOST:
        text = text.partition("\n")[2]
    text = _ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _UNSHOWN.sub("\ufffd", masked(text, variables)).strip("\n")
    if len(text) <= MOST_OUTPUT:
        return text
    rest = text[-MOST_OUTPUT + 1 :]
    return "…" + (rest.partition("\n")[2] or rest)


def said_by_check(container: Container) -> str:
    """What its health check printed last, without secrets: it is the reason that people are told."""
    return masked(container.health_output, variables_of(container))


def variables_of(container: Container) -> dict[str, str]:
    """The variables that a container was made with, those of its image among them."""
    entries = (container.document.get("Config") or {}).get("Env") or ()
    return {name: value for name, _, value in (str(entry).partition("=") for entry in entries)}
