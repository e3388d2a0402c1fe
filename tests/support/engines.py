"""Small things that tests of engines share."""

import secrets

FOREVER = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
"""A shell command that runs until it is told to stop."""


def unique(prefix: str) -> str:
    """A name that nobody else uses, and that tells whose it is."""
    return f"tidegate-test-{prefix}-{secrets.token_hex(4)}"
