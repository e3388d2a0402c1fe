"""What several files of engine tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.absent import PRIVATE, cannot
from tests.support.compose import Compose
from tests.support.deployment import Deployment
from tests.support.registry import Registry


@pytest.fixture
def deployment(tmp_path: Path, compose: Compose, registry: Registry) -> Deployment:
    """The deployment script, a folder that is not there yet, and images for it."""
    if "GROUND_PRIVATE" not in os.environ:
        cannot(f"the example's container name is not ours to take: {PRIVATE}")
    return Deployment(tmp_path, compose, registry, compose.project)
