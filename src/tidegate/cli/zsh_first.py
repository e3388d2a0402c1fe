"""Completion in zsh, which reads the file that was installed for a command only when TAB is first pressed after it."""

from typing import Final

from typer import _completion_shared as typers

_READY: Final = "compdef %(complete_func)s %(prog_name)s"
_AND_DONE: Final = """\
if [[ $funcstack[1] == _%(prog_name)s ]]; then
  %(complete_func)s "$@"
fi"""


def complete_at_first() -> None:
    """Have the script for zsh complete when it is read for that; typer's own is only ready for the next TAB."""
    scripts = typers._completion_scripts  # noqa: SLF001 - there is no other way to give it a script
    scripts["zsh"] = scripts["zsh"].replace(_READY, f"{_READY}\n{_AND_DONE}")
