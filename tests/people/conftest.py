"""Fixtures for people's commands in the middle of an update."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.people import ready_to_hold


@pytest.fixture(autouse=True)
def _holdable() -> Iterator[None]:
    """Updates can be held at a point, see `holding`."""
    with ready_to_hold():
        yield
