"""Hooks: commands that run inside a container at certain points of an update."""

from dataclasses import dataclass
from enum import StrEnum

from tidegate.agent.output import variables_of
from tidegate.domain.durations import format_duration
from tidegate.domain.masking import masked
from tidegate.engine.errors import EngineError
from tidegate.engine.model import Container, ExecResult
from tidegate.engine.port import Engine

BUSY_EXIT = 75
"""EX_TEMPFAIL of sysexits.h: not now, ask again later."""

_CANNOT_RUN = {126, 127}
_NO_SHELL = 'exec: "sh"'


class HookOutcome(StrEnum):
    """How a hook ended."""

    DONE = "done"
    BUSY = "busy"
    FAILED = "failed"
    SKIPPED = "skipped"
    """The container does not run, so there is nothing to ask."""
    GIVEN_UP = "given up"
    """It was busy for longer than it is waited for, and this release is skipped."""


@dataclass(frozen=True, slots=True)
class HookResult:
    """`output` is what the hook printed; for one that failed or was skipped, a sentence that says why."""

    outcome: HookOutcome
    output: str


async def run_hook(engine: Engine, container: Container, command: str, timeout_s: float | None) -> HookResult:
    """Run `sh -c COMMAND` inside a container; None waits without limit. Never raises `EngineError`.

    A command that took too long goes on inside the container: an engine cannot end it.
    """
    if not container.running or container.status == "restarting":
        return HookResult(HookOutcome.SKIPPED, f"{container.name} is {container.status}; hooks need it running")
    try:
        result = await engine.execute(container.id, ["sh", "-c", command], timeout_s=timeout_s)
    except TimeoutError:
        limit = format_duration(timeout_s or 0)
        return HookResult(
            HookOutcome.FAILED,
            f"{command!r} took longer than {limit} in {container.name}; make it quicker, or raise its timeout label",
        )
    except EngineError as error:
        return HookResult(HookOutcome.FAILED, f"{command!r} could not be run in {container.name}: {error}")
    return _result(container, command, result)


def _result(container: Container, command: str, result: ExecResult) -> HookResult:
    output = masked(result.output.strip(), variables_of(container))
    if result.exit_code == 0:
        return HookResult(HookOutcome.DONE, output)
    if result.exit_code == BUSY_EXIT:
        return HookResult(HookOutcome.BUSY, output)
    if result.exit_code in _CANNOT_RUN and _NO_SHELL in output:
        return HookResult(
            HookOutcome.FAILED,
            f"{container.name} has no sh to run {command!r} with; remove the hook's label, or add a shell to the image",
        )
    said = f": {output}" if output else ""
    return HookResult(
        HookOutcome.FAILED, f"{command!r} ended with exit code {result.exit_code} in {container.name}{said}"
    )
