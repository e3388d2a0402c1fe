"""What several files of engine tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.absent import PRIVATE, cannot
from tests.support.browser import chromium  # noqa: F401 - a fixture
from tests.support.compose import Compose
from tests.support.deployment import TOKEN, Deployment
from tests.support.docker import docker
from tests.support.registry import Registry
from tests.support.two_clusters import clusters, fleet  # noqa: F401 - fixtures


@pytest.fixture
def deployment(tmp_path: Path, compose: Compose, registry: Registry) -> Deployment:
    """The deployment script, a folder that is not there yet, and images for it."""
    if "GROUND_PRIVATE" not in os.environ:
        cannot(f"the example's container name is not ours to take: {PRIVATE}")
    return Deployment(tmp_path, compose, registry, compose.project)


@pytest.fixture
def manager(deployment: Deployment) -> Iterator[str]:
    """The address of what answers as a manager does."""
    yield deployment.manager()
    docker("rm", "-f", f"{deployment.compose.project}-manager", check=False)


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """A file with a token to enrol with."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    return file
