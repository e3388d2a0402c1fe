"""What a test does without what it needs of the machine: it skips; under CI, where nothing may be missing, it fails."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

PRIVATE = "run `python3 scripts/ground.py run --engine bookworm -- pytest`"


def cannot(reason: str) -> NoReturn:
    """End the test; `reason` says what is missing and how to have it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def need_root(what: str) -> None:
    """End the test if it is not root who runs it; `what` is done by root only."""
    if os.geteuid() != 0:
        cannot(f"{what} by root only")
