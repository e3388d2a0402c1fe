"""Where completion for fish is installed."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from typer import _completion_shared as typers

from tidegate.cli.fish_home import completions_folder, install_where_fish_looks


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"HOME": "/home/ann"}, "/home/ann/.config/fish/completions"),
        ({"HOME": "/home/ann", "XDG_CONFIG_HOME": "/cfg"}, "/cfg/fish/completions"),
        ({"HOME": "/home/ann", "XDG_CONFIG_HOME": ""}, "/home/ann/.config/fish/completions"),
    ],
)
def test_completions_are_where_fish_looks(environ: Mapping[str, str], folder: str) -> None:
    assert completions_folder(environ) == Path(folder)


def test_the_script_for_fish_is_written_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(typers, "install_fish", typers.install_fish)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    install_where_fish_looks()
    path = typers.install_fish(prog_name="tidegate", complete_var="_TIDEGATE_COMPLETE", shell="fish")
    assert path == tmp_path / "fish/completions/tidegate.fish"
    assert "_TIDEGATE_COMPLETE=complete_fish" in path.read_text()
