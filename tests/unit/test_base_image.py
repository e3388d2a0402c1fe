"""Which base the agent's image has: the Dockerfile's own where it is quickly had, else one from Debian's packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from groundwork import base

NAMED = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim-bookworm"
IMPORTED = "docker import"


class Engine:
    """An engine that has some images, and pulls or does not; what it was told."""

    def __init__(self, *images: str, pulls: bool = False) -> None:
        self.images = set(images)
        self.pulls = pulls
        self.told: list[str] = []

    def must(self, command: list[str]) -> None:
        self.told.append(" ".join(command[:4] if command[1] == "image" else command[:2]))


def ensured(engine: Engine, monkeypatch: pytest.MonkeyPatch, *, named: str = NAMED) -> list[str]:
    """What the engine is told where the base is wanted."""
    monkeypatch.setattr(base, "default", lambda: named)
    monkeypatch.setattr(base, "_is_there", lambda name: name in engine.images)
    monkeypatch.setattr(base, "_pull", lambda _: engine.pulls)
    monkeypatch.setattr(base, "must", engine.must)
    monkeypatch.setattr(base, "archive", lambda: Path("/base.tar"))
    assert base.ensure() == base.TAG
    return engine.told


def test_the_dockerfile_names_its_base() -> None:
    assert base.default().startswith("python:3.")


def test_the_base_that_was_made_before_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ensured(Engine(base.TAG, NAMED), monkeypatch) == []


def test_a_persons_own_copy_of_the_default_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ensured(Engine(NAMED), monkeypatch) == ["docker tag"]


def test_what_was_pulled_for_it_can_be_removed_by_our_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ensured(Engine(pulls=True), monkeypatch) == ["docker tag", f"docker image rm {NAMED}"]


def test_without_a_public_registry_it_is_made_from_debians_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ensured(Engine(), monkeypatch) == [IMPORTED]


def test_a_python_that_our_wheels_are_not_for_is_no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ensured(Engine("python:3.99-slim"), monkeypatch, named="python:3.99-slim") == [IMPORTED]


def test_a_private_engine_pulls_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROUND_PRIVATE", "1")
    monkeypatch.setattr(subprocess, "run", lambda *_, **_more: pytest.fail("it asked a registry"))
    assert not base._pull(NAMED)


def test_a_pull_that_takes_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def takes_long(command: list[str], *, timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.delenv("GROUND_PRIVATE", raising=False)
    monkeypatch.setattr(subprocess, "run", takes_long)
    assert not base._pull(NAMED)
