"""What make takes for a Watchtower that is there is one that was built."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from groundwork import watchtower


@pytest.fixture
def stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What make looks at, where nothing was built and there is no Go."""
    monkeypatch.setattr(watchtower, "HOME", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path / "ready"


def test_without_go_it_is_tried_again_the_next_time(stamp: Path, capsys: pytest.CaptureFixture[str]) -> None:
    watchtower.main([str(stamp)])
    assert ("there is no Go here" in capsys.readouterr().err, stamp.exists()) == (True, False)


def test_what_was_built_is_not_built_again(stamp: Path) -> None:
    made = stamp.parent / "watchtower" / watchtower.version() / "watchtower"
    made.parent.mkdir(parents=True)
    made.touch()
    watchtower.main([str(stamp)])
    assert stamp.exists()
