"""`--help` of the agent."""

from textwrap import wrap

from tidegate.agent.settings_table import GROUPS, Setting

_USAGE = """\
Usage: tidegate agent run [FLAGS] [NAME...]

Looks after the containers of this engine. NAME is a container's name or a
regular expression that matches all of it; without one, all containers are
looked after. Every flag has a variable; the flag wins.
"""
_WIDTH = 80
_INDENT = " " * 8


def help_text() -> str:
    """All flags and variables that are honoured, by group."""
    lines = [_USAGE]
    for title, group in GROUPS:
        shown = [setting for setting in group if not setting.refused]
        if shown:
            lines.append(f"{title}:")
        for setting in shown:
            lines += _help_lines(setting)
    return "\n".join(lines)


def _help_lines(setting: Setting) -> list[str]:
    flags = ", ".join(f for f in (setting.short and f"-{setting.short}", setting.flag and f"--{setting.flag}") if f)
    value = "" if setting.is_bool else f" ({setting.kind.takes})"
    default = f" Default: {setting.default}." if setting.default and not setting.is_bool else ""
    head = "  " + "  ".join(part for part in (flags, " ".join(setting.envs)) if part)
    heads = [head] if len(head) <= _WIDTH else [f"  {flags}", *(f"    {env}" for env in setting.envs)]
    return [
        *heads,
        *wrap(f"{setting.meaning}{value}{default}", _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT),
    ]
