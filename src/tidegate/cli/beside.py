"""The flags of the agent in whose container a command is run, so that `plan` says what that agent would do."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tidegate.agent.settings import Settings, load_settings

_FIRST_PROCESS = Path("/proc/1/cmdline")
_RUN = ["agent", "run"]


def agents_flags(cmdline: Path = _FIRST_PROCESS) -> list[str]:
    """What stands behind `agent run` in the container's first process; nothing where that is no agent."""
    try:
        words = cmdline.read_text(errors="replace").removesuffix("\0").split("\0")
    except OSError:
        return []
    starts = [at + 2 for at in range(len(words)) if words[at : at + 2] == _RUN]
    if not starts or not any("tidegate" in word for word in words[: starts[0]]):
        return []
    return words[starts[0] :]


def settings_beside(
    arguments: Sequence[str], environ: Mapping[str, str], agents: Sequence[str], *, agents_names: bool
) -> Settings:
    """The settings of a command: its own flags beat the agent's. Raises `SettingsError`.

    `agents_names`: without names of its own, the command is about the containers that the agent was given.
    """
    both = load_settings(arguments, environ, beneath=agents)
    if both.names or not (agents and agents_names):
        return both
    return replace(both, names=load_settings(agents, environ).names)
