"""What somebody who is told of alerts looks like."""

import ssl
from pathlib import Path
from typing import Protocol

from tidegate.manager.telling.delivery_rows import CLOSED, Delivery

TIMEOUT_S = 15.0


class DeliveryError(Exception):
    """It was not sent, or nobody said that it was taken; the message shows no secret.

    `retry_after_s` is how long it asked to be left alone.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Sink(Protocol):
    """One of those who are told. `name` is its name in the database and shows no secret; `kind` is a metric's label."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def kind(self) -> str:
        """What sort it is."""

    async def send(self, it: Delivery) -> None:
        """Send. Raises `DeliveryError`."""


def headline(it: Delivery) -> str:
    """One line on what it is about."""
    return f"{'over' if it.what == CLOSED else it.severity}: {it.rule} {it.subject}"


def in_place_of(it: Delivery) -> str:
    """A sentence on the alert that is over by this one, without being told as such; empty where there is none."""
    return f" It takes the place of alert {it.replaces}." if it.replaces is not None and it.what != CLOSED else ""


def trusting(authorities: Path | None) -> ssl.SSLContext:
    """TLS that verifies, with the system's authorities and these."""
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(authorities)
    return context
