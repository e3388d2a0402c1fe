"""`tidegate manager serve --help`: the command, and every setting."""

from textwrap import wrap
from typing import Any

from typer.core import TyperCommand

_WIDTH = 80
_INDENT = " " * 8


def settings_text() -> str:
    """Every setting, by group."""
    from tidegate.manager.settings_table import GROUPS  # noqa: PLC0415 - only for people who ask

    lines: list[str] = []
    for title, group in GROUPS:
        lines.append(f"{title}:")
        for one in group:
            default = f" Default: {one.default}." if one.default else ""
            about = f"{one.meaning} ({one.kind.takes}){default}"
            lines += [f"  {one.env}", *wrap(about, _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)]
        lines.append("")
    return "\n".join(lines)


class ServeCommand(TyperCommand):
    """A command whose help tells the settings."""

    def format_help(self, ctx: Any, formatter: Any) -> Any:
        """Write the help."""
        super().format_help(ctx, formatter)
        formatter.write(settings_text())
