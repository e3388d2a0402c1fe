"""The bench of updates without a lost request says what it lacks before it measures, and not after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench import downtime, machine

from groundwork import watchtower as built


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The set-ups that are measured on a machine where Watchtower was not built."""
    names: list[str] = []

    def setup(name: str) -> Callable[[downtime.Size], dict[str, Any]]:
        def measure(_: downtime.Size) -> dict[str, Any]:
            names.append(name)
            return {}

        return measure

    monkeypatch.setattr(built, "HOME", tmp_path)
    monkeypatch.setattr(downtime, "SETUPS", {name: setup(name) for name in downtime.SETUPS})
    monkeypatch.setattr(downtime, "GOALS", ())
    monkeypatch.setattr(machine, "describe", dict)
    return names


@pytest.mark.parametrize("asked", [[], ["proxy_1", "published"]])
def test_without_watchtower_nothing_is_begun_that_needs_it_in_the_end(
    measured: list[str], capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    assert (downtime.main(asked), measured) == (1, [])
    assert "Watchtower was not built" in capsys.readouterr().err


def test_behind_the_proxy_it_is_not_needed(measured: list[str]) -> None:
    assert (downtime.main(["proxy_1", "proxy_2"]), measured) == (0, ["proxy_1", "proxy_2"])
