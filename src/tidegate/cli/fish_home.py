"""Completion in fish, which reads its files below XDG_CONFIG_HOME where that is set."""

import os
from collections.abc import Mapping
from pathlib import Path

from typer import _completion_shared as typers


def install_where_fish_looks() -> None:
    """Have the script for fish written where fish reads it; typer's own is always below ~/.config."""
    typers.install_fish = _install


def completions_folder(environ: Mapping[str, str]) -> Path:
    """Where fish looks for completions of its user's."""
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".config")
    return Path(home) / "fish" / "completions"


def _install(*, prog_name: str, complete_var: str, shell: str) -> Path:
    path = completions_folder(os.environ) / f"{prog_name}.fish"
    path.parent.mkdir(parents=True, exist_ok=True)
    script = typers.get_completion_script(prog_name=prog_name, complete_var=complete_var, shell=shell)
    path.write_text(f"{script}\n", encoding="utf-8")
    return path
